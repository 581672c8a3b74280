package kernel

import (
	"encoding/binary"
	"io"
	"os"
	"path"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/loader"
	"github.com/sysemu/sysemu/internal/machine"
	"github.com/sysemu/sysemu/internal/mm"
	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

func init() {
	addFamily(calls{
		"execve":   e3(sysExecve[uint64]),
		"execveat": e5(sysExecveat[uint64]),
	})
}

func sysExecve[W words](t *Task, name Str, argv, envp Ptr[W]) error {
	return sysExecveat(t, unix.AT_FDCWD, name, argv, envp, 0)
}

func sysExecveat[W words](t *Task, dir FD, name Str, argv, envp Ptr[W], flags int32) error {
	if flags&^(unix.AT_EMPTY_PATH|unix.AT_SYMLINK_NOFOLLOW) != 0 {
		return unix.EINVAL
	}
	file, err := name.In(t)
	if err != nil {
		return err
	}
	at, err := t.at(dir, file)
	if err != nil {
		return err
	}
	defer at.Dir.Unref()
	budget := loader.NewArgBudget(t.p.limits[unix.RLIMIT_STACK].Cur)
	args, err := copyInStrings(t, argv, budget)
	if err != nil {
		return err
	}
	env, err := copyInStrings(t, envp, budget)
	if err != nil {
		return err
	}
	wf := vfs.Follow
	if flags&unix.AT_SYMLINK_NOFOLLOW != 0 {
		wf = 0
	}
	if flags&unix.AT_EMPTY_PATH != 0 {
		wf |= vfs.Empty
	}
	// The name that scripts and AT_EXECFN see. An interpreter could not open
	// the script by it when the descriptor is closed.
	shown := file
	hidden := false
	if dir != unix.AT_FDCWD && !path.IsAbs(file) {
		hidden, _ = t.files.Cloexec(int(dir))
		shown = "/dev/fd/" + itoa(int(dir))
		if file != "" {
			shown += "/" + file
		}
	}
	t.noResult = true
	tid := t.tid
	switch err := t.exec(at, file, shown, hidden, wf, args, env).(type) {
	case nil:
		t.traceExec(tid)
	case lateError:
		// Linux has given up the old program by then.
		t.p.exitGroup(int(unix.SIGSEGV))
	default:
		t.noResult = false
		return err
	}
	return nil
}

// copyInStrings reads a NULL-terminated array of strings, as long as budget
// allows.
func copyInStrings[W words](t *Task, p Ptr[W], budget *loader.ArgBudget) ([]string, error) {
	if p == 0 {
		return nil, nil
	}
	var list []string
	for i := 0; ; i++ {
		a, err := p.At(i).In(t)
		if err != nil {
			return nil, err
		}
		if a == 0 {
			return list, nil
		}
		s, err := t.copyInString(uint64(a), loader.MaxArgStrlen)
		if err != nil {
			return nil, err
		}
		if err := budget.Pointers(1); err != nil {
			return nil, err
		}
		if err := budget.String(len(s)); err != nil {
			return nil, err
		}
		list = append(list, s)
	}
}

// program is an opened file that is being made a process of.
type program struct {
	file   *vfs.File // the ELF file itself, held
	interp *vfs.File // its dynamic loader, held, or nil
	image  *loader.Image
	ld     *loader.Image
	arch   *archDesc

	personality uint32 // that the process will have

	argv   []string
	cred   *Cred
	secure bool
	name   string // for comm
}

func (g *program) release(t *Task) {
	for _, f := range []*vfs.File{g.file, g.interp} {
		if f != nil {
			f.AllowWrite()
			f.Unref(t)
		}
	}
}

// fileReader reads a description as an io.ReaderAt.
type fileReader struct {
	t *Task
	f *vfs.File
}

func (r fileReader) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		k, err := r.f.Impl.(vfs.Reader).Read(r.t, r.f, p[n:], off+int64(n))
		n += k
		if err != nil {
			return n, err
		}
		if k == 0 {
			return n, io.EOF
		}
	}
	return n, nil
}

