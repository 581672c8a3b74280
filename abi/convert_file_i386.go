package abi

import (
	"math"

	"golang.org/x/sys/unix"
)

// The conversions of what tells of files and of System V objects; see convert_i386.go.

const none = ^uint64(0)

func high(v ...uint64) bool {
	for _, n := range v {
		if n>>32 != 0 {
			return true
		}
	}
	return false
}

func (s *Stat32) Get() unix.Stat_t {
	return unix.Stat_t{Dev: uint64(s.Dev), Ino: uint64(s.Ino), Nlink: uint64(s.Nlink), Mode: uint32(s.Mode),
		Uid: uint32(s.UID), Gid: uint32(s.GID), Rdev: uint64(s.Rdev), Size: int64(s.Size), Blksize: int64(s.Blksize),
		Blocks: int64(s.Blocks), Atim: s.Atim.Get(), Mtim: s.Mtim.Get(), Ctim: s.Ctim.Get()}
}

// Set: inode numbers, counts of links and sizes that do not fit are refused.
func (s *Stat32) Set(v unix.Stat_t) bool {
	if high(v.Ino) || v.Nlink > math.MaxUint16 || uint64(v.Size) > math.MaxInt32 {
		return false
	}
	*s = Stat32{Dev: uint32(v.Dev), Ino: uint32(v.Ino), Mode: uint16(v.Mode), Nlink: uint16(v.Nlink), UID: id16(v.Uid),
		GID: id16(v.Gid), Rdev: uint32(v.Rdev), Size: uint32(v.Size), Blksize: uint32(v.Blksize), Blocks: uint32(v.Blocks)}
	return s.Atim.Set(v.Atim) && s.Mtim.Set(v.Mtim) && s.Ctim.Set(v.Ctim)
}

func (s *OldStat32) Get() unix.Stat_t {
	return unix.Stat_t{Dev: uint64(s.Dev), Ino: uint64(s.Ino), Nlink: uint64(s.Nlink), Mode: uint32(s.Mode),
		Uid: uint32(s.UID), Gid: uint32(s.GID), Rdev: uint64(s.Rdev), Size: int64(s.Size),
		Atim: unix.Timespec{Sec: int64(s.Atime)}, Mtim: unix.Timespec{Sec: int64(s.Mtime)}, Ctim: unix.Timespec{Sec: int64(s.Ctime)}}
}

func (s *OldStat32) Set(v unix.Stat_t) bool {
	if v.Ino > math.MaxUint16 || v.Nlink > math.MaxUint16 {
		return false
	}
	*s = OldStat32{Dev: oldDev(v.Dev), Ino: uint16(v.Ino), Mode: uint16(v.Mode), Nlink: uint16(v.Nlink), UID: id16(v.Uid),
		GID: id16(v.Gid), Rdev: oldDev(v.Rdev), Size: uint32(v.Size), Atime: uint32(v.Atim.Sec), Mtime: uint32(v.Mtim.Sec),
		Ctime: uint32(v.Ctim.Sec)}
	return true
}

// oldDev is a device number of 16 bits.
func oldDev(dev uint64) uint16 { return uint16(unix.Major(dev)<<8 | unix.Minor(dev)&0xff) }

func (s *Stat64x32) Get() unix.Stat_t {
	return unix.Stat_t{Dev: uint64(s.Dev.Int64()), Ino: uint64(s.Ino.Int64()), Nlink: uint64(s.Nlink), Mode: s.Mode,
		Uid: s.UID, Gid: s.GID, Rdev: uint64(s.Rdev.Int64()), Size: s.Size.Int64(), Blksize: int64(s.Blksize),
		Blocks: s.Blocks.Int64(), Atim: s.Atim.Get(), Mtim: s.Mtim.Get(), Ctim: s.Ctim.Get()}
}

func (s *Stat64x32) Set(v unix.Stat_t) bool {
	*s = Stat64x32{Dev: MakeInt64x32(int64(v.Dev)), ShortIn: uint32(v.Ino), Mode: v.Mode, Nlink: uint32(v.Nlink),
		UID: v.Uid, GID: v.Gid, Rdev: MakeInt64x32(int64(v.Rdev)), Size: MakeInt64x32(v.Size), Blksize: uint32(v.Blksize),
		Blocks: MakeInt64x32(v.Blocks), Ino: MakeInt64x32(int64(v.Ino))}
	return s.Atim.Set(v.Atim) && s.Mtim.Set(v.Mtim) && s.Ctim.Set(v.Ctim)
}

