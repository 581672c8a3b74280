package ptrace

import (
	"errors"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Tracer is one OS thread together with its tracees. ptrace(2) binds a tracee
// to the thread that attached to it, so a Tracer binds itself to the goroutine
// that makes it, and that goroutine to its thread: all its methods, and those
// of its [Tracee]s but [Tracee.Signal], are to be called there. Elsewhere they
// fail, with an [*Error] that says so.
//
// While it has tracees, nothing else in the program may wait for any child
// whatever, by wait4(-1): it would take their reports away. os/exec does not.
// Children that this thread makes without the Tracer are waited for by it, and
// their status is lost.
type Tracer struct {
	tid     int
	options Options
	rule    Rule
	mode    Mode
	tracees map[int]*Tracee
	kills   bool // every tracee so far was started here
	closed  bool
}

// Config is how a [Tracer] traces. The zero value will do.
type Config struct {
	// Options are given to every tracee, TraceSysGood being added.
	Options Options
	// Rule says what follows a skipped call.
	Rule Rule
	// Mode says how much of the host's PTRACE_SYSEMU to use.
	Mode Mode
}

// NewTracer makes a Tracer of the calling goroutine, and locks that to its OS
// thread until [Tracer.Close].
func NewTracer(c Config) *Tracer {
	runtime.LockOSThread()
	return &Tracer{
		tid:     unix.Gettid(),
		options: c.Options | TraceSysGood,
		rule:    c.Rule,
		mode:    c.Mode,
		tracees: make(map[int]*Tracee),
		kills:   true,
	}
}

// here fails on any thread but the tracer's.
func (tr *Tracer) here(req Request, pid int) error {
	if tr.closed {
		return &Error{Request: req, PID: pid, Errno: unix.ESRCH, Cause: "the Tracer is closed"}
	}
	if unix.Gettid() != tr.tid {
		return &Error{Request: req, PID: pid, Errno: unix.ESRCH, Cause: wrongThread(tr.tid)}
	}
	return nil
}

// Mode is how much of PTRACE_SYSEMU is used: what [Config] asked for, or what
// the host was found to have.
func (tr *Tracer) Mode() Mode { return tr.mode }

// SetMode changes it, at any time.
func (tr *Tracer) SetMode(m Mode) { tr.mode = m }

// Tracee returns the tracee with that thread id, nil if there is none.
func (tr *Tracer) Tracee(pid int) *Tracee { return tr.tracees[pid] }

// Tracees returns all of them, in no order.
func (tr *Tracer) Tracees() []*Tracee { return slices.Collect(maps.Values(tr.tracees)) }

// Seize attaches to thread pid, which goes on running; [Tracee.Interrupt] stops
// it. Errors are those of the function [Seize].
func (tr *Tracer) Seize(pid int) (*Tracee, error) {
	if err := tr.here(unix.PTRACE_SEIZE, pid); err != nil {
		return nil, err
	}
	if err := Seize(pid, tr.options); err != nil {
		return nil, explain(err, tr.tid)
	}
	tr.kills = false
	return tr.add(&Tracee{pid: pid, seized: true}), nil
}

// SeizeProcess attaches to every thread of process pid, as [Tracer.Seize] to
// one, until none is found that is new. Give the Tracer the option [TraceClone]
// to have later threads too. If it fails, it detaches from none.
func (tr *Tracer) SeizeProcess(pid int) ([]*Tracee, error) {
	var all []*Tracee
	for found := true; found; {
		found = false
		tasks, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
		if err != nil {
			return all, &Error{Request: unix.PTRACE_SEIZE, PID: pid, Errno: unix.ESRCH, Cause: "there is no such process"}
		}
		for _, task := range tasks {
			tid, err := strconv.Atoi(task.Name())
			if err != nil || tr.tracees[tid] != nil {
				continue
			}
			t, err := tr.Seize(tid)
			if err != nil {
				// Gone in the meantime, or attached by itself as the child of one of the others.
				if tid != pid && (errors.Is(err, unix.ESRCH) || tracerOf(tid) == tr.tid) {
					continue
				}
				return all, err
			}
			all = append(all, t)
			found = true
		}
	}
	return all, nil
}

func tracerOf(pid int) int {
	tid, _ := strconv.Atoi(procStatus(pid)["TracerPid"])
	return tid
}

// Attach attaches to thread pid in the old way, by a SIGSTOP, and waits until
// that has stopped it. Signals that come before it are delivered. The SIGSTOP is
// gone when the tracee is resumed. Such a tracee knows no Interrupt and no
// Listen. Errors are those of the function [Attach].
func (tr *Tracer) Attach(pid int) (*Tracee, error) {
	if err := tr.here(unix.PTRACE_ATTACH, pid); err != nil {
		return nil, err
	}
	if err := Attach(pid); err != nil {
		return nil, explain(err, tr.tid)
	}
	tr.kills = false
	t := tr.add(&Tracee{pid: pid})
	if err := t.untilSIGSTOP(); err != nil {
		return nil, err
	}
	return t, explain(SetOptions(pid, tr.options), tr.tid)
}

// untilSIGSTOP waits for the stop that a SIGSTOP makes, delivering the signals
// that come before it.
func (t *Tracee) untilSIGSTOP() error {
	for {
		stop, err := t.Wait()
		if err != nil {
			return err
		}
		var sig syscall.Signal
		switch s := stop.(type) {
		case SignalDelivery:
			if sig = s.Signal; sig == unix.SIGSTOP {
				t.due = 0
				return nil
			}
		case GroupStop: // it was stopped already
			return nil
		case Exited, Signaled:
			return &Error{Request: waitRequest, PID: t.pid, Errno: unix.ESRCH, Cause: "it ended: " + stop.String()}
		}
		if err := t.Resume(Cont, sig); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
}

// add makes t a tracee.
func (tr *Tracer) add(t *Tracee) *Tracee {
	t.tracer = tr
	tr.tracees[t.pid] = t
	return t
}

// born takes note of the child that parent made. It may have reported already.
func (tr *Tracer) born(parent *Tracee, pid int) {
	t := tr.tracees[pid]
	if t == nil {
		t = tr.add(&Tracee{pid: pid, seized: parent.seized, newborn: true})
	}
	t.killed = parent.killed
}

// execed takes note that t's process executes another program, as the thread
// whose id was former: that thread has t's id now, and t's is no more.
func (tr *Tracer) execed(t *Tracee, former int) {
	f := tr.tracees[former]
	if f == nil || f == t {
		return
	}
	t.asked, t.host, t.call, t.seized, t.killed = f.asked, f.host, f.call, f.seized, f.killed
	t.sealed, t.erestart, t.norestart, t.strayTrap = false, false, false, false
	f.end()
}

const waitOptions = unix.WALL | unix.WNOTHREAD

// Wait waits until any tracee reports, and returns which and what. Children
// attached by [TraceFork], [TraceVFork] and [TraceClone] are among them; the
// first report of one is an [Event] of kind EventStop, and may come before that
// of its parent. ECHILD: there is no tracee.
//
// When a thread other than the first executes a program, its Tracee ends and
// that of the first thread goes on in its place.
func (tr *Tracer) Wait() (*Tracee, Stop, error) { return tr.wait(-1, 0) }

// Poll is Wait that does not wait: the tracee is nil if there is nothing to
// report.
func (tr *Tracer) Poll() (*Tracee, Stop, error) { return tr.wait(-1, unix.WNOHANG) }

func (tr *Tracer) wait(pid, options int) (*Tracee, Stop, error) {
	if err := tr.here(waitRequest, pid); err != nil {
		return nil, nil, err
	}
	for {
		who, ws, err := WaitAny(pid, options|waitOptions)
		if err != nil {
			e := &Error{Request: waitRequest, PID: pid, Errno: err.(syscall.Errno), Cause: "there is no tracee"}
			if pid > 0 {
				e.Cause = "it has ended, and another wait in this program was told; or it executes a program, as a thread"
			}
			return nil, nil, e
		}
		if who == 0 {
			return nil, nil, nil
		}
		t := tr.tracees[who]
		if t == nil {
			if !syscall.WaitStatus(ws).Stopped() {
				continue // a child of this thread, and no tracee
			}
			t = tr.add(&Tracee{pid: who, seized: EventKind(ws>>16) == EventStop, newborn: true, killed: tr.kills})
		}
		stop, err := t.report(ws)
		if err != nil {
			return t, nil, explain(err, tr.tid)
		}
		if stop != nil {
			return t, stop, nil
		}
	}
}

// Close ends the Tracer, and unlocks the goroutine from its thread. Tracees that
// it started, and their children, are killed and waited for; the others are
// detached, and go on running.
func (tr *Tracer) Close() error {
	if tr.closed {
		return nil
	}
	if err := tr.here(unix.PTRACE_DETACH, -1); err != nil {
		return err
	}
	tr.letGo()
	// Whoever died while it made a child has not told of it, and the child may
	// not have reported yet: it counts among those that can be waited for.
	for range newbornTries {
		t, _, err := tr.Poll()
		if t == nil && err != nil {
			break // ECHILD: there is nobody
		}
		if t == nil {
			time.Sleep(time.Millisecond)
			continue
		}
		tr.letGo()
	}
	tr.closed = true
	runtime.UnlockOSThread()
	return nil
}

// newbornTries is how often, a millisecond apart, Close looks for a child that
// is yet to report, when this thread has other children than tracees.
const newbornTries = 50

// letGo kills or detaches all tracees that are known.
func (tr *Tracer) letGo() {
	// Children may be born while the others are seen to.
	for len(tr.tracees) > 0 {
		for t := range maps.Values(maps.Clone(tr.tracees)) {
			if t.gone.Load() {
				continue
			}
			if t.killed {
				t.kill()
			} else {
				t.release()
			}
		}
		for {
			if t, _, err := tr.Poll(); t == nil || err != nil {
				break
			}
		}
	}
}

// kill kills the tracee's process and waits for this thread's end.
func (t *Tracee) kill() {
	t.Signal(unix.SIGKILL)
	for !t.gone.Load() {
		stop, err := t.Wait()
		if err != nil {
			t.end() // told to someone else
			return
		}
		if e, ok := stop.(Event); ok && e.Kind == EventExit {
			t.Resume(Cont, 0)
		}
	}
}

// release detaches from the tracee wherever it is. The signal that it is about to
// get, it gets.
func (t *Tracee) release() {
	switch {
	case t.stopped:
	case t.seized:
		t.Interrupt()
		if _, err := t.Wait(); err != nil {
			t.end()
			return
		}
	default:
		t.Signal(unix.SIGSTOP)
		if t.untilSIGSTOP() != nil {
			t.end()
			return
		}
	}
	if !t.gone.Load() && t.Detach(t.due) != nil {
		t.end() // killed in the meantime; the host sees to the rest
	}
}
