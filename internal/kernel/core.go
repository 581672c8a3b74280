package kernel

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/sysemu/sysemu/internal/elfcore"
	"github.com/sysemu/sysemu/internal/mm"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// Core dumps, core(5): what a process looks like as a signal ends it, as an ELF
// file in its directory. Of 64-bit processes only, and never through a pipe: a
// core_pattern that asks for one is no dump.

// coreSignals end a process with a dump.
var coreSignals = sigsOf(unix.SIGQUIT, unix.SIGILL, unix.SIGTRAP, unix.SIGABRT, unix.SIGBUS, unix.SIGFPE, unix.SIGSEGV, unix.SIGXCPU, unix.SIGXFSZ, unix.SIGSYS)

// coreDumped is the flag of a wait status.
const coreDumped = 0x80

// coreDump is a dump in progress.
type coreDump struct {
	by   *Task
	done bool
}

// endBySignal ends the process by a signal that has no handler.
func (t *Task) endBySignal(i *sigInfo) {
	code := int(i.Signo)
	if coreSignals.has(code) && t.dumpCore(i) {
		code |= coreDumped
	}
	t.p.exitGroup(code)
}

// dumpCore writes a core file, and reports whether it has. The other threads are
// on their way to their ends, and wait for that.
func (t *Task) dumpCore(i *sigInfo) bool {
	p := t.p
	limit := p.limits[unix.RLIMIT_CORE].Cur
	if p.core != nil || p.groupExit || t.mm == nil || t.th.Dead() || limit < mm.PageSize || p.dumpable != 1 || t.th.Regs().Cs != userCS64 {
		return false
	}
	name := p.coreName(t, int(i.Signo))
	if name == "" {
		return false
	}
	d := &coreDump{by: t}
	p.core = d
	defer func() {
		d.done = true
		for _, o := range p.threads {
			if o.parked {
				o.Wakeup()
			}
		}
	}()
	for !t.alone() {
		t.sleep(uninterruptible, 0)
	}
	t.noteState()
	f, err := t.openCore(name)
	if err != nil {
		return false
	}
	defer f.Unref(t)
	return t.writeCore(f, i, limit) == nil
}

// alone reports whether all other threads have gone or wait for the dump; those
// that do not yet are told to end.
func (t *Task) alone() bool {
	alone := true
	for _, o := range t.p.threads {
		if o == t || o.parked || o.exited {
			continue
		}
		alone = false
		if !o.dying {
			o.doom()
		}
	}
	return alone
}

// awaitDump keeps a thread from ending while another writes the core file, which
// shows its registers.
func (t *Task) awaitDump() {
	d := t.p.core
	if d == nil || d.by == t || d.done || t.exited {
		return
	}
	t.noteState()
	t.parked = true
	d.by.Wakeup()
	for !d.done {
		t.sleep(uninterruptible, 0)
	}
	t.parked = false
}

// threadState is what a core file shows of a thread.
type threadState struct {
	regs   []byte
	xstate []byte
}

// noteState keeps the thread's registers for the dump.
func (t *Task) noteState() {
	t.noted = &threadState{regs: bytes.Clone(asBytes(t.th.Regs()))}
	if x, err := t.th.XState(); err == nil {
		t.noted.xstate = x
	}
}

// coreName is where a core file goes by core_pattern. "" is nowhere.
func (p *Process) coreName(t *Task, sig int) string {
	pattern := *p.k.corePattern
	if strings.HasPrefix(pattern, "|") {
		return ""
	}
	var b strings.Builder
	pid := false
	for i := 0; i < len(pattern); i++ {
		if pattern[i] != '%' || i+1 == len(pattern) {
			b.WriteByte(pattern[i])
			continue
		}
		i++
		slashless := func(s string) string { return strings.ReplaceAll(s, "/", "!") }
		switch pattern[i] {
		case '%':
			b.WriteByte('%')
		case 'p', 'P':
			pid = true
			b.WriteString(strconv.Itoa(p.pid))
		case 'i', 'I':
			b.WriteString(strconv.Itoa(t.tid))
		case 'u':
			b.WriteString(strconv.Itoa(int(t.cred.UID)))
		case 'g':
			b.WriteString(strconv.Itoa(int(t.cred.GID)))
		case 'd':
			b.WriteString(strconv.Itoa(p.dumpable))
		case 's':
			b.WriteString(strconv.Itoa(sig))
		case 't':
			b.WriteString(strconv.FormatInt(p.k.clock.Realtime()/1e9, 10))
		case 'h':
			b.WriteString(slashless(p.k.hostname))
		case 'e':
			b.WriteString(slashless(t.comm))
		case 'c':
			b.WriteString(strconv.FormatUint(p.limits[unix.RLIMIT_CORE].Cur, 10))
		}
	}
	if !pid && *p.k.coreUsesPID != "0" {
		b.WriteString("." + strconv.Itoa(p.pid))
	}
	return b.String()
}