func (s *Statfs32) Get() unix.Statfs_t {
	return unix.Statfs_t{Type: int64(s.Type), Bsize: int64(s.Bsize), Blocks: uint64(s.Blocks), Bfree: uint64(s.Bfree),
		Bavail: uint64(s.Bavail), Files: uint64(s.Files), Ffree: uint64(s.Ffree), Fsid: unix.Fsid{Val: s.Fsid},
		Namelen: int64(s.Namelen), Frsize: int64(s.Frsize), Flags: int64(s.Flags)}
}

// Set: numbers of blocks and files that do not fit are refused, but for all ones, which is no number.
func (s *Statfs32) Set(v unix.Statfs_t) bool {
	if high(v.Blocks, v.Bfree, v.Bavail, uint64(v.Bsize), uint64(v.Frsize)) ||
		v.Files != none && high(v.Files) || v.Ffree != none && high(v.Ffree) {
		return false
	}
	*s = Statfs32{Type: int32(v.Type), Bsize: int32(v.Bsize), Blocks: uint32(v.Blocks), Bfree: uint32(v.Bfree),
		Bavail: uint32(v.Bavail), Files: uint32(v.Files), Ffree: uint32(v.Ffree), Fsid: v.Fsid.Val,
		Namelen: int32(v.Namelen), Frsize: int32(v.Frsize), Flags: int32(v.Flags)}
	return true
}

func (s *Statfs64x32) Get() unix.Statfs_t {
	return unix.Statfs_t{Type: int64(s.Type), Bsize: int64(s.Bsize), Blocks: uint64(s.Blocks.Int64()),
		Bfree: uint64(s.Bfree.Int64()), Bavail: uint64(s.Bavail.Int64()), Files: uint64(s.Files.Int64()),
		Ffree: uint64(s.Ffree.Int64()), Fsid: unix.Fsid{Val: s.Fsid}, Namelen: int64(s.Namelen), Frsize: int64(s.Frsize),
		Flags: int64(s.Flags)}
}

func (s *Statfs64x32) Set(v unix.Statfs_t) bool {
	if high(uint64(v.Bsize), uint64(v.Frsize)) {
		return false
	}
	*s = Statfs64x32{Type: uint32(v.Type), Bsize: uint32(v.Bsize), Blocks: MakeInt64x32(int64(v.Blocks)),
		Bfree: MakeInt64x32(int64(v.Bfree)), Bavail: MakeInt64x32(int64(v.Bavail)), Files: MakeInt64x32(int64(v.Files)),
		Ffree: MakeInt64x32(int64(v.Ffree)), Fsid: v.Fsid.Val, Namelen: uint32(v.Namelen), Frsize: uint32(v.Frsize),
		Flags: uint32(v.Flags)}
	return true
}

func (s *Ustat32) Get() Ustat {
	return Ustat{Tfree: s.Tfree, Tinode: uint64(s.Tinode), Fname: s.Fname, Fpack: s.Fpack}
}
func (s *Ustat32) Set(v Ustat) bool {
	*s = Ustat32{Tfree: v.Tfree, Tinode: uint32(v.Tinode), Fname: v.Fname, Fpack: v.Fpack}
	return true
}

func (l *Flock32) Get() unix.Flock_t {
	return unix.Flock_t{Type: l.Type, Whence: l.Whence, Start: int64(l.Start), Len: int64(l.Len), Pid: l.Pid}
}

// Set: a lock that begins too far away is refused, one that ends there is told as ending earlier.
func (l *Flock32) Set(v unix.Flock_t) bool {
	if v.Start > math.MaxInt32 {
		return false
	}
	*l = Flock32{v.Type, v.Whence, int32(v.Start), int32(min(v.Len, math.MaxInt32)), v.Pid}
	return true
}

func (l *Flock64x32) Get() unix.Flock_t {
	return unix.Flock_t{Type: l.Type, Whence: l.Whence, Start: l.Start.Int64(), Len: l.Len.Int64(), Pid: l.Pid}
}
func (l *Flock64x32) Set(v unix.Flock_t) bool {
	*l = Flock64x32{v.Type, v.Whence, MakeInt64x32(v.Start), MakeInt64x32(v.Len), v.Pid}
	return true
}

