package sysemu

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"unsafe"

	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// What pointers lead to, by the Kind of the argument.

// form is a type as it lies in a program's memory.
type form struct {
	size int
	get  func(b []byte) any              // of a value; b has its size
	put  func(v any) (b []byte, ok bool) // nil: it does not fit; false: v is something else
}

// shape is a type on both architectures.
type shape struct {
	wide, narrow form
	sized        bool // the program says how long it is
}

func (s shape) on(a abi.Arch) form {
	if a == abi.I386 {
		return s.narrow
	}
	return s.wide
}

// alike has one layout on both.
func alike[V any]() shape {
	f := form{int(unsafe.Sizeof(*new(V))),
		func(b []byte) any { v := *new(V); copy(abi.Bytes(&v), b); return v },
		func(v any) ([]byte, bool) {
			w, ok := v.(V)
			return append([]byte(nil), abi.Bytes(&w)...), ok
		}}
	return shape{wide: f, narrow: f}
}

// narrow is a layout of i386: see package abi.
type narrow[V, N any] interface {
	*N
	Get() V
	Set(V) bool
}

// both has another one on i386.
func both[V, N any, P narrow[V, N]]() shape {
	return shape{wide: alike[V]().wide, narrow: narrowed[V, N, P]()}
}

func narrowed[V, N any, P narrow[V, N]]() form {
	return form{int(unsafe.Sizeof(*new(N))),
		func(b []byte) any { w := *new(N); copy(abi.Bytes(&w), b); return P(&w).Get() },
		func(v any) ([]byte, bool) {
			x, ok := v.(V)
			w := *new(N)
			if ok && !P(&w).Set(x) {
				return nil, true
			}
			return abi.Bytes(&w), ok
		}}
}

// pairs is two of them.
func pairs[V any](s shape) shape {
	two := func(f form) form {
		return form{2 * f.size,
			func(b []byte) any { return [2]V{f.get(b[:f.size]).(V), f.get(b[f.size:]).(V)} },
			func(v any) ([]byte, bool) {
				w, ok := v.([2]V)
				if !ok {
					return nil, false
				}
				x, _ := f.put(w[0])
				y, _ := f.put(w[1])
				if x == nil || y == nil {
					return nil, true
				}
				return append(x, y...), true
			}}
	}
	return shape{wide: two(s.wide), narrow: two(s.narrow)}
}

// words is a machine word; N is that of i386.
func words[V, N uint64 | int64 | uint32 | int32]() shape {
	s := alike[V]()
	n := alike[N]().wide
	s.narrow = form{n.size, func(b []byte) any { return V(n.get(b).(N)) }, func(v any) ([]byte, bool) {
		w, ok := v.(V)
		if ok && V(N(w)) != w {
			return nil, true
		}
		raw, _ := n.put(N(w))
		return raw, ok
	}}
	return s
}

func sized(s shape) shape { s.sized = true; return s }

