package kernel

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/sysemu/sysemu/internal/mm"
	"github.com/sysemu/sysemu/internal/tty"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// What a process is doing, as stat, statm and status tell it.

// stateLetter is the task's state as ps shows it.
func (t *Task) stateLetter() byte {
	switch {
	case t == t.k.boot:
		return 'S'
	case t.exited || t.state == dead:
		return 'Z'
	case t.tracee != nil && t.tracee.stopped:
		return 't'
	case t.tracee == nil && t.p.stopSignal != 0:
		return 'T'
	case t.state == blocked && t.sleeping == interruptible:
		return 'S'
	case t.state == blocked:
		return 'D'
	}
	return 'R'
}

var stateNames = map[byte]string{
	'S': "sleeping", 'Z': "zombie", 'T': "stopped", 'D': "disk sleep", 'R': "running", 't': "tracing stop",
}

// memoryUse is what status, stat and statm tell of an address space, in bytes.
type memoryUse struct {
	size, locked             uint64
	rss, shared              uint64 // in memory; of that, of files or shared
	data, stack, code, files uint64
}

func (e procEntry) memoryUse() (u memoryUse) {
	t := e.live()
	if t == nil || t.mm == nil {
		return u
	}
	s := t.mm
	u.size, u.locked = s.Size(), s.Locked()
	if t.th != nil {
		if t.k.virtual == nil {
			u.rss, u.shared = t.th.Resident()
		} else {
			u.rss = u.size // what the host has brought in changes
		}
		u.rss = min(u.rss, u.size)
		u.shared = min(u.shared, u.rss)
	}
	exec := uint64(0)
	s.All(func(v *mm.VMA) bool {
		switch {
		case v.GrowsDown:
			u.stack += v.Size()
		case !v.Shared && v.Prot&unix.PROT_WRITE != 0:
			u.data += v.Size()
		case v.Prot&unix.PROT_EXEC != 0:
			exec += v.Size()
		}
		return true
	})
	page := func(a uint64) uint64 { return a &^ (mm.PageSize - 1) }
	u.code = min(page(s.EndCode+mm.PageSize-1)-page(s.StartCode), exec)
	u.files = exec - u.code
	return u
}

func procStatm(_ vfs.Context, e procEntry, w *bytes.Buffer) error {
	u := e.memoryUse()
	const page = mm.PageSize
	fmt.Fprintf(w, "%d %d %d %d 0 %d 0\n", u.size/page, u.rss/page, u.shared/page, u.code/page, (u.data+u.stack)/page)
	return nil
}

// signalSets are the signals a task ignores and catches.
func (t *Task) signalSets() (ignored, caught sigset) {
	if t.p.sig == nil {
		return 0, 0
	}
	for sig := 1; sig <= numSignals; sig++ {
		switch t.p.sig.actions[sig].Handler {
		case sigIgn:
			ignored |= bit(sig)
		case sigDfl:
		default:
			caught |= bit(sig)
		}
	}
	return ignored, caught
}

// usageOf is what the entry has used: a thread's own, or all of a process.
func (e procEntry) usage() (own, children usage) {
	if e.t != nil {
		return e.t.usage(), usage{}
	}
	return e.p.totalUsage(), e.p.childrenUsage
}

// parentID is the number of p's parent, 0 for init.
func (p *Process) parentID() int {
	if p.parent == nil {
		return 0
	}
	return p.parent.pid
}

// groupAndSession are 0 for a process that is gone but for its number.
func (p *Process) groupAndSession() (group, session int, tty *tty.TTY) {
	if p.group == nil {
		return 0, 0, nil
	}
	s := p.group.session
	return p.group.id, s.id, s.tty
}

func procStatLine(ctx vfs.Context, e procEntry, w *bytes.Buffer) error {
	t, p := e.task(), e.p
	group, session, tty := p.groupAndSession()
	ttyNr, foreground := 0, -1
	if tty != nil && !p.noTTY {
		ttyNr, foreground = int(int32(tty.Rdev())), tty.Foreground()
	}
	const randomized, forkNoExec = 0x400000, 0x40
	flags := randomized
	if !p.execed {
		flags |= forkNoExec
	}
	own, kids := e.usage()
	nice := t.attrs.nice
	priority := 20 + nice
	if t.attrs.rtPriority > 0 {
		priority = -1 - t.attrs.rtPriority
	}
	ignored, caught := t.signalSets()
	u := e.memoryUse()
	fmt.Fprintf(w, "%d (%s) %c %d %d %d %d %d %d", e.id(), t.comm, t.stateLetter(), p.parentID(), group, session, ttyNr, foreground, flags)
	fmt.Fprintf(w, " %d %d %d %d %d %d %d %d", own.minflt, kids.minflt, own.majflt, kids.majflt,
		own.utime/nsPerTick, own.stime/nsPerTick, kids.utime/nsPerTick, kids.stime/nsPerTick)
	started := p.started
	if e.t != nil {
		started = e.t.started
	}
	fmt.Fprintf(w, " %d %d %d 0 %d %d %d %d", priority, nice, max(len(p.threads), 1), p.k.sinceBoot(started)/nsPerTick, u.size, u.rss/mm.PageSize, p.limits[unix.RLIMIT_RSS].Cur)
	var s mm.Space
	var sp, ip uint64
	exit := 0
	if ctx.(*Task).mayTrace(p) {
		if sp := e.space(); sp != nil {
			s = *sp
		}
		if p.zombie {
			exit = p.exitCode
		}
	}
	cpu := 0
	if t.cpu != nil {
		cpu = t.cpu.id
	}
	fmt.Fprintf(w, " %d %d %d %d %d", s.StartCode, s.EndCode, s.StartStack, sp, ip)
	const low = 1<<31 - 1
	fmt.Fprintf(w, " %d %d %d %d 0 0 0 %d %d %d %d 0 0 0", t.pending.set&low, t.sigmask&low, ignored&low, caught&low,
		p.exitSignal, cpu, t.attrs.rtPriority, t.attrs.policy&0xff)
	fmt.Fprintf(w, " %d %d %d %d %d %d %d %d\n", s.StartData, s.EndData, s.BrkStart, s.ArgStart, s.ArgEnd, s.EnvStart, s.EnvEnd, exit)
	return nil
}

