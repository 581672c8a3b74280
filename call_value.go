package sysemu

import (
	"fmt"
	"reflect"

	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// Flags is an argument that has names: one of several values, or a set of bits.
type Flags struct {
	Kind abi.Kind // whose names they are
	Bits uint64
}

// Has reports whether all bits of v are set.
func (f Flags) Has(v uint64) bool { return f.Bits&v == v }

// String writes the names as strace does: O_RDWR|O_CREAT.
func (f Flags) String() string {
	if n := f.Kind.Names(); n != nil {
		return n.Format(f.Bits)
	}
	return fmt.Sprintf("%#x", f.Bits)
}

// flags are the names of the argument; of a socket's option and protocol they follow from another. false: there are none.
func (a Arg) flags() (Flags, bool) {
	f := Flags{a.Kind.Base(), uint64(a.call.Int(a.Index))}
	switch f.Kind {
	case abi.SockOptName:
		switch int32(a.call.raw(a.Index - 1)) {
		case unix.SOL_SOCKET:
			f.Kind = abi.SockOptSocket
		case unix.SOL_IP:
			f.Kind = abi.SockOptIP
		case unix.SOL_IPV6:
			f.Kind = abi.SockOptIPv6
		case unix.SOL_TCP:
			f.Kind = abi.SockOptTCP
		case unix.SOL_UDP:
			f.Kind = abi.SockOptUDP
		case unix.SOL_NETLINK:
			f.Kind = abi.SockOptNetlink
		default:
			return f, false
		}
	case abi.SocketProtocol:
		switch int32(a.call.raw(0)) {
		case unix.AF_INET, unix.AF_INET6:
		case unix.AF_NETLINK:
			f.Kind = abi.NetlinkProtocol
		default:
			return f, false
		}
	}
	return f, true
}

// Value is what the argument means. Its type follows from the Kind:
//
//	numbers                        int64; uint64 for those without a sign of a machine word
//	descriptors                    int
//	signals                        unix.Signal
//	numbers with names             Flags
//	addresses                      uint64
//	paths, strings                 string
//	argv, envp                     []string
//	buffers, iovecs, messages      *Buffer
//	addresses of sockets           unix.Sockaddr
//	arrays                         slices: []unix.PollFd, []unix.EpollEvent, []uint32 of groups, …
//	sets of descriptors            []int
//	other pointers                 the struct of package unix or abi, in its x86-64 layout; uint64 for a set of signals
//
// A null pointer is nil, and so is a pointer to something that has no type here. The layout of i386 is converted. What the
// call is yet to write is read all the same: it means something only after next. EFAULT: the memory cannot be read.
func (a Arg) Value() (any, error) {
	c, v := a.call, a.Raw
	if c == nil {
		return nil, unix.EINVAL
	}
	base := a.Kind.Base()
	if a.Kind.IsNamed() {
		if f, ok := a.flags(); ok {
			return f, nil
		}
	}
	if !a.Kind.IsPointer() {
		switch base {
		case abi.FD, abi.DirFD:
			return c.FD(a.Index), nil
		case abi.Signal:
			return unix.Signal(int32(v)), nil
		case abi.Ulong, abi.Hex, abi.Size, abi.HexOffset, abi.Addr, abi.SigHandler, abi.OldSigset, abi.IoctlArg, abi.FcntlArg,
			abi.SemctlArg, abi.ShmctlArg, abi.MsgctlArg, abi.SeccompArg, abi.FutexTimeout, abi.FutexTimeout64:
			return v, nil
		}
		return c.Int(a.Index), nil
	}
	if v == 0 {
		return nil, nil
	}
	switch base {
	case abi.Path:
		return c.Path(a.Index)
	case abi.String:
		return c.cstring(v, maxOneString)
	case abi.ArgvPtr, abi.EnvpPtr:
		return c.strings(v)
	case abi.Buf, abi.PathBuf, abi.IovecArray, abi.MsghdrPtr, abi.SockoptPtr:
		return c.Buffer(a.Index)
	case abi.SockaddrPtr:
		return c.sockaddr(a.Index)
	case abi.FdSetPtr:
		return c.fdSet(v)
	}
	n, err := c.lenOf(a.Index)
	if f := arrays[base]; f != nil {
		if err != nil {
			return nil, err
		}
		return f(c, v, n)
	}
	if err != nil {
		n = 0
	}
	return c.structAt(base, v, n)
}

// Value is what argument i means, if that is a T: see [Arg.Value] for which type it is. EINVAL: it is another. A null
// pointer is a T that is zero, with EFAULT.
func Value[T any](c *Call, i int) (T, error) {
	var none T
	v, err := Arg{"", c.kind(i), i, c.raw(i), c}.Value()
	if err != nil {
		return none, err
	}
	if v == nil {
		return none, unix.EFAULT
	}
	t, ok := v.(T)
	if !ok {
		return none, fmt.Errorf("sysemu: argument %d of %s is %T, not %v: %w", i, c.Name(), v, reflect.TypeFor[T](), unix.EINVAL)
	}
	return t, nil
}

// SetValue gives the handlers further in another value for an argument that the call reads: what Value returns for one of
// its kind, and for a buffer []byte. The length that goes with it is set, too. The program's memory is not changed, nor are
// its registers when the call has ended: should a signal interrupt the call, it is made again with the program's own
// arguments, and the handlers see it anew.
//
// In a machine the value is lent to the call: it lies at an address that no program has, for as long as the call lasts.
// Natively it lies in a page that is mapped into the process for that long.
//
// EINVAL: the value is not of the argument's type, or there is no such type.
func (c *Call) SetValue(i int, v any) error {
	k := c.kind(i)
	if !k.IsPointer() {
		n, ok := number(v)
		if !ok || uint(i) >= uint(len(c.c.Args)) {
			return c.mistyped(i, v)
		}
		c.c.Args[i] = n
		if k.Base() == abi.OffsetLo && i+1 < len(c.c.Args) {
			c.c.Args[i], c.c.Args[i+1] = n&(1<<32-1), n>>32
		}
		return nil
	}
	raw, sized, err := c.encode(i, v)
	if err != nil {
		return err
	}
	addr, err := c.program.Lend(raw)
	if err != nil {
		return err
	}
	c.c.Args[i] = addr
	if at := k.LenArg(i); sized && at < len(c.c.Args) {
		c.c.Args[at] = uint64(len(raw))
	}
	return nil
}

// SetPath is SetValue of a string: the call opens, removes, executes another file.
func (c *Call) SetPath(i int, name string) error { return c.SetValue(i, name) }

// Put writes v into the program's memory where argument i points to: for an argument that the call writes, what Value
// returns for one of its kind, and for a buffer []byte; the length that goes with the address of a socket is written, too.
// The value is cut off where the program's buffer ends. Nothing is written through a null pointer. EINVAL: v is not of the
// argument's type. EFAULT: the memory cannot be written.
func (c *Call) Put(i int, v any) error {
	addr := c.raw(i)
	if addr == 0 {
		return nil
	}
	k := c.kind(i)
	switch k.Base() {
	case abi.Buf, abi.PathBuf, abi.IovecArray, abi.MsghdrPtr, abi.SockoptPtr:
		b, err := c.Buffer(i)
		if err != nil {
			return err
		}
		p, ok := v.([]byte)
		if s, isString := v.(string); isString {
			p, ok = []byte(s), true
		}
		if !ok {
			return c.mistyped(i, v)
		}
		_, err = b.WriteAt(p[:min(len(p), b.Len())], 0)
		return err
	}
	raw, _, err := c.encode(i, v)
	if err != nil {
		return err
	}
	if k.Base() == abi.SockaddrPtr && k.Writes() {
		room, err := c.lenOf(i)
		if err != nil {
			return err
		}
		n := len(raw)
		raw = raw[:min(uint64(n), room)]
		if err := c.WriteMem(c.raw(k.LenArg(i)), []byte{byte(n), 0, 0, 0}); err != nil {
			return err
		}
	}
	return c.WriteMem(addr, raw)
}

func (c *Call) mistyped(i int, v any) error {
	return fmt.Errorf("sysemu: argument %d of %s cannot be %T: %w", i, c.Name(), v, unix.EINVAL)
}

// encode is v as the memory that argument i points to. sized: its length belongs into another argument.
func (c *Call) encode(i int, v any) (raw []byte, sized bool, err error) {
	base := c.kind(i).Base()
	switch base {
	case abi.Path, abi.String:
		if s, ok := v.(string); ok {
			return append([]byte(s), 0), false, nil
		}
	case abi.Buf, abi.PathBuf, abi.SockoptPtr:
		switch v := v.(type) {
		case []byte:
			return v, true, nil
		case string:
			return []byte(v), true, nil
		}
	case abi.SockaddrPtr:
		if sa, ok := v.(unix.Sockaddr); ok {
			raw, err := appendSockaddr(nil, sa)
			return raw, true, err
		}
	default:
		s, ok := shapes[base]
		if !ok {
			break
		}
		raw, ok := s.on(c.Arch()).put(v)
		if !ok {
			break
		}
		if raw == nil {
			return nil, false, unix.EOVERFLOW
		}
		return raw, s.sized, nil
	}
	return nil, false, c.mistyped(i, v)
}

// number is an integer of any type.
func number(v any) (uint64, bool) {
	if f, ok := v.(Flags); ok {
		return f.Bits, true
	}
	switch r := reflect.ValueOf(v); {
	case r.IsValid() && r.CanInt():
		return uint64(r.Int()), true
	case r.IsValid() && r.CanUint():
		return r.Uint(), true
	}
	return 0, false
}

// ReadStruct reads a T from the program's memory, laid out as T is: a struct of package unix or abi, or another of fixed size
// without pointers, else EINVAL. EFAULT: it cannot be read.
func ReadStruct[T any](c *Call, addr uint64) (v T, err error) {
	if !flat(reflect.TypeFor[T]()) {
		return v, fmt.Errorf("sysemu: %v has no layout in memory: %w", reflect.TypeFor[T](), unix.EINVAL)
	}
	err = c.ReadMem(addr, abi.Bytes(&v))
	return v, err
}

// WriteStruct writes a T to the program's memory, as ReadStruct reads it.
func WriteStruct[T any](c *Call, addr uint64, v T) error {
	if !flat(reflect.TypeFor[T]()) {
		return fmt.Errorf("sysemu: %v has no layout in memory: %w", reflect.TypeFor[T](), unix.EINVAL)
	}
	return c.WriteMem(addr, abi.Bytes(&v))
}

// flat reports whether any bytes of its size make a value of the type.
func flat(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64,
		reflect.Float32, reflect.Float64:
		return true
	case reflect.Array:
		return flat(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if !flat(t.Field(i).Type) {
				return false
			}
		}
		return true
	}
	return false
}