// openProgram finds what is to be run: the file, or the interpreter that its
// "#!" line names.
func (t *Task) openProgram(at vfs.At, file, shown string, hidden bool, wf vfs.WalkFlags, argv []string) (*program, error) {
	g := &program{argv: argv, cred: t.cred}
	ok := false
	defer func() {
		if !ok {
			g.release(t)
		}
	}()
	name := shown
	for depth := 0; ; depth++ {
		f, err := vfs.OpenExec(t, at, file, wf, 0)
		if err != nil {
			return nil, err
		}
		g.file = f
		if _, can := f.Impl.(vfs.Reader); !can {
			return nil, unix.EACCES
		}
		if err := t.execCred(g, f); err != nil {
			return nil, err
		}
		head, err := loader.ReadHead(fileReader{t, f})
		if err != nil {
			return nil, err
		}
		switch {
		case file == "" && f.Path.Dentry != nil: // by descriptor
			g.name = f.Path.Dentry.Name()
		case depth == 0:
			g.name = path.Base(shown)
		}
		script, err := loader.ParseScript(head)
		if err != nil {
			return nil, err
		}
		if script == nil {
			break
		}
		if hidden {
			return nil, unix.ENOENT
		}
		if depth == loader.MaxInterpreters {
			return nil, unix.ELOOP
		}
		g.file = nil
		f.AllowWrite()
		f.Unref(t)
		g.argv = script.Argv(name, g.argv)
		if script.Interp == "" {
			return nil, unix.EACCES // the empty name is a directory here
		}
		file, name, wf = script.Interp, script.Interp, vfs.Follow
		at = t.atCwd()
	}
	var err error
	if g.image, err = loader.Parse(fileReader{t, g.file}); err != nil {
		return nil, err
	}
	g.arch = archOf(g.image.Arch)
	if g.image.Arch == abi.I386 {
		switch _, err := t.cpu.hw.VDSO32(); err {
		case nil:
		case machine.ErrNoI386:
			return nil, unix.ENOEXEC
		default:
			return nil, unix.EAGAIN
		}
	}
	g.personality = g.arch.personality(t.attrs.personality, g.image)
	if g.secure {
		g.personality &^= clearedOnSetID
	}
	if g.image.HasInterp {
		if g.interp, err = vfs.OpenExec(t, t.atCwd(), g.image.Interp, vfs.Follow, 0); err != nil {
			return nil, err
		}
		if g.ld, err = loader.ParseInterpreter(fileReader{t, g.interp}, g.image.Arch); err != nil {
			return nil, err
		}
	}
	ok = true
	return g, nil
}

// execCred works out the identity the program will have, credentials(7) and
// capabilities(7).
func (t *Task) execCred(g *program, f *vfs.File) error {
	a, err := f.Inode.Attr(t)
	if err != nil {
		return err
	}
	c := t.cred.clone()
	if !f.Path.Mount.Has(unix.MS_NOSUID) && !c.NoNewPrivs {
		if a.Mode&unix.S_ISUID != 0 {
			c.EUID = a.UID
		}
		if a.Mode&(unix.S_ISGID|unix.S_IXGRP) == unix.S_ISGID|unix.S_IXGRP {
			c.EGID = a.GID
		}
	}
	g.secure = c.EUID != c.UID || c.EGID != c.GID
	c.SUID, c.SGID = c.EUID, c.EGID
	c.fs.UID, c.fs.GID = c.EUID, c.EGID
	const noRoot, noRootKeep = 1, 0
	root := c.SecureBits&noRoot == 0 && (c.EUID == 0 || c.UID == 0)
	if x := t.tracee; x != nil && (c.EUID != c.UID || c.EGID != c.GID) && !x.cred.Has(unix.CAP_SYS_PTRACE) && !t.cred.Has(unix.CAP_SETUID) {
		// A tracer is not to get what it may not have itself.
		c.EUID, c.EGID = c.UID, c.GID
		c.SUID, c.SGID = c.EUID, c.EGID
		c.fs.UID, c.fs.GID = c.EUID, c.EGID
	}
	changed := c.EUID != t.cred.EUID || c.EGID != t.cred.EGID
	if changed {
		c.Ambient = 0
	}
	if root {
		c.Permitted = c.Bounding | c.Inheritable
	} else {
		c.Permitted = c.Ambient
	}
	switch {
	case root && c.EUID == 0:
		c.fs.Caps = c.Permitted
	default:
		c.fs.Caps = c.Ambient
	}
	c.SecureBits &^= 1 << 4 // SECBIT_KEEP_CAPS
	g.cred = c
	return nil
}

// exec makes the task run another program. Until all that can fail has been
// done the old one is whole, so an error is just returned.
func (t *Task) exec(at vfs.At, file, shown string, hidden bool, wf vfs.WalkFlags, argv, envp []string) error {
	if len(argv) == 0 {
		argv = []string{""} // as Linux since 5.18
	}
	g, err := t.openProgram(at, file, shown, hidden, wf, argv)
	if err != nil {
		return err
	}
	defer g.release(t)
	th, err := t.cpu.hw.NewSpace()
	if err != nil {
		return unix.EAGAIN
	}
	s := mm.New(g.arch.top(g.personality))
	if err := t.layOut(th, s, g, shown, envp); err != nil {
		th.Destroy()
		s.Release(t)
		return lateError{err}
	}
	if err := t.killThreads(); err != nil {
		th.Destroy()
		s.Release(t)
		return err
	}
	t.commitExec(th, s, g)
	return nil
}

