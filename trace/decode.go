package trace

import (
	"strconv"

	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// special are the calls whose lines do not follow from the kinds of their arguments alone. enter writes what is
// known when the call is made, leave the rest; a nil one is left to the kinds.
type special struct{ enter, leave func(p *printer) }

var specials = map[*abi.Call]special{}

// onCalls registers what is special about calls. A call that another architecture only has is one too.
func onCalls(s special, names ...string) {
	for _, n := range names {
		specials[abi.ByName(n)] = s
	}
}

// begin readies the printer for a call.
func (p *printer) begin(mem memory, arch abi.Arch, nr int, args [6]uint64) {
	p.b, p.aux = p.b[:0], p.aux[:0]
	p.mem, p.arch, p.args = mem, arch, args
	p.desc = abi.ByNumber(arch, nr)
	p.next, p.leaving, p.ret, p.errno, p.radix, p.saved = 0, false, 0, 0, 'd', 0
	if p.desc != nil {
		p.list = p.desc.ArgsOn(arch)
		return
	}
	p.list = unknownArgs
}

var unknownArgs = []abi.Arg{{Kind: abi.Hex}, {Kind: abi.Hex}, {Kind: abi.Hex}, {Kind: abi.Hex}, {Kind: abi.Hex}, {Kind: abi.Hex}}

// enter writes the arguments that the call reads.
func (p *printer) enter() {
	if s, ok := specials[p.desc]; ok && s.enter != nil {
		s.enter(p)
		if s.leave == nil {
			p.next = len(p.list)
		}
		return
	}
	p.generic()
}

// leave writes those that it has written.
func (p *printer) leave(ret uint64, errno unix.Errno) {
	p.leaving, p.ret, p.errno = true, ret, errno
	if p.desc == nil {
		return
	}
	p.radix = radixOf(p.desc.Ret)
	if s, ok := specials[p.desc]; ok && (s.leave != nil || s.enter != nil) {
		if s.leave != nil {
			s.leave(p)
		}
		return
	}
	p.generic()
}

func radixOf(k abi.Kind) byte {
	switch k.Base() {
	case abi.Addr, abi.Hex:
		return 'x'
	case abi.Mode:
		return 'o'
	case abi.FD:
		return 'f'
	case abi.NoReturn:
		return '?'
	}
	return 'd'
}

// generic writes arguments by their kinds, up to the first that the call has yet to write.
func (p *printer) generic() {
	for ; p.next < len(p.list); p.next++ {
		a := p.list[p.next]
		if a.Kind.Base() == abi.Unused {
			continue
		}
		if !p.leaving && a.Kind.Writes() && a.Kind.Base() != abi.PollfdArray {
			return
		}
		p.arg(p.next)
		if p.next+1 < len(p.list) && p.list[p.next+1].Kind.Base() != abi.Unused {
			p.s(", ")
		}
	}
}

// lenOf is the length of the buffer or array at argument i.
func (p *printer) lenOf(i int) uint64 {
	k := p.list[i].Kind
	n := k.LenArg(i)
	if n >= len(p.args) {
		return 0
	}
	v := p.args[n]
	if n < len(p.list) {
		switch p.list[n].Kind.Base() {
		case abi.Int:
			return uint64(max(int64(int32(v)), 0))
		case abi.Uint:
			return uint64(uint32(v))
		}
	}
	return v
}

// arg writes argument i, of which all is known.
func (p *printer) arg(i int) {
	k, v := p.list[i].Kind, p.args[i]
	base := k.Base()
	if k.IsNamed() {
		p.namedArg(i, base, v)
		return
	}
	if k.IsPointer() && p.leaving && k.Writes() && p.failed() && k&abi.InOut == 0 {
		p.addr(v)
		return
	}
	switch base {
	case abi.Long, abi.Offset:
		p.long(v)
	case abi.Int:
		p.int(v)
	case abi.Uint:
		p.uint(v)
	case abi.Ulong, abi.Size:
		p.ulong(v)
	case abi.Hex, abi.HexOffset:
		p.hexNum(v)
	case abi.PageOffset:
		p.hexNum(v << 12)
	case abi.OffsetLo:
		p.dec(int64(v&0xffffffff | p.args[min(i+1, 5)]<<32))
	case abi.OffsetHi: // written with its lower half
		p.b = trimComma(p.b)
	case abi.Addr, abi.FutexPtr:
		p.addr(v)
	case abi.FD:
		p.fd(v)
	case abi.DirFD:
		p.dirFD(v)
	case abi.Mode:
		p.mode(v & 0xffff)
	case abi.OpenMode:
		flags := p.args[max(i-1, 0)]
		if flags&unix.O_CREAT != 0 || flags&unix.O_TMPFILE == unix.O_TMPFILE {
			p.mode(v & 0xffff)
		} else {
			p.b = trimComma(p.b)
		}
	case abi.FileMode:
		p.fileMode(v & 0xffffffff)
	case abi.Dev:
		isNode := i == 0 || p.list[i-1].Kind.Base() != abi.FileMode
		if !isNode {
			t := p.args[i-1] & unix.S_IFMT
			isNode = t == unix.S_IFCHR || t == unix.S_IFBLK
		}
		if isNode {
			p.dev(v)
		} else {
			p.b = trimComma(p.b)
		}
	case abi.Pid:
		p.int(v)
	case abi.Uid, abi.Gid:
		p.id(v)
	case abi.Uid16, abi.Gid16:
		if uint16(v) == 0xffff {
			p.s("-1")
		} else {
			p.uint(v & 0xffff)
		}
	case abi.Signal:
		p.signal(int(int32(v)))
	case abi.SigHandler:
		p.sigHandler(v)
	case abi.OldSigset:
		p.sigset(v)
	case abi.IpcKey:
		p.ipcKey(v)
	case abi.KeySerial:
		p.int(v)
	case abi.Ioprio:
		p.hexNum(v & 0xffffffff)
	case abi.IoctlArg:
		p.ioctlArg(v)
	case abi.FutexTimeout:
		p.timespecAt(v, false)
	case abi.FutexTimeout64:
		p.timespecAt(v, true)
	case abi.SemctlArg, abi.ShmctlArg, abi.MsgctlArg, abi.SeccompArg, abi.FcntlArg:
		p.addr(v)
	default:
		p.pointer(i, k, v)
	}
}

// trimComma takes back the ", " before an argument that is not shown.
func trimComma(b []byte) []byte {
	if n := len(b); n >= 2 && b[n-2] == ',' {
		return b[:n-2]
	}
	return b
}

// namedArg writes a number that has names.
func (p *printer) namedArg(i int, base abi.Kind, v uint64) {
	switch base {
	case abi.OpenFlags:
		p.openFlags(v)
	case abi.ClockID:
		p.clock(v)
	case abi.SockOptName:
		n := abi.SockOptNames(int(int32(p.args[i-1])))
		if n == nil {
			p.hexNum(v & 0xffffffff)
			return
		}
		p.b = n.Append(p.b, v)
	case abi.SocketProtocol:
		n := abi.ProtocolNames(int(int32(p.args[0])))
		if n == nil {
			p.uint(v)
			return
		}
		p.b = n.Append(p.b, v)
	case abi.IoctlCmd:
		p.ioctlCmd(v)
	case abi.FutexOp:
		p.futexOp(v)
	default:
		p.named(base, v)
	}
}

// openFlags writes O_ flags: O_LARGEFILE says nothing on x86-64, and is shown as it is.
func (p *printer) openFlags(v uint64) { p.named(abi.OpenFlags, v) }

func (p *printer) clock(v uint64) {
	id := int32(v)
	if id >= 0 {
		p.named(abi.ClockID, v)
		return
	}
	const fdClock, perThread, kind = 3, 4, 3
	if id&7 == fdClock {
		p.s("FD_TO_CLOCKID(")
		p.dec(int64(^(id >> 3)))
		p.c(')')
		return
	}
	if id&perThread != 0 {
		p.s("MAKE_THREAD_CPUCLOCK(")
	} else {
		p.s("MAKE_PROCESS_CPUCLOCK(")
	}
	p.dec(int64(^(id >> 3)))
	p.s(", ")
	p.s([]string{"CPUCLOCK_PROF", "CPUCLOCK_VIRT", "CPUCLOCK_SCHED", "3 /* CPUCLOCK_??? */"}[id&kind])
	p.c(')')
}

func (p *printer) dev(v uint64) {
	p.s("makedev(")
	p.hexNum(uint64(unix.Major(v)))
	p.s(", ")
	p.hexNum(uint64(unix.Minor(v)))
	p.c(')')
}

// fileMode writes a file's type and permission bits.
func (p *printer) fileMode(v uint64) {
	if t := abi.FileType.Names().Lookup(v & unix.S_IFMT); t != "" && v&unix.S_IFMT != 0 {
		p.s(t)
		p.c('|')
		if v&unix.S_ISUID != 0 {
			p.s("S_ISUID|")
		}
		if v&unix.S_ISGID != 0 {
			p.s("S_ISGID|")
		}
		if v&unix.S_ISVTX != 0 {
			p.s("S_ISVTX|")
		}
		p.mode(v & 0o777)
		return
	}
	p.mode(v)
}

func (p *printer) ipcKey(v uint64) {
	if uint32(v) == 0 {
		p.s("IPC_PRIVATE")
		return
	}
	p.hexNum(v & 0xffffffff)
}

// pointer writes data behind a pointer.
func (p *printer) pointer(i int, k abi.Kind, v uint64) {
	base := k.Base()
	if v == 0 {
		p.s("NULL")
		return
	}
	switch base {
	case abi.Buf:
		n := p.lenOf(i)
		if p.leaving && k&abi.Out != 0 {
			n = min(p.ret, n)
		}
		p.buf(v, n, false)
	case abi.Path:
		p.path(v)
	case abi.String:
		p.str(v)
	case abi.PathBuf:
		n := p.ret
		if p.desc.Name == "getcwd" {
			n--
		}
		p.buf(v, n, false)
	case abi.ArgvPtr:
		p.stringArray(v)
	case abi.EnvpPtr:
		p.environ(v)
	case abi.FDPair:
		w, ok := p.wide(v, 8)
		if !ok {
			p.addr(v)
			return
		}
		p.c('[')
		p.fd(w.u32())
		p.s(", ")
		p.fd(w.u32())
		p.c(']')
	case abi.IntPtr, abi.PidPtr:
		p.boxed(v, 4, func(w *words) { p.dec(w.i32()) })
	case abi.UintPtr, abi.UidPtr, abi.GidPtr:
		p.boxed(v, 4, func(w *words) { p.id(w.u32()) })
	case abi.Uid16Ptr, abi.Gid16Ptr:
		p.boxed(v, 2, func(w *words) { p.uint(w.u16()) })
	case abi.OffsetPtr:
		p.offsetBox(v, 8)
	case abi.OffPtr:
		p.offsetBox(v, int(p.wordSize()))
	case abi.UlongPtr:
		p.boxed(v, int(p.wordSize()), func(w *words) { p.hexNum(w.word()) })
	case abi.TimePtr:
		p.boxed(v, int(p.wordSize()), func(w *words) { p.dec(w.sword()) })
	case abi.SocklenPtr:
		p.socklen(v)
	case abi.GidArray:
		n := p.lenOf(i)
		if p.leaving {
			n = p.ret
			if p.args[0] == 0 {
				n = 0
			}
		}
		p.array(v, n, 4, func(w *words) { p.id(w.u32()) })
	case abi.Gid16Array:
		p.array(v, p.lenOf(i), 2, func(w *words) { p.uint(w.u16()) })
	case abi.IntArray:
		p.array(v, p.lenOf(i), 4, func(w *words) { p.dec(w.i32()) })
	case abi.UlongArray:
		p.array(v, p.lenOf(i), int(p.wordSize()), func(w *words) { p.hexNum(w.word()) })
	case abi.U64Array:
		p.array(v, p.lenOf(i), 8, func(w *words) { p.hexNum(w.u64()) })
	default:
		p.structAt(i, k, v)
	}
}

// boxed writes one value as [value].
func (p *printer) boxed(addr uint64, size int, f func(w *words)) {
	b, ok := p.bytes(addr, size)
	if !ok {
		p.addr(addr)
		return
	}
	w := words{b: b, wide: p.arch != abi.I386}
	p.c('[')
	f(&w)
	p.c(']')
}

// offsetBox writes a file offset that a call reads and moves on. Before and after are shown as strace does, which
// reads it once: when the call is made for sendfile's kin.
func (p *printer) offsetBox(addr uint64, size int) {
	p.boxed(addr, size, func(w *words) {
		if size == 8 {
			p.dec(w.i64())
		} else {
			p.dec(w.i32())
		}
	})
}

// maxElements bounds what is written of an array without -v.
const maxElements = 32

// array writes n elements of a size.
func (p *printer) array(addr, n uint64, size int, f func(w *words)) {
	if n == 0 {
		p.s("[]")
		return
	}
	show := n
	if !p.verbose {
		show = min(n, maxElements)
	}
	show = min(show, 4096)
	raw, ok := p.bytes(addr, int(show)*size)
	if !ok {
		p.addr(addr)
		return
	}
	// An element may read memory itself: the array must not be in the way.
	w := words{b: append([]byte(nil), raw...), wide: p.arch != abi.I386}
	p.c('[')
	for i := range show {
		if i > 0 {
			p.s(", ")
		}
		w.at = int(i) * size
		f(&w)
	}
	if show < n {
		p.s(", ...")
	}
	p.c(']')
}

// stringArray writes argv.
func (p *printer) stringArray(addr uint64) {
	size := p.wordSize()
	p.c('[')
	for i := uint64(0); ; i++ {
		w, ok := p.words(addr+i*size, 8, 4)
		if !ok {
			if i == 0 {
				p.b = p.b[:len(p.b)-1]
				p.addr(addr)
				return
			}
			p.s(", ... /* ")
			p.addr(addr + i*size)
			p.s(" */")
			break
		}
		v := w.word()
		if v == 0 {
			break
		}
		if i > 0 {
			p.s(", ")
		}
		if i >= maxElements && !p.verbose {
			p.s("...")
			break
		}
		p.str(v)
	}
	p.c(']')
}

// environ writes envp: how many there are, or all with -v.
func (p *printer) environ(addr uint64) {
	if p.verbose {
		p.stringArray(addr)
		return
	}
	p.addr(addr)
	size := p.wordSize()
	n := 0
	for ; n < 1<<16; n++ {
		w, ok := p.words(addr+uint64(n)*size, 8, 4)
		if !ok || w.word() == 0 {
			break
		}
	}
	p.envCount(n)
}

func (p *printer) envCount(n int) {
	p.s(" /* ")
	p.dec(int64(n))
	if n == 1 {
		p.s(" var */")
	} else {
		p.s(" vars */")
	}
}

// result writes a call's result, behind "= ".
func (p *printer) result() {
	switch {
	case p.errno >= 512 && p.errno <= 516:
		p.s("? ")
		p.s(abi.ErrnoName(p.errno))
		switch p.errno {
		case abi.ERESTARTSYS:
			p.s(" (To be restarted if SA_RESTART is set)")
		case abi.ERESTARTNOINTR:
			p.s(" (To be restarted)")
		case abi.ERESTARTNOHAND:
			p.s(" (To be restarted if no handler)")
		case abi.ERESTART_RESTARTBLOCK:
			p.s(" (Interrupted by signal)")
		}
		return
	case p.errno != 0:
		p.s("-1 ")
		if name := abi.ErrnoName(p.errno); name != "" {
			p.s(name)
		} else {
			p.s("ERRNO_")
			p.dec(int64(p.errno))
		}
		p.s(" (")
		p.s(errorText(p.errno))
		p.c(')')
		if len(p.aux) > 0 {
			p.s(" (")
			p.b = append(p.b, p.aux...)
			p.c(')')
		}
		return
	}
	switch p.radix {
	case '?':
		p.c('?')
		return
	case 'x':
		p.hexNum(p.ret)
	case 'o':
		if p.ret < 0o1000 {
			p.mode(p.ret)
		} else {
			p.octal(p.ret)
		}
	case 'u':
		p.ulong(p.ret)
	case 'f':
		p.fd(p.ret)
	default:
		p.long(p.ret)
	}
	if len(p.aux) > 0 {
		p.s(" (")
		p.b = append(p.b, p.aux...)
		p.c(')')
	}
}

// errorText is strerror(3).
func errorText(e unix.Errno) string {
	if s, ok := errorTexts[e]; ok {
		return s
	}
	return "Unknown error " + strconv.Itoa(int(e))
}

// inAux has f write to the text behind the result.
func (p *printer) inAux(f func()) {
	p.b, p.aux = p.aux, p.b
	f()
	p.b, p.aux = p.aux, p.b
}

// whole reports whether all arguments are written: there is none to come.
func (p *printer) whole() bool {
	n := len(p.b)
	return len(p.list) == 0 || p.next >= len(p.list) || n >= 2 && p.b[n-2] != ','
}
