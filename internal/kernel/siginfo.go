package kernel

import (
	"encoding/binary"
	"unsafe"

	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// sigInfo is siginfo_t as amd64 lays it out: what a signal tells.
type sigInfo struct {
	Signo, Errno, Code int32
	_                  int32
	data               [112]byte
}

// Values of si_code, sigaction(2).
const (
	siUser    = 0
	siKernel  = 0x80
	siQueue   = -1
	siTimer   = -2
	siMesgq   = -3
	siAsyncIO = -4
	siSigIO   = -5
	siTkill   = -6

	cldExited    = 1
	cldKilled    = 2
	cldDumped    = 3
	cldTrapped   = 4
	cldStopped   = 5
	cldContinued = 6
)

// infoOf and abi turn a signal into what package abi has of it, and back.
func infoOf(v abi.Siginfo) sigInfo { return *(*sigInfo)(unsafe.Pointer(&v)) }
func (i sigInfo) abi() abi.Siginfo { return *(*abi.Siginfo)(unsafe.Pointer(&i)) }

func (i *sigInfo) put32(off int, v uint32) { binary.LittleEndian.PutUint32(i.data[off:], v) }
func (i *sigInfo) put64(off int, v uint64) { binary.LittleEndian.PutUint64(i.data[off:], v) }
func (i *sigInfo) get32(off int) uint32    { return binary.LittleEndian.Uint32(i.data[off:]) }

// kernelSignal is a signal that the kernel sends of itself.
func kernelSignal(sig int) sigInfo { return sigInfo{Signo: int32(sig), Code: siKernel} }

// userSignal is a signal that t sends by kill or tgkill.
func (t *Task) userSignal(sig int, code int32) sigInfo {
	i := sigInfo{Signo: int32(sig), Code: code}
	i.put32(0, uint32(t.p.pid))
	i.put32(4, t.cred.UID)
	return i
}

// faultSignal is a processor exception at addr.
func faultSignal(sig int, code int32, addr uint64) sigInfo {
	i := sigInfo{Signo: int32(sig), Code: code}
	i.put64(0, addr)
	return i
}

// timerSignal is a POSIX timer's expiry.
func timerSignal(sig int, id int32, overrun int32, value uint64) sigInfo {
	i := sigInfo{Signo: int32(sig), Code: siTimer}
	i.put32(0, uint32(id))
	i.put32(4, uint32(overrun))
	i.put64(8, value)
	return i
}

// childInfo is what the parent of p is told of its end.
func (p *Process) childInfo() sigInfo {
	code, status := childStatus(p.exitCode)
	return p.leader.childSignal(p.exitSignal, code, status)
}

// childSignal is what a parent or tracer is told of a child or tracee.
func (t *Task) childSignal(sig int, code, status int32) sigInfo {
	i := sigInfo{Signo: int32(sig), Code: code}
	i.put32(0, uint32(t.tid))
	i.put32(4, t.cred.UID)
	i.put32(8, uint32(status))
	u := t.p.totalUsage()
	i.put64(16, uint64(u.utime/nsPerTick))
	i.put64(24, uint64(u.stime/nsPerTick))
	return i
}

// childStatus splits a wait status as waitid(2) reports it.
func childStatus(ws int) (code, status int32) {
	w := unix.WaitStatus(ws)
	switch {
	case w.Exited():
		return cldExited, int32(w.ExitStatus())
	case w.CoreDump():
		return cldDumped, int32(w.Signal())
	}
	return cldKilled, int32(w.Signal())
}