// lateError is one that Linux finds when the old program is gone already.
type lateError struct{ error }

func (e lateError) Unwrap() error { return e.error }

// layOut maps the program into a new address space and sets its registers.
func (t *Task) layOut(th *machine.Thread, s *mm.Space, g *program, shown string, envp []string) error {
	a := g.arch
	l := t.p.limits[unix.RLIMIT_STACK].Cur
	s.MaxStack = l
	s.ReadExec = g.personality&readImpliesExec != 0
	var random [56]byte
	if _, err := io.ReadFull(t.k.random, random[:]); err != nil {
		return unix.EIO
	}
	le := binary.LittleEndian
	randomize := g.personality&addrNoRandomize == 0
	rnd := func(i int, bits uint) uint64 {
		if !randomize {
			return 0
		}
		return le.Uint64(random[8*i:]) & (1<<bits - 1)
	}
	stackTop := s.Top - rnd(0, a.stackRnd)<<12
	mmapTop := func(a *archDesc, top, slide uint64) uint64 {
		// Room for the largest stack below where it may begin, and for what is
		// kept free below it.
		below := uint64(256 * mm.PageSize)
		if randomize {
			below += 1 << a.stackRnd << 12
		}
		gap := l + min(below, ^l)
		gap = min(max(gap, 128<<20), top/6*5)
		return (top - gap - slide<<12 + mm.PageSize - 1) &^ (mm.PageSize - 1)
	}
	s.MmapTop = mmapTop(a, s.Top, rnd(1, a.slide))
	s.LowTop, s.LowMmap = s.Top, s.MmapTop
	if a != &archI386 {
		s.LowTop = archI386.top(g.personality)
		s.LowMmap = mmapTop(&archI386, s.LowTop, rnd(1, 32+archI386.slide)>>32)
	}

	bounds := loader.Bounds{Min: mm.Bottom, Max: s.Top}
	im, err := t.mapProgram(th, s, g, bounds, rnd(2, a.slide)<<12)
	if err != nil {
		return err
	}
	entry := im.Entry
	var base uint64
	if g.ld != nil {
		span, err := g.ld.Span()
		if err != nil {
			return err
		}
		at, err := s.Room(span, g.ld.Alignment())
		if err != nil {
			return err
		}
		ld, err := g.ld.Place(at, bounds)
		if err != nil {
			return err
		}
		if err := s.MapImage(t, th, g.interp, ld); err != nil {
			return err
		}
		base, entry = ld.Bias, ld.Entry
	}
	s.BrkStart = im.Brk
	if g.image.Dynamic && !g.image.HasInterp {
		s.BrkStart = a.pieBase(s.Top) // it lies where mappings go: see mapProgram
	}
	s.BrkStart += rnd(3, 13) << 12
	s.Brk = s.BrkStart

	vdso, sysinfo, err := a.mapVDSO(t, th, s)
	if err != nil {
		return err
	}
	c := g.cred
	prog := loader.Program{VDSO: vdso, Sysinfo: sysinfo, MinSigStack: hostAux[abi.AT_MINSIGSTKSZ], HWCap: hostAux[abi.AT_HWCAP], HWCap2: hostAux[abi.AT_HWCAP2],
		Base: base, UID: c.UID, EUID: c.EUID, GID: c.GID, EGID: c.EGID, Secure: g.secure}
	auxv := prog.Auxv(g.image, im)
	st := loader.Stack{Arch: g.image.Arch, Argv: g.argv, Envp: envp, ExecFn: shown, Random: [16]byte(random[40:56]), Auxv: auxv, Slide: rnd(4, 13) &^ 15}
	pic, err := st.Build(stackTop)
	if err != nil {
		return err
	}
	if err := s.MapStack(t, th, stackTop, uint64(len(pic.Bytes)), g.image.Stack == loader.StackExec); err != nil {
		return err
	}
	if _, err := th.WriteMem(pic.SP, pic.Bytes); err != nil {
		return err
	}
	s.StartStack = pic.SP
	s.Auxv = a.auxv(pic.Auxv)
	s.ArgStart, s.ArgEnd, s.EnvStart, s.EnvEnd = pic.ArgStart, pic.ArgEnd, pic.EnvStart, pic.EnvEnd
	s.StartCode, s.EndCode, s.StartData, s.EndData = im.StartCode, im.EndCode, im.StartData, im.EndData
	*th.EditRegs() = a.regs(entry, pic.SP)
	return nil
}

