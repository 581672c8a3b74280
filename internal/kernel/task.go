package kernel

import (
	"fmt"
	"runtime/debug"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/machine"
	"github.com/sysemu/sysemu/internal/mm"
	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// Task is a guest thread.
type Task struct {
	k   *Kernel
	cpu *CPU // where it runs, or ran last
	p   *Process
	tid int

	th    *machine.Thread
	mm    *mm.Space
	fs    *fsInfo
	files *vfs.FDTable
	cred  *Cred
	comm  string

	// Scheduling.
	state      taskState
	stack      *kstack
	nextReady  *Task
	readySince int64 // by the host's clock, as movedAt
	moveTo     *CPU  // where it is to run from its next return to guest code on; nil: here
	movedAt    int64 // when that was last asked for
	woken      bool  // a wake-up came while it was not asleep
	sleeping   sleepKind
	sleepTimer *timer
	timedOut   bool
	blocked    func() // what Offload left for the CPU to start

	// Signals: see signal.go.
	sigmask   sigset
	oldmask   sigset // to put back after the signal that ends sigsuspend and the like
	hasOld    bool
	pending   sigQueue
	sigWanted sigset // what sigtimedwait waits for
	condemned sigset // of the pending ones: those that end the process at once

	parked   bool // ended, but for the core dump in progress
	noted    *threadState
	altstack abi.StackT
	fault    machine.FaultInfo // of the last fault with a handler; frames show it

	inStop       bool // stopped, with the whole process
	stopPending  bool // a group-stop that it has yet to join: matters to a tracee
	stopSig      int  // of the last one
	stopDequeued bool // the stop signal that it is about to act on has not been undone by SIGCONT

	tracee  *tracee // nil: nobody traces it
	tracees []*Task // whom it traces

	// Work to be done before guest code runs again.
	work      bool
	dying     bool // SIGKILL, exit_group by another, exec by another
	exitAlone bool // the task called exit: exitAs is its own wait status
	exitAs    int
	exiting   bool // on its way there: PTRACE_EVENT_EXIT
	exited    bool

	// The call in progress.
	call       Call
	arch       abi.Arch // whose table orig_rax is of; amd64's outside of calls
	around     around   // what there is to do around calls
	seccomp    seccompState
	dispatch   userDispatch
	interruptd bool                        // by a signal: rax says how it goes on
	resume     func(*Task) (uint64, error) // what restart_syscall goes on with
	resumeArch abi.Arch                    // whose number it then has: that of the last call that set resume
	noResult   bool                        // the call has set all registers itself

	// With a user's handler: see call_block.go.
	handler  bool      // it has one just now
	handling *handling // nil: the handler has not asked for its context
	calls    uint64    // that have ended
	lent     [][]byte  // memory that it lends the call

	// Threads.
	clearTID  uint64
	robust64  robustList[abi.RobustListHead, uint64]
	robust32  robustList[abi.RobustListHead32, uint32]
	casMisses int // in a row: futexCAS
	vforkDone *wait.Queue
	vforked   bool

	// Accounting.
	started      int64
	vuser        int64 // CPU time by a virtual clock
	vsystem      int64
	spinning     bool // see watch
	nvcsw, nivcw int64
	minflt       int64
	before       usage // of host processes the task had before exec

	visitor chan struct{} // what an ordinary goroutine that plays the task waits for; nil: it has a kernel stack
	first   func()        // what a started program's task does before guest code

	attrs taskAttrs // prctl, scheduling: kept for reading back
}

type taskState uint8

const (
	ready taskState = iota
	running
	blocked
	dead
)

type sleepKind uint8

const (
	notAsleep sleepKind = iota
	interruptible
	killable
	uninterruptible
)

// fsInfo is what CLONE_FS shares.
type fsInfo struct {
	root, cwd vfs.Path
	umask     uint32
	refs      int
}

// main is the task from one dispatch until it ends or gives way: guest code,
// what it asks for, guest code. Runs on a kernel stack with the lock held.
func (t *Task) main() {
	defer func() {
		if r := recover(); r != nil {
			t.panicked(r)
		}
	}()
	k := t.k
	if f := t.first; f != nil {
		t.first = nil
		f()
	}
	for {
		if t.work && !t.doWork() {
			return
		}
		t.arch = abi.AMD64 // in no call: what Linux says of 32-bit code too
		if t.cpu.resched {
			if !t.cpu.ready.empty() || len(t.cpu.inbox) > 0 {
				t.nivcw++
				return
			}
			t.cpu.resched = k.closing
		}
		if to := t.moveTo; to != nil {
			if to != t.cpu {
				return // dispatch sees to it
			}
			t.moveTo = nil
		}
		switch ev := t.runGuest(); ev.Kind {
		case machine.Syscall:
			t.syscall(ev.Arch)
		case machine.Fault:
			t.takeFault(ev)
		case machine.Kicked:
		case machine.ReadTSC:
			t.readTSC()
		case machine.VSyscall:
			t.vsyscall()
		case machine.Died:
			// Killed from outside or by the host's memory management.
			t.p.kill(int(unix.SIGKILL))
			t.work = true
		}
	}
}

// runGuest runs guest code, without the lock.
func (t *Task) runGuest() machine.Event {
	c := t.cpu
	c.inGuest = true
	c.runs++
	t.k.nowServing(nil)
	t.k.mu.Unlock()
	defer func() {
		t.k.mu.Lock()
		t.k.nowServing(t)
		c.inGuest = false
	}()
	if t.around&aroundStep != 0 {
		return t.th.Step()
	}
	return t.th.Run()
}

// panicked ends a guest whose system call brought a handler down. The program
// that embeds us goes on.
func (t *Task) panicked(r any) {
	t.k.report("sysemu: panic while serving %s for %s (pid %d): %v\n%s", &t.call, t.comm, t.p.pid, r, debug.Stack())
	t.endHandling()
	t.p.kill(int(unix.SIGKILL))
	t.dying = true
	t.doWork()
}

// Sleep implements wait.Task.
func (t *Task) Sleep(deadline int64) error { return t.sleep(interruptible, deadline) }

// SleepKillable implements wait.Task.
func (t *Task) SleepKillable() error { return t.sleep(killable, 0) }

func (t *Task) sleep(kind sleepKind, deadline int64) error {
	if t.woken {
		t.woken = false
		return nil
	}
	if t.visitor != nil {
		return t.sleepVisiting(kind, deadline)
	}
	if t.interrupted(kind) {
		return wait.ErrInterrupted
	}
	k := t.k
	if deadline != 0 {
		if k.clock.Monotonic() >= deadline {
			return wait.ErrTimedOut
		}
		if t.sleepTimer == nil {
			t.sleepTimer = newTimer(func() {
				t.timedOut = true
				t.makeReady()
			})
		}
		t.timedOut = false
		k.timers.set(t.sleepTimer, deadline)
	}
	t.nvcsw++
	t.sleeping = kind
	t.state = blocked
	if k.observed() {
		t.observe(Event{Kind: TaskBlocked})
		k.serving = nil
	}
	t.stack.park()
	if k.observed() {
		t.observe(Event{Kind: TaskResumed})
		k.serving = t
	}
	t.sleeping = notAsleep
	if deadline != 0 && !k.timers.cancel(t.sleepTimer) && t.timedOut && !t.woken {
		return wait.ErrTimedOut
	}
	if t.woken {
		t.woken = false
		return nil
	}
	if t.interrupted(kind) {
		return wait.ErrInterrupted
	}
	return nil
}

// interrupted reports whether a sleep of that kind must end.
func (t *Task) interrupted(kind sleepKind) bool {
	switch kind {
	case interruptible:
		return t.dying || t.signalPending()
	case killable:
		return t.dying
	}
	return false
}

// Wakeup implements wait.Task.
func (t *Task) Wakeup() {
	t.woken = true
	if t.visitor != nil {
		t.wakeVisiting()
		return
	}
	t.makeReady()
}

// interrupt ends the task's sleep if a signal may, or makes its guest code
// come out, so that it looks at its work.
func (t *Task) interrupt() {
	t.work = true
	t.cancelHandling()
	switch t.state {
	case blocked:
		if t.interrupted(t.sleeping) {
			t.makeReady()
		}
	case running:
		if t.th != nil {
			t.th.Kick()
		}
	}
}

// makeReady puts a sleeping task in its CPU's queue.
func (t *Task) makeReady() {
	if t.state != blocked {
		return
	}
	t.state = ready
	t.readySince = nanotime()
	if t.k.observed() {
		t.observeWakeup()
	}
	t.cpu.ready.push(t)
	// A CPU that is in kernel code (this one, mostly) comes by its queue
	// when its task sleeps. Others are asleep or in guest code.
	if t.cpu.idle || t.cpu.inGuest {
		t.cpu.poke()
	}
}

// Offload implements wait.Task.
func (t *Task) Offload(f func()) {
	k := t.k
	if t == k.boot {
		// It has no stack to leave: whoever sets the kernel up waits.
		k.mu.Unlock()
		defer k.mu.Lock()
		f()
		return
	}
	if k.still() {
		k.mu.Unlock()
		defer k.mu.Lock()
		f()
		return
	}
	done := false
	var failed any
	k.stopped.Add(1)
	k.offloaded++
	go func() {
		defer k.stopped.Done()
		defer func() {
			// A panic is the call's, and goes on where the call is served: here
			// it would end the program that embeds us.
			if r := recover(); r != nil {
				failed = fmt.Sprintf("%v\n%s", r, debug.Stack())
			}
			k.mu.Lock()
			done = true
			k.offloaded--
			t.Wakeup()
			k.mu.Unlock()
		}()
		f()
	}()
	for !done {
		t.sleep(uninterruptible, 0)
	}
	if failed != nil {
		panic(failed)
	}
}

// Now implements wait.Task.
func (t *Task) Now() int64 { return t.k.clock.Monotonic() }

// Cred implements vfs.Context.
func (t *Task) Cred() *vfs.Cred { return &t.cred.fs }

// Umask implements vfs.Context.
func (t *Task) Umask() uint32 { return t.fs.umask }

// Realtime implements vfs.Context.
func (t *Task) Realtime() int64 { return t.k.clock.Realtime() }

// PID implements vfs.Context.
func (t *Task) PID() int { return t.p.pid }

// TID implements vfs.Context.
func (t *Task) TID() int { return t.tid }

// Comm is its name.
func (t *Task) Comm() string { return t.comm }

func (t *Task) String() string { return fmt.Sprintf("%s[%d]", t.comm, t.tid) }

var _ vfs.Context = (*Task)(nil)
