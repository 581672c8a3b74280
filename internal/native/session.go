// Package native puts handlers in front of the system calls of ordinary
// processes of the host, by ptrace(2): the innermost handler has the host run
// the call.
//
// A Session is one OS thread that traces, with its tracees. At every moment
// they are to be in a state from which the host can let them go on by
// themselves, for that is what it does when this process is killed: a call that
// is stopped at its entry stays one that the host will execute until it has an
// answer, and number and result are changed by one request then. That is why
// PTRACE_SYSCALL is the rule, and PTRACE_SYSEMU, under which a call is lost with
// its tracer, is used only if asked for; and why there is no seccomp filter,
// which would outlive us and fail every call it had been set up to report.
//
// Contract: all of a Session but its exported methods is on the tracing thread,
// handlers too, which run on coroutines of it.
package native

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sysemu/sysemu/ptrace"
	"golang.org/x/sys/unix"
)

// Handler serves the calls of native processes.
type Handler interface {
	ServeCall(c *Call) (uint64, error)
}

// Config is what a Session is made of.
type Config struct {
	Handler func(host Handler) Handler // puts layers around the host; nil: none
	Mode    int                        // 0: PTRACE_SYSCALL; 1: also PTRACE_SYSEMU; 2: also PTRACE_SYSEMU_SINGLESTEP
	Off     bool                       // begins without emulation
	Report  func(msg string)           // what the operator should know
}

// Session is a set of native processes that are traced together.
type Session struct {
	cfg     Config
	handler Handler
	tid     int // the tracing thread
	first   int // the process attached to or started
	cmd     *exec.Cmd
	copied  sync.Once

	mode atomic.Int32
	off  atomic.Bool

	tr      *ptrace.Tracer
	threads map[int]*thread
	spare   []*coroutine
	step    func(Step)
	waiting []chan<- struct{} // for threads that are to stop first
	ending  bool

	bell    *ptrace.Tracee // see ring
	bellCmd *exec.Cmd
	bellPID atomic.Int32

	blocking sync.WaitGroup // goroutines that handlers wait for

	mu    sync.Mutex
	inbox []func() // to run on the tracing thread; nil and over: too late
	over  bool

	done   chan struct{} // closed when the tracees are let go of
	status unix.WaitStatus
	ended  bool // the first process has, with that status
	err    error
}

// ErrDetached says that a process was let go of before it ended.
var ErrDetached = errors.New("sysemu: detached")

// Attach attaches to all threads of a process. When it returns, their calls
// are seen by the handler, but for those of threads that cannot be stopped
// just now: they follow.
func Attach(pid int, c Config) (*Session, error) {
	return begin(c, func(s *Session) error {
		if _, err := s.tr.SeizeProcess(pid); err != nil {
			return err
		}
		s.first = pid
		return nil
	})
}

// Start starts a program, stopped before its first instruction until the
// session is ready for it.
func Start(cmd *exec.Cmd, c Config) (*Session, error) {
	return begin(c, func(s *Session) error {
		t, err := s.tr.Start(cmd)
		if err != nil {
			return err
		}
		s.first, s.cmd = t.PID(), cmd
		return nil
	})
}

func begin(c Config, attach func(s *Session) error) (*Session, error) {
	s := &Session{cfg: c, threads: make(map[int]*thread), done: make(chan struct{})}
	if c.Handler != nil {
		s.handler = c.Handler(host{})
	}
	s.mode.Store(int32(c.Mode))
	s.off.Store(c.Off)
	began := make(chan error)
	go s.main(attach, began)
	if err := <-began; err != nil {
		<-s.done
		return nil, err
	}
	return s, nil
}

// main is the life of the tracing thread, which ends with it: so the host
// detaches it from its tracees, whatever they do.
func (s *Session) main(attach func(s *Session) error, began chan<- error) {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		// The first thread of a process does not end before the process.
		go s.main(attach, began)
		<-s.done
		runtime.UnlockOSThread()
		return
	}
	s.tid = unix.Gettid()
	s.tr = ptrace.NewTracer(ptrace.Config{
		Options: ptrace.TraceFork | ptrace.TraceVFork | ptrace.TraceClone | ptrace.TraceExec,
	})
	s.setMode(int(s.mode.Load()))
	err := s.hangBell()
	if err == nil {
		err = attach(s)
	}
	if err != nil {
		s.removeBell()
		s.finish()
		began <- err
		return
	}
	for _, t := range s.tracees() {
		if t.tee.Stopped() {
			s.resume(t, 0)
		} else if s.wants() {
			s.interrupt(t)
		}
	}
	s.whenStopped(func() { began <- nil })
	s.loop()
	s.letGo()
	s.removeBell()
	s.finish()
}