func (p *IpcPerm32) Get() IpcPerm {
	return IpcPerm{Key: p.Key, UID: p.UID, GID: p.GID, CUID: p.CUID, CGID: p.CGID, Mode: p.Mode, Seq: p.Seq}
}
func (p *IpcPerm32) Set(v IpcPerm) bool {
	*p = IpcPerm32{Key: v.Key, UID: v.UID, GID: v.GID, CUID: v.CUID, CGID: v.CGID, Mode: v.Mode, Seq: v.Seq}
	return true
}

func wide(lo, hi uint32) int64 { return int64(uint64(lo) | uint64(hi)<<32) }
func halves(v int64) (lo, hi uint32) {
	return uint32(v), uint32(uint64(v) >> 32)
}

func (d *ShmidDS32) Get() ShmidDS {
	return ShmidDS{Perm: d.Perm.Get(), Segsz: uint64(d.Segsz), Atime: wide(d.Atime, d.AtimeHigh), Dtime: wide(d.Dtime, d.DtimeHigh),
		Ctime: wide(d.Ctime, d.CtimeHigh), Cpid: d.Cpid, Lpid: d.Lpid, Nattch: uint64(d.Nattch)}
}
func (d *ShmidDS32) Set(v ShmidDS) bool {
	*d = ShmidDS32{Segsz: uint32(v.Segsz), Cpid: v.Cpid, Lpid: v.Lpid, Nattch: uint32(v.Nattch)}
	d.Atime, d.AtimeHigh = halves(v.Atime)
	d.Dtime, d.DtimeHigh = halves(v.Dtime)
	d.Ctime, d.CtimeHigh = halves(v.Ctime)
	return d.Perm.Set(v.Perm)
}

func (d *SemidDS32) Get() SemidDS {
	return SemidDS{Perm: d.Perm.Get(), Otime: wide(d.Otime, d.OtimeHigh), Ctime: wide(d.Ctime, d.CtimeHigh), Nsems: uint64(d.Nsems)}
}
func (d *SemidDS32) Set(v SemidDS) bool {
	*d = SemidDS32{Nsems: uint32(v.Nsems)}
	d.Otime, d.OtimeHigh = halves(v.Otime)
	d.Ctime, d.CtimeHigh = halves(v.Ctime)
	return d.Perm.Set(v.Perm)
}

func (d *MsqidDS32) Get() MsqidDS {
	return MsqidDS{Perm: d.Perm.Get(), Stime: wide(d.Stime, d.StimeHigh), Rtime: wide(d.Rtime, d.RtimeHigh),
		Ctime: wide(d.Ctime, d.CtimeHigh), Cbytes: uint64(d.Cbytes), Qnum: uint64(d.Qnum), Qbytes: uint64(d.Qbytes),
		Lspid: d.Lspid, Lrpid: d.Lrpid}
}
func (d *MsqidDS32) Set(v MsqidDS) bool {
	*d = MsqidDS32{Cbytes: uint32(v.Cbytes), Qnum: uint32(v.Qnum), Qbytes: uint32(v.Qbytes), Lspid: v.Lspid, Lrpid: v.Lrpid}
	d.Stime, d.StimeHigh = halves(v.Stime)
	d.Rtime, d.RtimeHigh = halves(v.Rtime)
	d.Ctime, d.CtimeHigh = halves(v.Ctime)
	return d.Perm.Set(v.Perm)
}

func (i *Shminfo32) Get() Shminfo {
	return Shminfo{Max: uint64(i.Max), Min: uint64(i.Min), Mni: uint64(i.Mni), Seg: uint64(i.Seg), All: uint64(i.All)}
}

// Set: a greatest size beyond what can be asked for is told as the greatest that can.
func (i *Shminfo32) Set(v Shminfo) bool {
	*i = Shminfo32{Max: uint32(min(v.Max, math.MaxInt32)), Min: uint32(v.Min), Mni: uint32(v.Mni), Seg: uint32(v.Seg), All: uint32(v.All)}
	return true
}

func (i *ShmInfo32) Get() ShmInfo {
	return ShmInfo{UsedIDs: i.UsedIDs, Tot: uint64(i.Tot), Rss: uint64(i.Rss), Swp: uint64(i.Swp),
		SwapAttempts: uint64(i.SwapAttempts), SwapSuccesses: uint64(i.SwapSuccesses)}
}
func (i *ShmInfo32) Set(v ShmInfo) bool {
	*i = ShmInfo32{v.UsedIDs, uint32(v.Tot), uint32(v.Rss), uint32(v.Swp), uint32(v.SwapAttempts), uint32(v.SwapSuccesses)}
	return true
}
