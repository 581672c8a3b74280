package kernel

import (
	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/seccomp"
	"golang.org/x/sys/unix"
)

// seccompState is what seccomp(2) has made of a task.
type seccompState struct {
	mode   uint8          // SECCOMP_MODE_*
	filter *seccompFilter // the newest; nil unless the mode is FILTER
}

// seccompFilter is one filter. A task's filters are a chain from the newest
// back; tasks that have forked share the older part of it. Only users and
// listener change once it is attached.
type seccompFilter struct {
	program  *seccomp.Program
	prev     *seccompFilter
	users    int       // tasks whose newest it is, and filters put on it
	log      bool      // SECCOMP_FILTER_FLAG_LOG; PTRACE_SECCOMP_GET_METADATA tells
	killable bool      // SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
	listener *listener // who decides on USER_NOTIF; nil: nobody
}

// maxFilterPath bounds the instructions of a chain. Each filter but the newest
// counts as filterPenalty more than it has.
const (
	maxFilterPath = 1 << 15
	filterPenalty = 4
)

// count is how many filters the task has.
func (s *seccompState) count() int {
	n := 0
	for f := s.filter; f != nil; f = f.prev {
		n++
	}
	return n
}

// inheritSeccomp gives a task the filters of another, whose child it is or
// with which it is synchronized.
func (t *Task) inheritSeccomp(from *Task) {
	t.seccomp = from.seccomp
	if f := t.seccomp.filter; f != nil {
		f.users++
	}
	if t.seccomp.mode != unix.SECCOMP_MODE_DISABLED {
		t.around |= aroundSeccomp
	}
}

// release gives up the task's filters at its end. Who listens to one that
// nobody uses any more is told.
func (s *seccompState) release() {
	f := s.filter
	s.filter = nil
	f.release()
}

func (f *seccompFilter) release() {
	for ; f != nil; f = f.prev {
		f.users--
		if f.users > 0 {
			return
		}
		if f.listener != nil {
			f.listener.orphaned()
		}
	}
}

// isAncestor reports whether f is in the chain of child; nil is in every one.
func (f *seccompFilter) isAncestor(child *seccompFilter) bool {
	for ; child != nil; child = child.prev {
		if f == child {
			return true
		}
	}
	return f == nil
}

// evaluate asks all filters. The strictest answer counts, the newest filter's
// where several give it; match is the filter that gave it, nil for Allow.
func (f *seccompFilter) evaluate(d *abi.SeccompData) (verdict uint32, match *seccompFilter) {
	verdict = seccomp.Allow
	for ; f != nil; f = f.prev {
		if v := f.program.Run(d); seccomp.Stricter(v, verdict) {
			verdict, match = v, f
		}
	}
	return verdict, match
}

// seccompCheck decides whether a call that is being entered may run. When it
// may not, rax is what the filters leave there, or a signal is on its way.
func (t *Task) seccompCheck(c *Call) (run bool) { return t.seccompCheckAt(c, t.th.Regs().Rip) }

// seccompCheckAt is seccompCheck for a call that counts as made at ip.
func (t *Task) seccompCheckAt(c *Call, ip uint64) (run bool) {
	switch t.seccomp.mode {
	case unix.SECCOMP_MODE_STRICT:
		if !strictAllows(c) {
			t.killThread(int(unix.SIGKILL))
			return false
		}
	case unix.SECCOMP_MODE_FILTER:
		return t.filterCall(c, ip, false)
	}
	return true
}

// strictAllows is the list of strict mode: read, write, exit and sigreturn.
func strictAllows(c *Call) bool {
	d := c.desc()
	if d == nil {
		return false
	}
	switch d.Name {
	case "read", "write", "exit":
		return true
	case "rt_sigreturn":
		return c.Arch == abi.AMD64
	case "sigreturn":
		return c.Arch == abi.I386
	}
	return false
}

// killThread ends one thread as if it had ended itself, with a signal for its
// status.
func (t *Task) killThread(sig int) {
	t.exitAlone, t.exitAs = true, sig
	t.dying, t.work = true, true
}

// filterCall carries out what the task's filters say of a call made at ip.
// traced: a tracer has seen the call already, and RET_TRACE lets it pass.
func (t *Task) filterCall(c *Call, ip uint64, traced bool) (run bool) {
	d := abi.SeccompData{Nr: int32(c.Nr), Arch: c.Arch, IP: ip, Args: c.Args}
	verdict, match := t.seccomp.filter.evaluate(&d)
	data := verdict & seccomp.DataMask
	switch verdict & seccomp.ActionMask {
	case seccomp.Allow, seccomp.Log:
		return true
	case seccomp.Errno:
		const maxErrno = 4095
		t.th.SetResult(-uint64(min(data, maxErrno)))
		return false
	case seccomp.Trap:
		// A handler sees the registers as they were before the call.
		t.th.SetResult(t.th.Regs().Orig_rax)
		t.force(sysSignal(abi.SYS_SECCOMP, c, ip, int32(data)))
		return false
	case seccomp.UserNotif:
		return t.askListener(match, &d)
	case seccomp.Trace:
		return traced || t.askTracer(c, data)
	case seccomp.KillThread:
		if t.p.liveThreads() > 1 {
			t.killThread(int(unix.SIGSYS))
			return false
		}
	}
	// What is no action is KILL_PROCESS. The call's exit is still reported to a
	// tracer, the signal is not.
	t.th.SetResult(t.th.Regs().Orig_rax)
	t.condemn(sysSignal(abi.SYS_SECCOMP, c, ip, int32(data)))
	return false
}

