package abi

import (
	"reflect"
	"testing"

	"golang.org/x/sys/unix"
)

// conv is the two ways between a layout of i386 and the form of x86-64.
type conv[V any] interface {
	Get() V
	Set(V) bool
}

// fill gives every field another small value, so that one that is lost or in
// the wrong place shows.
func fill(v reflect.Value, n *int) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				fill(v.Field(i), n)
			}
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		*n++
		v.SetInt(int64(*n))
	default:
		*n++
		v.SetUint(uint64(*n))
	}
}

// back checks that what a layout holds comes back as it was.

func back[V any](t *testing.T, p conv[V]) {
	t.Helper()
	w := reflect.ValueOf(p).Elem()
	n := 0
	fill(w, &n)
	want := reflect.New(w.Type()).Elem()
	want.Set(w)
	v := p.Get()
	w.SetZero()
	if !p.Set(v) {
		t.Errorf("%v: small values do not fit", w.Type())
	}
	if !reflect.DeepEqual(w.Interface(), want.Interface()) {
		t.Errorf("%v becomes\n%+v by way of\n%+v, not\n%+v", w.Type(), w, v, want)
	}
}

func TestConversions(t *testing.T) {
	back[unix.Timespec](t, new(Timespec32))
	back[unix.Timespec](t, new(Timespec64x32))
	back[unix.Timeval](t, new(Timeval32))
	back[unix.ItimerSpec](t, new(Itimerspec32))
	back[unix.ItimerSpec](t, new(Itimerspec64x32))
	back[unix.Itimerval](t, new(Itimerval32))
	back[unix.Utimbuf](t, new(Utimbuf32))
	back[unix.Tms](t, new(Tms32))
	back[unix.Timex](t, new(Timex32))
	back[unix.Rlimit](t, new(Rlimit32))
	back[unix.Rlimit](t, new(OldRlimit32))
	back[unix.Rusage](t, new(Rusage32))
	back[Sysinfo](t, new(Sysinfo32))
	back[Iovec](t, new(Iovec32))
	back[[2]uint64](t, new(SigsetArg32))
	back[Msghdr](t, new(Msghdr32))
	back[Mmsghdr](t, new(Mmsghdr32))
	back[RobustListHead](t, new(RobustListHead32))
	back[Sigaction](t, new(Sigaction32))
	back[Sigaction](t, new(OldSigaction32))
	back[StackT](t, new(StackT32))
	back[Sigevent](t, new(Sigevent32))
	back[unix.Stat_t](t, new(Stat32))
	back[unix.Statfs_t](t, new(Statfs32))
	back[unix.Statfs_t](t, new(Statfs64x32))
	back[Ustat](t, new(Ustat32))
	back[unix.Flock_t](t, new(Flock32))
	back[unix.Flock_t](t, new(Flock64x32))
	back[IpcPerm](t, new(IpcPerm32))
	back[IpcPerm](t, new(OldIpcPerm32))
	back[ShmidDS](t, new(ShmidDS32))
	back[ShmidDS](t, new(OldShmidDS32))
	back[SemidDS](t, new(SemidDS32))
	back[SemidDS](t, new(OldSemidDS32))
	back[MsqidDS](t, new(MsqidDS32))
	back[Shminfo](t, new(Shminfo32))
	back[Shminfo](t, new(OldShminfo32))
	back[ShmInfo](t, new(ShmInfo32))
}

// What does not fit.
func TestConversionLimits(t *testing.T) {
	fits := func(name string, got, want bool) {
		if got != want {
			t.Errorf("%s: fits %v", name, got)
		}
	}
	var s Stat32
	fits("a file of 2 GiB less one", s.Set(unix.Stat_t{Size: 1<<31 - 1}), true)
	fits("a file of 2 GiB", s.Set(unix.Stat_t{Size: 1 << 31}), false)
	fits("an inode of 33 bits", s.Set(unix.Stat_t{Ino: 1 << 32}), false)
	fits("65536 links", s.Set(unix.Stat_t{Nlink: 65536}), false)
	fits("a large uid", s.Set(unix.Stat_t{Uid: 70000, Gid: 65535}), true)
	if s.UID != 65534 || s.GID != 65535 {
		t.Errorf("ids %d and %d", s.UID, s.GID)
	}
	var l Stat64x32
	fits("stat64", l.Set(unix.Stat_t{Ino: 1<<40 | 5, Size: 1 << 40}), true)
	if l.ShortIn != 5 || l.Ino.Int64() != 1<<40|5 || l.Size.Int64() != 1<<40 {
		t.Errorf("stat64 is %+v", l)
	}
	var f Statfs32
	fits("blocks of 33 bits", f.Set(unix.Statfs_t{Blocks: 1 << 32}), false)
	fits("no number of files", f.Set(unix.Statfs_t{Files: ^uint64(0), Ffree: ^uint64(0)}), true)
	fits("files of 33 bits", f.Set(unix.Statfs_t{Files: 1 << 32}), false)
	var k Flock32
	fits("a lock far away", k.Set(unix.Flock_t{Start: 1 << 31}), false)
	fits("a long lock", k.Set(unix.Flock_t{Len: 1 << 40}), true)
	if k.Len != 1<<31-1 {
		t.Errorf("length %d", k.Len)
	}
	var r Rlimit32
	r.Set(unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: 1 << 40})
	if v := r.Get(); v.Cur != unix.RLIM_INFINITY || v.Max != unix.RLIM_INFINITY {
		t.Errorf("limits %x", v)
	}
	var m Sysinfo32
	m.Set(Sysinfo{Totalram: 8 << 30, Freeram: 4096 * 77, Unit: 1})
	if m.Unit != 4096 || m.Totalram != 8<<30>>12 || m.Freeram != 77 {
		t.Errorf("sysinfo %+v", m)
	}
	w := Timespec64x32{Sec: 1 << 40, Nsec: 5}
	Bytes(&w)[12] = 0xff // the padding
	if v := w.Get(); v.Sec != 1<<40 || v.Nsec != 5 {
		t.Errorf("timespec64 %+v", v)
	}
	v := Iovec32{Base: 0xfffff000, Len: 0x80000000}
	if g := v.Get(); g.Base != 0xfffff000 || int64(g.Len) != -1<<31 {
		t.Errorf("iovec %x", g)
	}
}