func procStatus(_ vfs.Context, e procEntry, w *bytes.Buffer) error {
	t, p, c := e.task(), e.p, e.task().cred
	line := func(name, format string, args ...any) { fmt.Fprintf(w, name+":\t"+format+"\n", args...) }
	line("Name", "%s", strings.NewReplacer("\\", `\\`, "\n", `\n`).Replace(t.comm))
	if t.fs != nil {
		line("Umask", "%04o", t.fs.umask)
	}
	state := t.stateLetter()
	line("State", "%c (%s)", state, stateNames[state])
	line("Tgid", "%d", p.pid)
	line("Ngid", "0")
	line("Pid", "%d", e.id())
	line("PPid", "%d", p.parentID())
	line("TracerPid", "%d", t.tracerPID())
	line("Uid", "%d\t%d\t%d\t%d", c.UID, c.EUID, c.SUID, c.fs.UID)
	line("Gid", "%d\t%d\t%d\t%d", c.GID, c.EGID, c.SGID, c.fs.GID)
	slots := 0
	if t.files != nil {
		slots = 64
		for slots < t.files.Len() {
			slots *= 2
		}
	}
	line("FDSize", "%d", slots)
	w.WriteString("Groups:\t")
	for _, g := range c.fs.Groups {
		fmt.Fprintf(w, "%d ", g)
	}
	if len(c.fs.Groups) == 0 {
		w.WriteString(" ")
	}
	w.WriteString("\n")
	group, session, _ := p.groupAndSession()
	line("NStgid", "%d", p.pid)
	line("NSpid", "%d", e.id())
	line("NSpgid", "%d", group)
	line("NSsid", "%d", session)
	line("Kthread", "0")
	if s := e.space(); s != nil {
		u := e.memoryUse()
		kb := func(name string, n uint64) { line(name, "%8d kB", n>>10) }
		kb("VmPeak", u.size)
		kb("VmSize", u.size)
		kb("VmLck", u.locked)
		kb("VmPin", 0)
		kb("VmHWM", max(u.rss, min(uint64(e.live().th.PeakRSS())<<10, u.size)))
		kb("VmRSS", u.rss)
		kb("RssAnon", u.rss-u.shared)
		kb("RssFile", u.shared)
		kb("RssShmem", 0)
		kb("VmData", u.data)
		kb("VmStk", u.stack)
		kb("VmExe", u.code)
		kb("VmLib", u.files)
		kb("VmPTE", u.rss/512)
		kb("VmSwap", 0)
		kb("HugetlbPages", 0)
		line("CoreDumping", "0")
		line("THP_enabled", "1")
		line("untag_mask", "0xffffffffffffffff")
	}
	line("Threads", "%d", max(len(p.threads), 1))
	line("SigQ", "%d/%d", len(t.pending.list)+len(p.pending.list), p.limits[unix.RLIMIT_SIGPENDING].Cur)
	ignored, caught := t.signalSets()
	for _, s := range []struct {
		name string
		set  sigset
	}{{"SigPnd", t.pending.set}, {"ShdPnd", p.pending.set}, {"SigBlk", t.sigmask}, {"SigIgn", ignored}, {"SigCgt", caught}} {
		line(s.name, "%016x", uint64(s.set))
	}
	for _, s := range []struct {
		name string
		set  uint64
	}{{"CapInh", c.Inheritable}, {"CapPrm", c.Permitted}, {"CapEff", c.fs.Caps}, {"CapBnd", c.Bounding}, {"CapAmb", c.Ambient}} {
		line(s.name, "%016x", s.set)
	}
	nnp := 0
	if c.NoNewPrivs {
		nnp = 1
	}
	line("NoNewPrivs", "%d", nnp)
	line("Seccomp", "%d", t.seccomp.mode)
	line("Seccomp_filters", "%d", t.seccomp.count())
	line("Speculation_Store_Bypass", "vulnerable")
	line("SpeculationIndirectBranch", "always enabled")
	mask := uint64(1)<<len(p.k.cpus) - 1
	line("Cpus_allowed", "%x", mask)
	line("Cpus_allowed_list", "%s", p.k.cpuList())
	line("Mems_allowed", "1")
	line("Mems_allowed_list", "0")
	u, _ := e.usage()
	line("voluntary_ctxt_switches", "%d", u.nvcsw)
	line("nonvoluntary_ctxt_switches", "%d", u.nivcsw)
	return nil
}

// tracerPID is the thread that traces t, 0 if none does.
func (t *Task) tracerPID() int {
	if t.tracee == nil {
		return 0
	}
	return t.tracee.tracer.tid
}