var (
	timespec   = both[unix.Timespec, abi.Timespec32]()
	timespec64 = both[unix.Timespec, abi.Timespec64x32]()
	timeval    = both[unix.Timeval, abi.Timeval32]()

	shapes = map[abi.Kind]shape{
		abi.CapHeaderPtr:      alike[unix.CapUserHeader](),
		abi.CloneArgsPtr:      sized(alike[abi.CloneArgs]()),
		abi.EpollEventPtr:     alike[unix.EpollEvent](),
		abi.FDPair:            alike[[2]int32](),
		abi.FileHandlePtr:     alike[abi.FileHandle](),
		abi.FutexPtr:          alike[uint32](),
		abi.Gid16Ptr:          alike[uint16](),
		abi.GidPtr:            alike[uint32](),
		abi.IntPtr:            alike[int32](),
		abi.IocbPtr:           alike[abi.Iocb](),
		abi.Itimerspec64Ptr:   both[unix.ItimerSpec, abi.Itimerspec64x32](),
		abi.ItimerspecPtr:     both[unix.ItimerSpec, abi.Itimerspec32](),
		abi.ItimervalPtr:      both[unix.Itimerval, abi.Itimerval32](),
		abi.MqAttrPtr:         both[abi.MqAttr, abi.MqAttr32](),
		abi.MsghdrPtr:         both[abi.Msghdr, abi.Msghdr32](),
		abi.OffPtr:            words[int64, int32](),
		abi.OffsetPtr:         alike[int64](),
		abi.OldSigactionPtr:   both[abi.Sigaction, abi.OldSigaction32](),
		abi.OldSigsetPtr:      words[uint64, uint32](),
		abi.OldStatPtr:        both[unix.Stat_t, abi.OldStat32](),
		abi.OpenHowPtr:        sized(alike[unix.OpenHow]()),
		abi.PidPtr:            alike[int32](),
		abi.Rlimit64Ptr:       alike[unix.Rlimit](),
		abi.RlimitPtr:         both[unix.Rlimit, abi.Rlimit32](),
		abi.RusagePtr:         both[unix.Rusage, abi.Rusage32](),
		abi.SchedParamPtr:     alike[abi.SchedParam](),
		abi.SigactionPtr:      both[abi.Sigaction, abi.Sigaction32](),
		abi.SigeventPtr:       both[abi.Sigevent, abi.Sigevent32](),
		abi.SiginfoPtr:        both[abi.Siginfo, abi.Siginfo32](),
		abi.SigsetPtr:         alike[uint64](),
		abi.SocklenPtr:        alike[uint32](),
		abi.StackTPtr:         both[abi.StackT, abi.StackT32](),
		abi.Stat64Ptr:         both[unix.Stat_t, abi.Stat64x32](),
		abi.StatPtr:           both[unix.Stat_t, abi.Stat32](),
		abi.Statfs64Ptr:       both[unix.Statfs_t, abi.Statfs64x32](),
		abi.StatfsPtr:         both[unix.Statfs_t, abi.Statfs32](),
		abi.StatxPtr:          alike[unix.Statx_t](),
		abi.SysinfoPtr:        both[abi.Sysinfo, abi.Sysinfo32](),
		abi.TimePtr:           words[int64, int32](),
		abi.Timespec64PairPtr: pairs[unix.Timespec](timespec64),
		abi.Timespec64Ptr:     timespec64,
		abi.TimespecPairPtr:   pairs[unix.Timespec](timespec),
		abi.TimespecPtr:       timespec,
		abi.TimevalPairPtr:    pairs[unix.Timeval](timeval),
		abi.TimevalPtr:        timeval,
		abi.Timex64Ptr:        alike[unix.Timex](),
		abi.TimexPtr:          both[unix.Timex, abi.Timex32](),
		abi.TimezonePtr:       alike[abi.Timezone](),
		abi.TmsPtr:            both[unix.Tms, abi.Tms32](),
		abi.Uid16Ptr:          alike[uint16](),
		abi.UidPtr:            alike[uint32](),
		abi.UintPtr:           alike[uint32](),
		abi.UlongPtr:          words[uint64, uint32](),
		abi.UserDescPtr:       alike[abi.UserDesc](),
		abi.UstatPtr:          both[abi.Ustat, abi.Ustat32](),
		abi.UtimbufPtr:        both[unix.Utimbuf, abi.Utimbuf32](),
		abi.UtsnamePtr:        alike[unix.Utsname](),
		abi.WaitStatusPtr:     alike[unix.WaitStatus](),
		abi.XattrArgsPtr:      sized(alike[abi.XattrArgs]()),
	}

	arrays = map[abi.Kind]func(c *Call, addr, n uint64) (any, error){
		abi.EpollEventArray:  arrayOf[unix.EpollEvent],
		abi.FutexWaitvArray:  arrayOf[abi.FutexWaitv],
		abi.Gid16Array:       arrayOf[uint16],
		abi.GidArray:         arrayOf[uint32],
		abi.IntArray:         arrayOf[int32],
		abi.IoEventArray:     arrayOf[abi.IoEvent],
		abi.PollfdArray:      arrayOf[unix.PollFd],
		abi.SembufArray:      arrayOf[abi.Sembuf],
		abi.U64Array:         arrayOf[uint64],
		abi.RemoteIovecArray: func(c *Call, addr, n uint64) (any, error) { return c.iovecs(addr, n) },
	}
)

// structAt reads what a pointer of that Kind leads to; n is what the program says its length is, if it does. nil: there is no
// type for it.
func (c *Call) structAt(k abi.Kind, addr, n uint64) (any, error) {
	s, ok := shapes[k]
	if !ok {
		return nil, nil
	}
	f := s.on(c.Arch())
	b := make([]byte, f.size)
	have := b
	if s.sized {
		have = b[:min(n, uint64(len(b)))]
	}
	if err := c.ReadMem(addr, have); err != nil {
		return nil, err
	}
	return f.get(b), nil
}

func arrayOf[V any](c *Call, addr, n uint64) (any, error) {
	if n > maxArray {
		return nil, unix.EINVAL
	}
	v := make([]V, n)
	if n == 0 {
		return v, nil
	}
	size := int(unsafe.Sizeof(v[0]))
	if err := c.ReadMem(addr, unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), len(v)*size)); err != nil {
		return nil, err
	}
	return v, nil
}