// tracees makes threads of the tracees that are there.
func (s *Session) tracees() []*thread {
	var all []*thread
	for _, tee := range s.tr.Tracees() {
		if tee != s.bell {
			all = append(all, s.thread(tee))
		}
	}
	return all
}

func (s *Session) thread(tee *ptrace.Tracee) *thread {
	t := s.threads[tee.PID()]
	if t == nil {
		t = &thread{s: s, tee: tee, req: ptrace.Cont}
		s.threads[tee.PID()] = t
	}
	t.tee = tee
	return t
}

func (s *Session) loop() {
	for !s.ending {
		s.runInbox()
		if s.ending {
			return
		}
		tee, stop, err := s.tr.Wait()
		switch {
		case tee == nil: // there is the bell at least
			s.err = err
			s.ending = true
		case tee == s.bell:
			s.rung(stop)
		case err != nil:
			s.cfg.Report(fmt.Sprintf("sysemu: tracing %d: %v", tee.PID(), err))
		default:
			s.stopped(s.thread(tee), stop)
		}
	}
}

func (s *Session) runInbox() {
	for {
		s.mu.Lock()
		if len(s.inbox) == 0 {
			s.mu.Unlock()
			return
		}
		f := s.inbox[0]
		s.inbox = s.inbox[1:]
		s.mu.Unlock()
		f()
	}
}

// finish lets waiters know that all is over.
func (s *Session) finish() {
	s.mu.Lock()
	s.over = true
	left := s.inbox
	s.inbox = nil
	s.mu.Unlock()
	for _, f := range left {
		f()
	}
	for _, c := range s.spare {
		c.stop()
	}
	s.spare = nil
	for _, c := range s.waiting {
		close(c)
	}
	close(s.done)
}

// do runs f on the tracing thread, and waits for it. Afterwards f is run
// anywhere.
func (s *Session) do(f func()) {
	if unix.Gettid() == s.tid { // a handler
		f()
		return
	}
	done := make(chan struct{})
	s.mu.Lock()
	if s.over {
		s.mu.Unlock()
		return
	}
	s.inbox = append(s.inbox, func() { f(); close(done) })
	s.mu.Unlock()
	s.ring()
	<-done
}

// The tracing thread sleeps in wait4(2), which nothing ends but a report. So
// there is one more tracee, the bell, a process that does nothing: a signal to
// it is reported.

// pauseLoop is: mov $34,%eax; syscall (pause); jmp back.
var pauseLoop = []byte{0xb8, unix.SYS_PAUSE, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7}

// hangBell starts it: this program, whose code is never come to.
func (s *Session) hangBell() error {
	s.bellCmd = exec.Command("/proc/self/exe")
	s.bellCmd.Args = []string{"sysemu-bell"}
	s.bellCmd.Env = []string{}
	s.bellCmd.Dir = "/"
	tee, err := s.tr.Start(s.bellCmd)
	if err != nil {
		return fmt.Errorf("sysemu: starting a process of our own: %w", err)
	}
	s.bell = tee
	ip, err := tee.PeekUser(ptrace.OffRIP)
	if err == nil {
		_, err = tee.WriteAt(pauseLoop, int64(ip))
	}
	if err == nil {
		err = tee.SetOptions(ptrace.ExitKill)
	}
	if err == nil {
		err = tee.Resume(ptrace.Cont, 0)
	}
	s.bellPID.Store(int32(tee.PID()))
	return err
}

// ring has the tracing thread look at its inbox.
func (s *Session) ring() { unix.Kill(int(s.bellPID.Load()), unix.SIGURG) }

// rung is what the bell reports.
func (s *Session) rung(stop ptrace.Stop) {
	switch stop.(type) {
	case ptrace.Exited, ptrace.Signaled: // somebody killed it
		s.bellCmd.Wait() // for its files
		s.bell = nil
		if err := s.hangBell(); err != nil {
			s.err = err
			s.ending = true
		}
	case ptrace.GroupStop, ptrace.Event, ptrace.SignalDelivery:
		s.bell.Resume(ptrace.Cont, 0)
	}
}

