package abi

import "math"

// The structs of System V IPC as i386 began with them: what shmctl, semctl and msgctl take by ipc without IPC_64.

// OldShmidDS32 is struct shmid_ds.
type OldShmidDS32 struct {
	Perm   OldIpcPerm32
	Segsz  int32
	Atime  int32
	Dtime  int32
	Ctime  int32
	Cpid   uint16
	Lpid   uint16
	Nattch uint16
	_      uint16
	_      [2]uint32
}

// OldSemidDS32 is struct semid_ds.
type OldSemidDS32 struct {
	Perm  OldIpcPerm32
	Otime int32
	Ctime int32
	_     [4]uint32
	Nsems uint16
	_     uint16
}

// OldMsqidDS32 is struct msqid_ds.
type OldMsqidDS32 struct {
	Perm    OldIpcPerm32
	_       [2]uint32
	Stime   int32
	Rtime   int32
	Ctime   int32
	Lcbytes uint32
	Lqbytes uint32
	Cbytes  uint16
	Qnum    uint16
	Qbytes  uint16
	Lspid   uint16
	Lrpid   uint16
	_       uint16
}

// OldShminfo32 is struct shminfo.
type OldShminfo32 struct{ Max, Min, Mni, Seg, All int32 }

func (p *OldIpcPerm32) Get() IpcPerm {
	return IpcPerm{Key: p.Key, UID: FromID16(p.UID), GID: FromID16(p.GID), CUID: FromID16(p.CUID), CGID: FromID16(p.CGID),
		Mode: uint32(p.Mode), Seq: p.Seq}
}
func (p *OldIpcPerm32) Set(v IpcPerm) bool {
	*p = OldIpcPerm32{v.Key, id16(v.UID), id16(v.GID), id16(v.CUID), id16(v.CGID), uint16(v.Mode), v.Seq}
	return true
}

func (d *OldShmidDS32) Get() ShmidDS {
	return ShmidDS{Perm: d.Perm.Get(), Segsz: uint64(uint32(d.Segsz)), Atime: int64(d.Atime), Dtime: int64(d.Dtime),
		Ctime: int64(d.Ctime), Cpid: int32(d.Cpid), Lpid: int32(d.Lpid), Nattch: uint64(d.Nattch)}
}
func (d *OldShmidDS32) Set(v ShmidDS) bool {
	*d = OldShmidDS32{Segsz: int32(min(v.Segsz, math.MaxInt32)), Atime: int32(v.Atime), Dtime: int32(v.Dtime), Ctime: int32(v.Ctime),
		Cpid: uint16(v.Cpid), Lpid: uint16(v.Lpid), Nattch: uint16(v.Nattch)}
	return d.Perm.Set(v.Perm)
}

func (d *OldSemidDS32) Get() SemidDS {
	return SemidDS{Perm: d.Perm.Get(), Otime: int64(d.Otime), Ctime: int64(d.Ctime), Nsems: uint64(d.Nsems)}
}
func (d *OldSemidDS32) Set(v SemidDS) bool {
	*d = OldSemidDS32{Otime: int32(v.Otime), Ctime: int32(v.Ctime), Nsems: uint16(v.Nsems)}
	return d.Perm.Set(v.Perm)
}

// Get: the limit is where it came to be when 16 bits were too few, unless it is set the old way.
func (d *OldMsqidDS32) Get() MsqidDS {
	q := uint64(d.Qbytes)
	if q == 0 {
		q = uint64(d.Lqbytes)
	}
	return MsqidDS{Perm: d.Perm.Get(), Stime: int64(d.Stime), Rtime: int64(d.Rtime), Ctime: int64(d.Ctime), Cbytes: uint64(d.Cbytes),
		Qnum: uint64(d.Qnum), Qbytes: q, Lspid: int32(d.Lspid), Lrpid: int32(d.Lrpid)}
}

// Set: the long fields are not told beside a 64-bit kernel.
func (d *OldMsqidDS32) Set(v MsqidDS) bool {
	short := func(n uint64) uint16 { return uint16(min(n, math.MaxUint16)) }
	*d = OldMsqidDS32{Stime: int32(v.Stime), Rtime: int32(v.Rtime), Ctime: int32(v.Ctime), Cbytes: short(v.Cbytes),
		Qnum: short(v.Qnum), Qbytes: short(v.Qbytes), Lspid: uint16(v.Lspid),
		Lrpid: uint16(v.Lrpid)}
	return d.Perm.Set(v.Perm)
}

func (i *OldShminfo32) Get() Shminfo {
	return Shminfo{Max: uint64(i.Max), Min: uint64(i.Min), Mni: uint64(i.Mni), Seg: uint64(i.Seg), All: uint64(i.All)}
}
func (i *OldShminfo32) Set(v Shminfo) bool {
	*i = OldShminfo32{int32(min(v.Max, math.MaxInt32)), int32(v.Min), int32(v.Mni), int32(v.Seg), int32(v.All)}
	return true
}