// openCore opens the file. It must be a plain file of one name and of the
// process's own: nobody is to be made to write over something else.
func (t *Task) openCore(name string) (*vfs.File, error) {
	at, err := t.at(unix.AT_FDCWD, name)
	if err != nil {
		return nil, err
	}
	defer at.Dir.Unref()
	f, err := vfs.Open(t, at, name, unix.O_CREAT|unix.O_RDWR|unix.O_NOFOLLOW, 0o600, 0)
	if err != nil {
		return nil, err
	}
	a, err := f.Inode.Attr(t)
	if err == nil && (!a.IsRegular() || a.Nlink != 1 || a.UID != t.cred.fs.UID) {
		err = unix.EPERM
	}
	if err == nil {
		err = f.Truncate(t, 0)
	}
	if err != nil {
		f.Unref(t)
		return nil, err
	}
	return f, nil
}

// writeCore writes the file, up to limit bytes: what is beyond is missing.
func (t *Task) writeCore(f *vfs.File, i *sigInfo, limit uint64) error {
	var list []mapping
	list = procEntry{p: t.p}.mappings(t)
	segments := t.coreSegments(list)
	notes := []elfcore.Note{
		{Type: elfcore.PRStatus, Data: t.prStatus(i)},
		{Type: elfcore.PRPSInfo, Data: t.prPSInfo()},
		{Type: elfcore.SigInfo, Data: bytes.Clone(asBytes(i))},
		{Type: elfcore.Auxv, Data: t.mm.Auxv},
	}
	if files := fileNote(list); files != nil {
		notes = append(notes, elfcore.Note{Type: elfcore.File, Data: files})
	}
	notes = append(notes, t.noted.notes()...)
	for _, o := range t.p.threads {
		if o != t && o.noted != nil {
			notes = append(notes, elfcore.Note{Type: elfcore.PRStatus, Data: o.prStatus(i)})
			notes = append(notes, o.noted.notes()...)
		}
	}
	head, size := elfcore.Layout(notes, segments)
	put := func(off uint64, b []byte) error {
		if off >= limit {
			return unix.EFBIG
		}
		b = b[:min(uint64(len(b)), limit-off)]
		f.Pos = int64(off)
		for len(b) > 0 {
			n, err := f.Write(t, b)
			if err != nil {
				return err
			}
			b = b[n:]
		}
		return nil
	}
	if err := put(0, head); err != nil {
		return err
	}
	buf := make([]byte, 1<<18)
	for _, s := range segments {
		for done := uint64(0); done < s.Stored && s.Off+done < limit; {
			b := buf[:min(uint64(len(buf)), s.Stored-done)]
			t.readUnlocked(s.Start+done, b)
			if err := t.putPages(put, s.Off+done, b); err != nil {
				return err
			}
			done += uint64(len(b))
		}
	}
	if b := elfcore.Extra(segments); b != nil {
		if err := put(size-uint64(len(b)), b); err != nil {
			return err
		}
	}
	return f.Truncate(t, int64(min(size, limit)))
}

// readUnlocked reads memory; what cannot be read is zero. Others run meanwhile.
func (t *Task) readUnlocked(addr uint64, b []byte) {
	clear(b)
	t.k.mu.Unlock()
	defer t.k.mu.Lock()
	for done := 0; done < len(b); {
		n, err := t.th.ReadMem(addr+uint64(done), b[done:])
		done += n
		if err != nil || n == 0 {
			done = (done + mm.PageSize) &^ (mm.PageSize - 1)
		}
	}
}

// putPages writes all but pages of zeros, which stay holes.
func (t *Task) putPages(put func(off uint64, b []byte) error, off uint64, b []byte) error {
	var zero [mm.PageSize]byte
	empty := func(at int) bool { return bytes.Equal(b[at:at+mm.PageSize], zero[:]) }
	for at := 0; at < len(b); {
		end := at
		for end < len(b) && !empty(end) {
			end += mm.PageSize
		}
		if end > at {
			if err := put(off+uint64(at), b[at:end]); err != nil {
				return err
			}
		}
		at = end + mm.PageSize
	}
	return nil
}