// readArray reads n elements; N is their layout on i386.
func readArray[V, N any, P narrow[V, N]](c *Call, addr, n uint64) ([]V, error) {
	if c.Arch() != abi.I386 {
		v, err := arrayOf[V](c, addr, n)
		if err != nil {
			return nil, err
		}
		return v.([]V), nil
	}
	w, err := arrayOf[N](c, addr, n)
	if err != nil {
		return nil, err
	}
	v := make([]V, n)
	for i := range v {
		v[i] = P(&w.([]N)[i]).Get()
	}
	return v, nil
}

// fdSet reads a set of as many descriptors as argument 0 says.
func (c *Call) fdSet(addr uint64) ([]int, error) {
	n := int(int32(c.raw(0)))
	if n < 0 {
		return nil, unix.EINVAL
	}
	n = min(n, 1<<20)
	b := make([]byte, (n+7)/8)
	if err := c.ReadMem(addr, b); err != nil {
		return nil, err
	}
	set := []int{}
	for fd := range n {
		if b[fd/8]>>(fd%8)&1 != 0 {
			set = append(set, fd)
		}
	}
	return set, nil
}

const maxSockaddr = 128 // struct sockaddr_storage

// sockaddr reads the address of a socket. EINVAL: there is no such address.
func (c *Call) sockaddr(i int) (unix.Sockaddr, error) {
	n, err := c.lenOf(i)
	if err != nil {
		return nil, err
	}
	if n = uint64(uint32(n)); n < 2 || n > maxSockaddr && !c.kind(i).Writes() {
		return nil, unix.EINVAL
	}
	b := make([]byte, min(n, maxSockaddr))
	if err := c.ReadMem(c.raw(i), b); err != nil {
		return nil, err
	}
	family := binary.LittleEndian.Uint16(b)
	switch {
	case family == unix.AF_UNIX:
		name := b[2:]
		if len(name) > 0 && name[0] == 0 { // abstract, or none
			if len(name) == 1 {
				return &unix.SockaddrUnix{}, nil
			}
			return &unix.SockaddrUnix{Name: "@" + string(name[1:])}, nil
		}
		for j, x := range name {
			if x == 0 {
				name = name[:j]
				break
			}
		}
		return &unix.SockaddrUnix{Name: string(name)}, nil
	case family == unix.AF_INET && len(b) >= 16:
		return &unix.SockaddrInet4{Port: int(binary.BigEndian.Uint16(b[2:])), Addr: [4]byte(b[4:])}, nil
	case family == unix.AF_INET6 && len(b) >= 24:
		sa := &unix.SockaddrInet6{Port: int(binary.BigEndian.Uint16(b[2:])), Addr: [16]byte(b[8:])}
		if len(b) >= 28 {
			sa.ZoneId = binary.LittleEndian.Uint32(b[24:])
		}
		return sa, nil
	case family == unix.AF_NETLINK && len(b) >= 12:
		return &unix.SockaddrNetlink{Family: family, Pid: binary.LittleEndian.Uint32(b[4:]), Groups: binary.LittleEndian.Uint32(b[8:])}, nil
	}
	return nil, unix.EINVAL
}

// appendSockaddr appends the address as programs have it.
func appendSockaddr(b []byte, sa unix.Sockaddr) ([]byte, error) {
	le, be := binary.LittleEndian, binary.BigEndian
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		b = be.AppendUint16(le.AppendUint16(b, unix.AF_INET), uint16(sa.Port))
		return append(append(b, sa.Addr[:]...), make([]byte, 8)...), nil
	case *unix.SockaddrInet6:
		b = be.AppendUint16(le.AppendUint16(b, unix.AF_INET6), uint16(sa.Port))
		return le.AppendUint32(append(le.AppendUint32(b, 0), sa.Addr[:]...), sa.ZoneId), nil
	case *unix.SockaddrUnix:
		name := []byte(sa.Name)
		if len(name) > 0 && name[0] == '@' {
			name[0] = 0
		} else if len(name) > 0 {
			name = append(name, 0)
		}
		if len(name) > 108 {
			return nil, unix.EINVAL
		}
		return append(le.AppendUint16(b, unix.AF_UNIX), name...), nil
	case *unix.SockaddrNetlink:
		b = le.AppendUint32(le.AppendUint16(b, unix.AF_NETLINK), 0)[:4]
		return le.AppendUint32(le.AppendUint32(b, sa.Pid), sa.Groups), nil
	}
	return nil, fmt.Errorf("sysemu: %T is not the address of a socket: %w", sa, unix.EINVAL)
}

func sockaddrString(sa unix.Sockaddr) string {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)).String()
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port)).String()
	case *unix.SockaddrUnix:
		return strconv.Quote(sa.Name)
	case *unix.SockaddrNetlink:
		return fmt.Sprintf("netlink:%d", sa.Pid)
	}
	return fmt.Sprintf("%v", sa)
}