// liveThreads is how many threads have not ended.
func (p *Process) liveThreads() int {
	n := 0
	for _, t := range p.threads {
		if !t.exited {
			n++
		}
	}
	return n
}

// askTracer stops for PTRACE_EVENT_SECCOMP. The tracer may have changed the
// call, so that the filters are asked about it once more.
func (t *Task) askTracer(c *Call, data uint32) (run bool) {
	if !t.ptraceSeccompEvent(data) {
		t.th.SetResult(errnoResult(unix.ENOSYS))
		return false
	}
	if t.dying || c.Nr < 0 {
		return false
	}
	return t.filterCall(c, t.th.Regs().Rip, true)
}

// sysSignal is a SIGSYS for a call that was not let through.
func sysSignal(code int32, c *Call, ip uint64, errno int32) sigInfo {
	i := sigInfo{Signo: int32(unix.SIGSYS), Code: code, Errno: errno}
	i.put64(0, ip)
	i.put32(8, uint32(c.Nr))
	i.put32(12, uint32(c.Arch))
	return i
}

// attachFilter puts a new filter on the task's, and with TSYNC on those of all
// threads. notSynced is a thread that stands in the way of that: it has
// filters that the caller has not.
func (t *Task) attachFilter(f *seccompFilter, flags uint32) (notSynced *Task, err error) {
	total := f.program.Weight()
	for o := t.seccomp.filter; o != nil; o = o.prev {
		total += o.program.Weight() + filterPenalty
	}
	if total > maxFilterPath {
		return nil, unix.ENOMEM
	}
	sync := flags&unix.SECCOMP_FILTER_FLAG_TSYNC != 0
	if sync {
		for _, o := range t.p.threads {
			s := &o.seccomp
			can := s.mode == unix.SECCOMP_MODE_DISABLED || s.mode == unix.SECCOMP_MODE_FILTER && s.filter.isAncestor(t.seccomp.filter)
			if o != t && !o.exited && !can {
				return o, nil
			}
		}
	}
	f.log = flags&unix.SECCOMP_FILTER_FLAG_LOG != 0
	f.killable = flags&unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV != 0
	f.prev, f.users = t.seccomp.filter, 1 // the task's claim to prev is f's now
	t.seccomp = seccompState{unix.SECCOMP_MODE_FILTER, f}
	t.around |= aroundSeccomp
	if !sync {
		return nil, nil
	}
	for _, o := range t.p.threads {
		if o == t || o.exited {
			continue
		}
		old := o.seccomp.filter
		o.inheritSeccomp(t)
		old.release()
		if t.cred.NoNewPrivs && !o.cred.NoNewPrivs {
			// Or a thread could be made that sets it, filters all and ends.
			c := o.cred.clone()
			c.NoNewPrivs = true
			o.cred = c
		}
	}
	return nil, nil
}

// nth is the filter at a place in the order in which they were attached, for
// a tracer: EINVAL without filters, ENOENT past the last.
func (s *seccompState) nth(n uint64) (*seccompFilter, error) {
	if s.mode != unix.SECCOMP_MODE_FILTER {
		return nil, unix.EINVAL
	}
	count := uint64(s.count())
	if n >= count {
		return nil, unix.ENOENT
	}
	f := s.filter
	for range count - n - 1 {
		f = f.prev
	}
	return f, nil
}

// mayReadFilters reports whether t may look at others' filters.
func (t *Task) mayReadFilters() bool {
	return t.cred.Has(unix.CAP_SYS_ADMIN) && t.seccomp.mode == unix.SECCOMP_MODE_DISABLED
}

// seccompGetFilter is PTRACE_SECCOMP_GET_FILTER by t: the length of o's n-th
// filter, which is written to data unless that is 0. EACCES without
// CAP_SYS_ADMIN or from within filters.
func (t *Task) seccompGetFilter(o *Task, n uint64, data Addr) (int, error) {
	if !t.mayReadFilters() {
		return 0, unix.EACCES
	}
	f, err := o.seccomp.nth(n)
	if err != nil {
		return 0, err
	}
	if data != 0 {
		if err := t.CopyOut(uint64(data), sliceBytes(f.program.Instructions())); err != nil {
			return 0, err
		}
	}
	return f.program.Len(), nil
}

// seccompGetMetadata is PTRACE_SECCOMP_GET_METADATA by t: data has the place
// of the filter and is given its flags, as far as size goes.
func (t *Task) seccompGetMetadata(o *Task, size uint64, data Addr) (int, error) {
	var m struct{ Place, Flags uint64 }
	if !t.mayReadFilters() {
		return 0, unix.EACCES
	}
	size = min(size, uint64(len(asBytes(&m))))
	if size < 8 {
		return 0, unix.EINVAL
	}
	if err := t.CopyIn(uint64(data), asBytes(&m)[:8]); err != nil {
		return 0, err
	}
	f, err := o.seccomp.nth(m.Place)
	if err != nil {
		return 0, err
	}
	if f.log {
		m.Flags = unix.SECCOMP_FILTER_FLAG_LOG
	}
	return int(size), t.CopyOut(uint64(data), asBytes(&m)[:size])
}

// vsyscallPage is the legacy page; its three calls are 1 KiB apart. Filters see
// them as made from there.
const vsyscallPage = 0xffffffffff600000

// vsyscallAddr is where a call of the legacy page is.
func vsyscallAddr(nr int) uint64 {
	switch nr {
	case unix.SYS_TIME:
		return vsyscallPage + 0x400
	case unix.SYS_GETCPU:
		return vsyscallPage + 0x800
	}
	return vsyscallPage
}
