package trace

import (
	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// fields writes a struct's fields: "{name=" before the first, ", name=" before the others.
func (p *printer) open(name string)  { p.c('{'); p.s(name); p.c('=') }
func (p *printer) field(name string) { p.s(", "); p.s(name); p.c('=') }

// structAt writes the struct that argument i points to.
func (p *printer) structAt(i int, k abi.Kind, v uint64) {
	switch k.Base() {
	case abi.StatPtr:
		p.stat(v)
	case abi.Stat64Ptr:
		p.stat64(v)
	case abi.StatxPtr:
		p.statx(v)
	case abi.StatfsPtr, abi.Statfs64Ptr:
		p.statfs(v, k.Base() == abi.Statfs64Ptr)
	case abi.TimespecPtr:
		p.timespecAt(v, false)
	case abi.Timespec64Ptr:
		p.timespecAt(v, true)
	case abi.TimespecPairPtr, abi.Timespec64PairPtr:
		p.utimes(v, 1, k.Base() == abi.Timespec64PairPtr)
	case abi.TimevalPtr:
		p.timevalAt(v)
	case abi.TimevalPairPtr:
		p.utimes(v, 1000, false)
	case abi.UtimbufPtr:
		w, ok := p.words(v, 16, 8)
		if !ok {
			p.addr(v)
			return
		}
		for i, name := range []string{"actime", "modtime"} {
			if i == 0 {
				p.open(name)
			} else {
				p.field(name)
			}
			t := w.sword()
			p.dec(t)
			p.timeComment(t, 0, 0)
		}
		p.c('}')
	case abi.ItimerspecPtr, abi.Itimerspec64Ptr:
		p.itimer(v, "tv_nsec", k.Base() == abi.Itimerspec64Ptr)
	case abi.ItimervalPtr:
		p.itimer(v, "tv_usec", false)
	case abi.TimezonePtr:
		if w, ok := p.wide(v, 8); ok {
			p.open("tz_minuteswest")
			p.dec(w.i32())
			p.field("tz_dsttime")
			p.dec(w.i32())
			p.c('}')
			return
		}
		p.addr(v)
	case abi.TmsPtr:
		w, ok := p.words(v, 32, 16)
		if !ok {
			p.addr(v)
			return
		}
		for i, name := range []string{"tms_utime", "tms_stime", "tms_cutime", "tms_cstime"} {
			if i == 0 {
				p.open(name)
			} else {
				p.field(name)
			}
			p.ticks(w.sword())
		}
		p.c('}')
	case abi.RlimitPtr:
		p.rlimit(v, "RLIM_INFINITY", false)
	case abi.Rlimit64Ptr:
		p.rlimit(v, "RLIM64_INFINITY", true)
	case abi.RusagePtr:
		if p.desc.Name == "wait4" && p.ret == 0 || p.failed() {
			p.addr(v)
			return
		}
		p.rusage(v)
	case abi.UtsnamePtr:
		p.utsname(v)
	case abi.SysinfoPtr:
		p.sysinfo(v)
	case abi.SigsetPtr:
		if w, ok := p.wide(v, 8); ok {
			p.sigset(w.u64())
			return
		}
		p.addr(v)
	case abi.OldSigsetPtr:
		if w, ok := p.words(v, 8, 4); ok {
			p.sigset(w.word())
			return
		}
		p.addr(v)
	case abi.SigsetSizePtr:
		p.sigsetSize(v)
	case abi.SigactionPtr:
		p.sigaction(v)
	case abi.SiginfoPtr:
		p.siginfoAt(v)
	case abi.StackTPtr:
		if w, ok := p.words(v, 24, 12); ok {
			p.open("ss_sp")
			p.addr(w.word())
			p.field("ss_flags")
			p.named(abi.SigaltstackFlags, w.u32())
			if w.wide {
				w.skip(4)
			}
			p.field("ss_size")
			p.ulong(w.word())
			p.c('}')
			return
		}
		p.addr(v)
	case abi.SigeventPtr:
		p.sigevent(v)
	case abi.IovecArray, abi.RemoteIovecArray:
		left := ^uint64(0)
		if k.Writes() {
			left = p.ret
		}
		p.iovecs(v, p.lenOf(i), left, k.Base() == abi.IovecArray)
	case abi.PollfdArray:
		p.array(v, p.lenOf(i), 8, func(w *words) { p.pollfd(w) })
	case abi.FdSetPtr:
		p.fdSet(v, int(int32(p.args[0])))
	case abi.EpollEventPtr:
		if w, ok := p.wide(v, 12); ok && p.args[1] != unix.EPOLL_CTL_DEL {
			p.epollEvent(&w)
			return
		}
		p.addr(v)
	case abi.EpollEventArray:
		p.array(v, p.ret, 12, func(w *words) { p.epollEvent(w) })
	case abi.SockaddrPtr:
		n := p.args[i+1]
		if k.Writes() {
			if n = p.sockLen(p.args[i+1]); n > p.saved {
				n = p.saved
			}
		}
		p.sockaddr(v, uint64(uint32(n)))
	case abi.SockoptPtr:
		p.sockopt(v, i, k.Writes())
	case abi.MsghdrPtr:
		p.msghdr(v, p.ret, k&abi.InOut != 0)
	case abi.MmsghdrArray:
		p.mmsghdr(v, i)
	case abi.WaitStatusPtr:
		if p.ret == 0 {
			p.addr(v)
			return
		}
		p.boxed(v, 4, func(w *words) { p.waitStatus(uint32(w.u32())) })
	case abi.Dirent64Buf, abi.DirentBuf:
		p.dirents(v, k.Base() == abi.Dirent64Buf)
	case abi.CPUSetPtr:
		n := p.lenOf(i)
		if k.Writes() {
			n = p.ret
		}
		p.cpuSet(v, n)
	case abi.SchedParamPtr:
		p.boxed(v, 4, func(w *words) { p.dec(w.i32()) })
	case abi.CapHeaderPtr:
		p.capHeader(v)
	case abi.CapDataPtr:
		p.capData(v)
	case abi.SembufArray:
		p.array(v, p.lenOf(i), 6, func(w *words) {
			p.open("sem_num")
			p.uint(w.u16())
			p.field("sem_op")
			p.dec(int64(int16(w.u16())))
			p.field("sem_flg")
			p.semFlags(w.u16())
			p.c('}')
		})
	case abi.MsgbufPtr:
		n := p.args[2]
		if k.Writes() {
			n = min(n, 1<<20)
		}
		ws := p.wordSize()
		if w, ok := p.words(v, 8, 4); ok {
			p.open("mtype")
			p.dec(w.sword())
			p.field("mtext")
			p.buf(v+ws, n, false)
			p.c('}')
			return
		}
		p.addr(v)
	case abi.OpenHowPtr:
		p.openHow(v, i)
	case abi.MqAttrPtr:
		if w, ok := p.words(v, 64, 32); ok {
			p.open("mq_flags")
			p.named(abi.OpenFlags, w.word())
			p.field("mq_maxmsg")
			p.dec(w.sword())
			p.field("mq_msgsize")
			p.dec(w.sword())
			p.field("mq_curmsgs")
			p.dec(w.sword())
			p.c('}')
			return
		}
		p.addr(v)
	default:
		p.addr(v)
	}
}

func (p *printer) semFlags(v uint64) {
	const undo = 0x1000
	start := len(p.b)
	if v&undo != 0 {
		p.s("SEM_UNDO")
	}
	if v&unix.IPC_NOWAIT != 0 {
		if len(p.b) > start {
			p.c('|')
		}
		p.s("IPC_NOWAIT")
	}
	if rest := v &^ (undo | unix.IPC_NOWAIT); rest != 0 || v == 0 {
		if len(p.b) > start {
			p.c('|')
		}
		p.hexNum(rest)
	}
}

// stat writes struct stat: in short its type, size and mode.
func (p *printer) stat(addr uint64) {
	var dev, ino, mode, nlink, uid, gid, rdev, size, blksize, blocks uint64
	var times [6]int64
	if p.arch == abi.I386 {
		w, ok := p.words(addr, 0, 64)
		if !ok {
			p.addr(addr)
			return
		}
		dev, ino, mode, nlink, uid, gid = w.u32(), w.u32(), w.u16(), w.u16(), w.u16(), w.u16()
		rdev, size, blksize, blocks = w.u32(), w.u32(), w.u32(), w.u32()
		for i := range times {
			times[i] = int64(w.u32())
		}
	} else {
		w, ok := p.wide(addr, 144)
		if !ok {
			p.addr(addr)
			return
		}
		dev, ino, nlink, mode, uid, gid = w.u64(), w.u64(), w.u64(), w.u32(), w.u32(), w.u32()
		w.skip(4)
		rdev, size, blksize, blocks = w.u64(), w.u64(), w.u64(), w.u64()
		for i := range times {
			times[i] = w.i64()
		}
	}
	p.statFields(dev, ino, mode, nlink, uid, gid, rdev, size, blksize, blocks, times)
}

func (p *printer) stat64(addr uint64) {
	w, ok := p.words(addr, 96, 96)
	if !ok {
		p.addr(addr)
		return
	}
	dev := w.u64()
	w.skip(8)
	mode, nlink, uid, gid := w.u32(), w.u32(), w.u32(), w.u32()
	rdev := w.u64()
	w.skip(4)
	size, blksize, blocks := w.u64(), w.u32(), w.u64()
	var times [6]int64
	for i := range times {
		times[i] = int64(w.u32())
	}
	p.statFields(dev, w.u64(), mode, nlink, uid, gid, rdev, size, blksize, blocks, times)
}

func (p *printer) statFields(dev, ino, mode, nlink, uid, gid, rdev, size, blksize, blocks uint64, times [6]int64) {
	if p.verbose {
		p.open("st_dev")
		p.dev(dev)
		p.field("st_ino")
		p.ulong(ino)
		p.field("st_mode")
	} else {
		p.open("st_mode")
	}
	p.fileMode(mode)
	if p.verbose {
		p.field("st_nlink")
		p.ulong(nlink)
		p.field("st_uid")
		p.ulong(uid)
		p.field("st_gid")
		p.ulong(gid)
		p.field("st_blksize")
		p.ulong(blksize)
		p.field("st_blocks")
		p.ulong(blocks)
	}
	switch mode & unix.S_IFMT {
	case unix.S_IFCHR, unix.S_IFBLK:
		p.field("st_rdev")
		p.dev(rdev)
	default:
		p.field("st_size")
		p.dec(int64(size))
	}
	if !p.verbose {
		p.s(", ...}")
		return
	}
	for i, name := range []string{"st_atime", "st_mtime", "st_ctime"} {
		p.field(name)
		sec, nsec := times[2*i], times[2*i+1]
		p.dec(sec)
		p.nsecComment(sec, nsec)
		p.s(", ")
		p.s(name)
		p.s("_nsec=")
		p.dec(nsec)
	}
	p.c('}')
}

func (p *printer) nsecComment(sec, nsec int64) {
	if nsec == 0 {
		p.timeComment(sec, 0, 0)
		return
	}
	p.timeComment(sec, nsec, 9)
}

func (p *printer) statx(addr uint64) {
	w, ok := p.wide(addr, 256)
	if !ok {
		p.addr(addr)
		return
	}
	mask, blksize, attrs, nlink, uid, gid, mode := w.u32(), w.u32(), w.u64(), w.u32(), w.u32(), w.u32(), w.u16()
	w.skip(2)
	ino, size, blocks, attrMask := w.u64(), w.u64(), w.u64(), w.u64()
	p.open("stx_mask")
	p.named(abi.StatxMask, mask)
	if p.verbose {
		p.field("stx_blksize")
		p.ulong(blksize)
	}
	p.field("stx_attributes")
	p.named(abi.StatxAttributes, attrs)
	if p.verbose {
		p.field("stx_nlink")
		p.ulong(nlink)
		p.field("stx_uid")
		p.ulong(uid)
		p.field("stx_gid")
		p.ulong(gid)
	}
	p.field("stx_mode")
	p.fileMode(mode)
	if p.verbose {
		p.field("stx_ino")
		p.ulong(ino)
	}
	p.field("stx_size")
	p.ulong(size)
	if !p.verbose {
		p.s(", ...}")
		return
	}
	p.field("stx_blocks")
	p.ulong(blocks)
	p.field("stx_attributes_mask")
	p.named(abi.StatxAttributes, attrMask)
	for _, name := range []string{"stx_atime", "stx_btime", "stx_ctime", "stx_mtime"} {
		p.field(name)
		sec, nsec := w.i64(), int64(w.u32())
		w.skip(4)
		p.s("{tv_sec=")
		p.dec(sec)
		p.s(", tv_nsec=")
		p.dec(nsec)
		p.c('}')
		p.nsecComment(sec, nsec)
	}
	for _, name := range []string{"stx_rdev_major", "stx_rdev_minor", "stx_dev_major", "stx_dev_minor"} {
		p.field(name)
		p.ulong(w.u32())
	}
	p.field("stx_mnt_id")
	p.hexNum(w.u64())
	p.c('}')
}

func (p *printer) statfs(addr uint64, is64 bool) {
	n32 := 64
	if is64 {
		n32 = 84
	}
	w, ok := p.words(addr, 120, n32)
	if !ok {
		p.addr(addr)
		return
	}
	count := w.word
	if is64 {
		count = w.u64
	}
	p.open("f_type")
	typ := w.word()
	if s := abi.StatfsMagic.Names().Lookup(typ); s != "" {
		p.s(statfsName(s))
	} else {
		p.hexNum(typ)
	}
	p.field("f_bsize")
	p.ulong(w.word())
	for _, name := range []string{"f_blocks", "f_bfree", "f_bavail", "f_files", "f_ffree"} {
		p.field(name)
		p.ulong(count())
	}
	p.s(", f_fsid={val=[")
	p.hexNum(w.u32())
	p.s(", ")
	p.hexNum(w.u32())
	p.s("]}, f_namelen=")
	p.ulong(w.word())
	p.field("f_frsize")
	p.ulong(w.word())
	p.field("f_flags")
	p.named(abi.StatfsFlags, w.word())
	p.c('}')
}

// statfsName is strace's name where a number has several.
func statfsName(s string) string {
	if s == "EXT4_SUPER_MAGIC" {
		return "EXT2_SUPER_MAGIC"
	}
	return s
}

// timespec writes seconds and a fraction.
func (p *printer) timespec(sec, frac int64, unit string) {
	p.s("{tv_sec=")
	p.dec(sec)
	p.s(", ")
	p.s(unit)
	p.c('=')
	p.dec(frac)
	p.c('}')
}

func (p *printer) timespecAt(addr uint64, is64 bool) {
	if addr == 0 {
		p.s("NULL")
		return
	}
	w, ok := p.words(addr, 16, 8)
	if is64 {
		w, ok = p.wide(addr, 16)
	}
	if !ok {
		p.addr(addr)
		return
	}
	p.timespec(w.sword(), w.sword(), "tv_nsec")
}

func (p *printer) timevalAt(addr uint64) {
	w, ok := p.words(addr, 16, 8)
	if !ok {
		p.addr(addr)
		return
	}
	p.timespec(w.sword(), w.sword(), "tv_usec")
}

func (p *printer) itimer(addr uint64, unit string, is64 bool) {
	w, ok := p.words(addr, 32, 16)
	if is64 {
		w, ok = p.wide(addr, 32)
	}
	if !ok {
		p.addr(addr)
		return
	}
	p.s("{it_interval=")
	p.timespec(w.sword(), w.sword(), unit)
	p.s(", it_value=")
	p.timespec(w.sword(), w.sword(), unit)
	p.c('}')
}

// utimes writes a pair of times of a file; fractions are in ns with scale 1, in µs with 1000.
func (p *printer) utimes(addr uint64, scale int64, is64 bool) {
	w, ok := p.words(addr, 32, 16)
	if is64 {
		w, ok = p.wide(addr, 32)
	}
	if !ok {
		p.addr(addr)
		return
	}
	p.c('[')
	for i := range 2 {
		if i > 0 {
			p.s(", ")
		}
		sec, frac := w.sword(), w.sword()
		switch {
		case scale == 1 && frac == unix.UTIME_NOW:
			p.s("UTIME_NOW")
		case scale == 1 && frac == unix.UTIME_OMIT:
			p.s("UTIME_OMIT")
		case scale == 1:
			p.timespec(sec, frac, "tv_nsec")
			p.nsecComment(sec, frac)
		default:
			p.timespec(sec, frac, "tv_usec")
			if frac == 0 {
				p.timeComment(sec, 0, 0)
			} else {
				p.timeComment(sec, frac, 6)
			}
		}
	}
	p.c(']')
}

// ticks writes a clock_t, with what it is in seconds.
func (p *printer) ticks(v int64) {
	p.dec(v)
	if v > 0 {
		p.s(" /* ")
		p.dec(v / abi.USER_HZ)
		p.c('.')
		p.b = appendPadded(p.b, v%abi.USER_HZ, 2)
		p.s(" s */")
	}
}

func (p *printer) rlimit(addr uint64, infinity string, is64 bool) {
	w, ok := p.words(addr, 16, 8)
	if is64 {
		w, ok = p.wide(addr, 16)
	}
	if !ok {
		p.addr(addr)
		return
	}
	limit := func() {
		v := w.word()
		switch {
		case v == ^uint64(0) || !w.wide && v == 1<<32-1:
			p.s(infinity)
		case v > 1024 && v%1024 == 0:
			p.ulong(v / 1024)
			p.s("*1024")
		default:
			p.ulong(v)
		}
	}
	p.open("rlim_cur")
	limit()
	p.field("rlim_max")
	limit()
	p.c('}')
}

func (p *printer) rusage(addr uint64) {
	w, ok := p.words(addr, 144, 72)
	if !ok {
		p.addr(addr)
		return
	}
	p.s("{ru_utime=")
	p.timespec(w.sword(), w.sword(), "tv_usec")
	p.s(", ru_stime=")
	p.timespec(w.sword(), w.sword(), "tv_usec")
	if !p.verbose {
		p.s(", ...}")
		return
	}
	for _, name := range []string{"ru_maxrss", "ru_ixrss", "ru_idrss", "ru_isrss", "ru_minflt", "ru_majflt", "ru_nswap",
		"ru_inblock", "ru_oublock", "ru_msgsnd", "ru_msgrcv", "ru_nsignals", "ru_nvcsw", "ru_nivcsw"} {
		p.field(name)
		p.ulong(w.word())
	}
	p.c('}')
}

func (p *printer) utsname(addr uint64) {
	b, ok := p.bytes(addr, 390)
	if !ok {
		p.addr(addr)
		return
	}
	for i, name := range []string{"sysname", "nodename", "release", "version", "machine", "domainname"} {
		if i == 2 && !p.verbose {
			p.s(", ...}")
			return
		}
		if i == 0 {
			p.open(name)
		} else {
			p.field(name)
		}
		v := b[65*i : 65*i+65]
		for j, c := range v {
			if c == 0 {
				v = v[:j]
				break
			}
		}
		p.quote(v, false)
	}
	p.c('}')
}

func (p *printer) sysinfo(addr uint64) {
	w, ok := p.words(addr, 112, 64)
	if !ok {
		p.addr(addr)
		return
	}
	p.open("uptime")
	p.ulong(w.word())
	p.s(", loads=[")
	for i := range 3 {
		if i > 0 {
			p.s(", ")
		}
		p.ulong(w.word())
	}
	p.c(']')
	for _, name := range []string{"totalram", "freeram", "sharedram", "bufferram", "totalswap", "freeswap"} {
		p.field(name)
		p.ulong(w.word())
	}
	p.field("procs")
	p.ulong(w.u16())
	if w.skip(2); w.wide {
		w.skip(4)
	}
	p.field("totalhigh")
	p.ulong(w.word())
	p.field("freehigh")
	p.ulong(w.word())
	p.field("mem_unit")
	p.ulong(w.u32())
	p.c('}')
}

// iovecs writes an array of buffers; left bytes of them have data, and with data it is shown.
func (p *printer) iovecs(addr, n, left uint64, data bool) {
	ws := p.wordSize()
	p.array(addr, n, int(2*ws), func(w *words) {
		base, size := w.word(), w.word()
		p.open("iov_base")
		has := min(size, left)
		if left != ^uint64(0) {
			left -= has
		}
		if data {
			p.buf(base, has, false)
		} else {
			p.addr(base)
		}
		p.field("iov_len")
		p.ulong(size)
		p.c('}')
	})
}

func (p *printer) pollfd(w *words) {
	p.open("fd")
	fd := w.i32()
	p.fd(uint64(fd))
	if fd >= 0 {
		p.field("events")
		p.named(abi.PollEvents, w.u16())
	}
	p.c('}')
}

// fdSet writes the descriptors below n of a set.
func (p *printer) fdSet(addr uint64, n int) {
	if addr == 0 {
		p.s("NULL")
		return
	}
	n = min(max(n, 0), 1<<16)
	b, ok := p.bytes(addr, (n+63)/64*8)
	if !ok {
		p.addr(addr)
		return
	}
	p.c('[')
	first := true
	for fd := range n {
		if b[fd/8]&(1<<(fd%8)) != 0 {
			if !first {
				p.c(' ')
			}
			first = false
			p.fd(uint64(fd))
		}
	}
	p.c(']')
}

func (p *printer) epollEvent(w *words) {
	p.open("events")
	p.named(abi.EpollEvents, w.u32())
	data := w.u64()
	p.s(", data={u32=")
	p.uint(data)
	p.s(", u64=")
	p.ulong(data)
	p.s("}}")
}

func (p *printer) waitStatus(ws uint32) {
	s := unix.WaitStatus(ws)
	switch {
	case s.Exited():
		p.s("{WIFEXITED(s) && WEXITSTATUS(s) == ")
		p.dec(int64(s.ExitStatus()))
	case s.Stopped():
		p.s("{WIFSTOPPED(s) && WSTOPSIG(s) == ")
		p.signal(int(s.StopSignal()))
		if e := ws >> 16; e != 0 {
			p.c('}')
			p.s(" | ")
			p.named(abi.PtraceEvent, uint64(e))
			p.s(" << 16")
			return
		}
	case s.Signaled():
		p.s("{WIFSIGNALED(s) && WTERMSIG(s) == ")
		p.signal(int(s.Signal()))
		if s.CoreDump() {
			p.s(" && WCOREDUMP(s)")
		}
	case s.Continued():
		p.s("{WIFCONTINUED(s)")
	default:
		p.hexNum(uint64(ws))
		return
	}
	p.c('}')
}

// dirents counts directory entries, or writes them with -v.
func (p *printer) dirents(addr uint64, is64 bool) {
	n := min(p.ret, 1<<20)
	b, ok := p.bytes(addr, int(n))
	if !ok && n > 0 {
		p.addr(addr)
		return
	}
	head := 19
	if !is64 {
		head = int(2*p.wordSize()) + 2
	}
	count := 0
	if p.verbose {
		p.c('[')
	}
	for len(b) >= head {
		w := words{b: b, wide: is64 || p.arch != abi.I386}
		ino, off, reclen := w.word(), w.sword(), int(w.u16())
		if reclen < head || reclen > len(b) {
			break
		}
		if p.verbose {
			typ := uint64(0)
			name := b[w.at:reclen]
			if is64 {
				typ, name = w.u8(), b[head:reclen]
			} else {
				typ = uint64(b[reclen-1])
			}
			for i, c := range name {
				if c == 0 {
					name = name[:i]
					break
				}
			}
			if count > 0 {
				p.s(", ")
			}
			p.open("d_ino")
			p.ulong(ino)
			p.field("d_off")
			p.dec(off)
			p.field("d_reclen")
			p.dec(int64(reclen))
			if is64 {
				p.field("d_type")
				p.named(abi.DirentType, typ)
			}
			p.field("d_name")
			p.quote(name, false)
			if !is64 {
				p.field("d_type")
				p.named(abi.DirentType, typ)
			}
			p.c('}')
		}
		count++
		b = b[reclen:]
	}
	if p.verbose {
		p.c(']')
		return
	}
	p.addr(addr)
	p.s(" /* ")
	p.dec(int64(count))
	p.s(" entries */")
}

func (p *printer) cpuSet(addr, n uint64) {
	n = min(n, 1024)
	b, ok := p.bytes(addr, int(n))
	if !ok {
		p.addr(addr)
		return
	}
	p.c('[')
	first := true
	for i := range len(b) * 8 {
		if b[i/8]&(1<<(i%8)) != 0 {
			if !first {
				p.c(' ')
			}
			first = false
			p.dec(int64(i))
		}
	}
	p.c(']')
}

func (p *printer) capHeader(addr uint64) {
	w, ok := p.wide(addr, 8)
	if !ok {
		p.addr(addr)
		return
	}
	p.open("version")
	switch v := w.u32(); v {
	case unix.LINUX_CAPABILITY_VERSION_1:
		p.s("_LINUX_CAPABILITY_VERSION_1")
	case unix.LINUX_CAPABILITY_VERSION_2:
		p.s("_LINUX_CAPABILITY_VERSION_2")
	case unix.LINUX_CAPABILITY_VERSION_3:
		p.s("_LINUX_CAPABILITY_VERSION_3")
	default:
		p.hexNum(v)
		p.s(" /* _LINUX_CAPABILITY_VERSION_??? */")
	}
	p.field("pid")
	p.dec(w.i32())
	p.c('}')
}

func (p *printer) capData(addr uint64) {
	w, ok := p.wide(addr, 24)
	if !ok {
		p.addr(addr)
		return
	}
	var sets [3]uint64
	for half := range 2 {
		for i := range sets {
			sets[i] |= w.u32() << (32 * half)
		}
	}
	for i, name := range []string{"effective", "permitted", "inheritable"} {
		if i == 0 {
			p.open(name)
		} else {
			p.field(name)
		}
		p.caps(sets[i])
	}
	p.c('}')
}

func (p *printer) caps(set uint64) {
	if set == 0 {
		p.c('0')
		return
	}
	first := true
	rest := set
	for bit := range 64 {
		if set&(1<<bit) == 0 {
			continue
		}
		name := abi.Capability.Names().Lookup(uint64(bit))
		if name == "" {
			continue
		}
		if !first {
			p.c('|')
		}
		first = false
		p.s("1<<")
		p.s(name)
		rest &^= 1 << bit
	}
	if rest != 0 {
		if !first {
			p.c('|')
		}
		p.hexNum(rest)
	}
}

func (p *printer) openHow(addr uint64, i int) {
	w, ok := p.wide(addr, 24)
	if !ok || p.args[i+1] < 24 {
		p.addr(addr)
		return
	}
	flags, mode, resolve := w.u64(), w.u64(), w.u64()
	p.open("flags")
	p.named(abi.OpenFlags, flags)
	if mode != 0 || flags&unix.O_CREAT != 0 {
		p.field("mode")
		p.mode(mode)
	}
	p.field("resolve")
	p.named(abi.ResolveFlags, resolve)
	p.c('}')
}