func (s *Session) removeBell() {
	if s.bell == nil {
		return
	}
	unix.Kill(s.bell.PID(), unix.SIGKILL)
	for {
		stop, err := s.bell.Wait()
		if err != nil {
			break
		}
		if _, dead := stop.(ptrace.Signaled); dead {
			break
		}
	}
	s.bell = nil
	s.bellCmd.Wait()
}

// patience is how long is waited for threads to stop that the host does not let
// stop: one that waits for its vfork's child, say.
const patience = time.Second

// interrupt has a running thread stop.
func (s *Session) interrupt(t *thread) {
	if t.tee.Interrupt() == nil {
		t.interrupted = true
	}
}

// whenStopped runs f once no thread is still to stop, or patience is over.
func (s *Session) whenStopped(f func()) {
	c := make(chan struct{})
	s.waiting = append(s.waiting, c)
	go func() {
		select {
		case <-c:
		case <-time.After(patience):
		}
		f()
	}()
	s.noteStopped()
}

func (s *Session) noteStopped() {
	if len(s.waiting) == 0 {
		return
	}
	for _, t := range s.threads {
		if t.interrupted {
			return
		}
	}
	for _, c := range s.waiting {
		close(c)
	}
	s.waiting = nil
}

// wants tells whether threads are to stop at all.
func (s *Session) wants() bool {
	return !s.ending && (s.step != nil || s.handler != nil && !s.off.Load())
}

// PID is the process that was attached to or started.
func (s *Session) PID() int { return s.first }

// Mode is what was set, or less if the host has less.
func (s *Session) Mode() int { return int(s.mode.Load()) }

// SetMode changes it; other numbers than 0 to 2 are ignored.
func (s *Session) SetMode(mode int) {
	if mode >= 0 && mode <= 2 {
		s.do(func() { s.setMode(mode) })
	}
}

var tracerModes = [...]ptrace.Mode{ptrace.ModeNullify, ptrace.ModeNoStep, ptrace.ModeFull}

func (s *Session) setMode(mode int) {
	s.mode.Store(int32(mode))
	s.tr.SetMode(tracerModes[mode])
}

// lowered takes note of what the tracer found the host not to have.
func (s *Session) lowered() {
	for mode, m := range tracerModes {
		if m == s.tr.Mode() {
			s.mode.Store(int32(mode))
		}
	}
}

// Enabled tells whether handlers see calls.
func (s *Session) Enabled() bool { return !s.off.Load() }

// Enable has them see calls, or not. What is in progress is finished.
func (s *Session) Enable(on bool) {
	s.change(func() { s.off.Store(!on) })
}

// Step has f called after each instruction of each thread. nil: no more.
func (s *Session) Step(f func(Step)) {
	s.change(func() { s.step = f })
}

// change changes what threads are resumed for, and returns when they are. Those
// that run for something else come to it by themselves unless they run without
// stops.
func (s *Session) change(f func()) {
	here := unix.Gettid() == s.tid
	c := make(chan struct{})
	s.do(func() {
		f()
		for _, t := range s.threads {
			late := s.wants() && t.req == ptrace.Cont || s.step != nil && t.req != ptrace.SysemuSingleStep && t.call == nil
			if late && !t.listening && !t.interrupted && !t.tee.Stopped() {
				s.interrupt(t)
			}
		}
		if !here {
			s.whenStopped(func() { close(c) })
		}
	})
	if !here {
		select {
		case <-c:
		case <-s.done:
		}
	}
}

// Wait waits until the first process ends, and returns how. ErrDetached: Close
// came first.
func (s *Session) Wait() (unix.WaitStatus, error) {
	<-s.done
	if !s.ended {
		if s.err != nil {
			return 0, s.err
		}
		return 0, ErrDetached
	}
	if s.cmd != nil {
		// It has been waited for. This is for what is copied to its streams.
		s.copied.Do(func() { s.cmd.Wait() })
	}
	return s.status, nil
}

// Close lets go of all that is traced, which goes on natively. From a handler,
// it does so later.
func (s *Session) Close() {
	here := unix.Gettid() == s.tid
	s.do(func() { s.ending = true })
	if here {
		return
	}
	<-s.done
	// The thread is detached from its tracees while it ends.
	for until := time.Now().Add(patience); unix.Tgkill(unix.Getpid(), s.tid, 0) == nil && time.Now().Before(until); {
		time.Sleep(50 * time.Microsecond)
	}
}