// coreSegments says what of each mapping is stored: what the process may have
// made itself, and the beginnings of ELF files. Linux knows better which pages of
// private mappings of files have been changed; here those that are not executed
// are stored whole.
func (t *Task) coreSegments(list []mapping) []elfcore.Segment {
	segments := make([]elfcore.Segment, 0, len(list))
	for _, m := range list {
		if m.Name == "[vvar]" {
			continue
		}
		s := elfcore.Segment{Start: m.Start, End: m.End, Prot: m.Prot}
		ofFile := m.dev != 0
		switch {
		case m.Prot&unix.PROT_READ == 0:
		case !ofFile, !m.Shared && m.Prot&unix.PROT_EXEC == 0:
			s.Stored = m.Size()
		case m.Off == 0:
			var magic [4]byte
			if n, _ := t.th.ReadMem(m.Start, magic[:]); n == 4 && string(magic[:]) == "\x7fELF" {
				s.Stored = mm.PageSize
			}
		}
		segments = append(segments, s)
	}
	return segments
}

// fileNote lists the mappings of files: NT_FILE.
func fileNote(list []mapping) []byte {
	le := binary.LittleEndian
	var names, b []byte
	n := 0
	for _, m := range list {
		if m.dev == 0 || m.shown == "" {
			continue
		}
		n++
		b = le.AppendUint64(b, m.Start)
		b = le.AppendUint64(b, m.End)
		b = le.AppendUint64(b, m.Off/mm.PageSize)
		names = append(append(names, m.shown...), 0)
	}
	if n == 0 {
		return nil
	}
	head := le.AppendUint64(le.AppendUint64(nil, uint64(n)), mm.PageSize)
	return append(append(head, b...), names...)
}

// notes are those of the floating-point and extended state.
func (s *threadState) notes() []elfcore.Note {
	if len(s.xstate) < fxsaveSize {
		return nil
	}
	fp := bytes.Clone(s.xstate[:fxsaveSize])
	clear(fp[464:]) // the processor's and the kernel's own
	return []elfcore.Note{{Type: elfcore.PRFPReg, Data: fp}, {Type: elfcore.XState, Data: s.xstate}}
}

// prStatus is struct elf_prstatus: NT_PRSTATUS.
func (t *Task) prStatus(i *sigInfo) []byte {
	le := binary.LittleEndian
	b := make([]byte, 336)
	p := t.p
	le.PutUint32(b[0:], uint32(i.Signo))
	le.PutUint16(b[12:], uint16(i.Signo))
	le.PutUint64(b[16:], uint64(t.pending.set))
	le.PutUint64(b[24:], uint64(t.sigmask))
	le.PutUint32(b[32:], uint32(t.tid))
	p.putIDs(b[36:])
	u := t.usage()
	put := func(off int, ns int64) {
		le.PutUint64(b[off:], uint64(ns/1e9))
		le.PutUint64(b[off+8:], uint64(ns%1e9/1e3))
	}
	put(48, u.utime)
	put(64, u.stime)
	copy(b[112:328], t.noted.regs)
	le.PutUint32(b[328:], 1)
	return b
}

// putIDs puts the parent's number, the group's and the session's.
func (p *Process) putIDs(b []byte) {
	le := binary.LittleEndian
	if p.parent != nil {
		le.PutUint32(b[0:], uint32(p.parent.pid))
	}
	le.PutUint32(b[4:], uint32(p.group.id))
	le.PutUint32(b[8:], uint32(p.group.session.id))
}

// prPSInfo is struct elf_prpsinfo: NT_PRPSINFO.
func (t *Task) prPSInfo() []byte {
	le := binary.LittleEndian
	b := make([]byte, 136)
	b[1] = 'R'
	b[3] = byte(t.attrs.nice)
	le.PutUint32(b[16:], t.cred.UID)
	le.PutUint32(b[20:], t.cred.GID)
	le.PutUint32(b[24:], uint32(t.p.pid))
	t.p.putIDs(b[28:])
	copy(b[40:55], t.comm)
	args := make([]byte, min(t.mm.ArgEnd-t.mm.ArgStart, 79))
	n, _ := t.th.ReadMem(t.mm.ArgStart, args)
	copy(b[56:135], bytes.ReplaceAll(args[:n], []byte{0}, []byte{' '}))
	return b
}