// mapProgram places the program itself and maps it.
func (t *Task) mapProgram(th *machine.Thread, s *mm.Space, g *program, bounds loader.Bounds, slide uint64) (*loader.Placed, error) {
	var base uint64
	if g.image.Dynamic {
		align := max(g.image.Alignment(), mm.PageSize)
		base = g.arch.pieBase(s.Top) + slide
		if !g.image.HasInterp {
			// A loader run by itself, or a static PIE: out of the way of
			// what it may load.
			span, err := g.image.Span()
			if err != nil {
				return nil, err
			}
			if base, err = s.Room(span, align); err != nil {
				return nil, err
			}
		}
		base = (base + align - 1) &^ (align - 1)
	}
	im, err := g.image.Place(base, bounds)
	if err != nil {
		return nil, err
	}
	return im, s.MapImage(t, th, g.file, im)
}

// killThreads ends the process's other threads, as exec does, and gives the
// caller the leader's number.
func (t *Task) killThreads() error {
	p := t.p
	if p.groupExit || t.dying { // dying: another thread's exec came first
		return unix.EINTR
	}
	for _, o := range p.threads {
		if o != t {
			o.exitAlone, o.exitAs = true, 0
			o.doom()
		}
	}
	for len(p.threads) > 1 || len(p.zombies) > 0 {
		if t.dying {
			return unix.EINTR
		}
		t.sleep(killable, 0)
	}
	if p.leader != t {
		// The leader has exited; its number is ours now. Nobody is told.
		if x := p.leader.tracee; x != nil {
			p.leader.untrace()
			x.tracer.p.childWait.Wake(wait.Readable)
		}
		delete(t.k.pids.tasks, t.tid)
		t.tid = p.pid
		t.k.pids.tasks[t.tid] = t
		p.leader = t
	}
	return nil
}

// commitExec is the point of no return.
func (t *Task) commitExec(th *machine.Thread, s *mm.Space, g *program) {
	p := t.p
	t.exitFutexes()
	// Others may look at the task while it lets go of the old memory, which may
	// sleep.
	old, oldMM := t.th, t.mm
	// A call of the new program's architecture, as Linux has it.
	t.arch = g.image.Arch
	th.EditRegs().Orig_rax = uint64(abi.ByName("execve").Number(t.arch))
	t.th, t.mm = th, s
	old.Destroy()
	st := old.Stats()
	t.before.add(usage{utime: st.User, stime: st.System, minflt: st.MinFaults, majflt: st.MajFaults, maxrss: st.MaxRSS})
	t.letGo(oldMM)
	t.releaseVfork()
	p.stopTimersForExec()
	if t.files.Shared() {
		f := t.files.Clone()
		t.files.Unref(t)
		t.files = f
	}
	t.files.CloseOnExec(t)
	if p.sig.refs > 1 {
		h := *p.sig
		h.refs = 1
		p.sig.refs--
		p.sig = &h
	}
	for i := range p.sig.actions {
		if h := p.sig.actions[i].Handler; h != sigIgn {
			p.sig.actions[i] = sigAction{}
		} else {
			p.sig.actions[i] = sigAction{Handler: sigIgn}
		}
	}
	t.altstack.Sp, t.altstack.Size = 0, 0
	t.clearTID, t.robust64.head, t.robust32.head = 0, 0, 0
	t.hasOld, t.resume = false, nil
	t.around &^= aroundDispatch
	p.setExe(t, g.file)
	p.execed = true
	p.exitSignal = int(unix.SIGCHLD)
	if g.secure {
		p.dumpable = 0
		p.deathSignal = 0
	} else {
		p.dumpable = 1
	}
	t.cred = g.cred
	t.attrs.personality = g.personality
	t.setComm(g.name)
	if t.k.observed() {
		t.observe(Event{Kind: TaskExec})
	}
}

// setComm sets the name ps shows: at most 15 bytes.
func (t *Task) setComm(name string) {
	if len(name) > 15 {
		name = name[:15]
	}
	t.comm = name
}

// hostAux is the part of the host's auxiliary vector that tells of the
// processor; it is the guests' too.
var hostAux = func() map[uint64]uint64 {
	aux := map[uint64]uint64{}
	raw, _ := os.ReadFile("/proc/self/auxv")
	le := binary.LittleEndian
	for ; len(raw) >= 16; raw = raw[16:] {
		aux[le.Uint64(raw)] = le.Uint64(raw[8:])
	}
	return aux
}()
