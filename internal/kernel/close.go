package kernel

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// StuckError says that a machine could not be closed at once, since handlers
// have not returned. Its programs are dead, and what is left is given back when
// they do.
type StuckError struct {
	Calls []string // that the handlers have
}

func (e *StuckError) Error() string {
	return fmt.Sprintf("sysemu: closing the machine: handlers do not return from %s", strings.Join(e.Calls, ", "))
}

// shutdown is what closing needs.
type shutdown struct {
	close     sync.Once
	closed    error            // of closing
	ended     chan struct{}    // closed when it is complete
	blocking  map[*bool]string // calls whose handlers have something run elsewhere
	unblocked chan struct{}    // closed when there are none while closing
}

func newShutdown() shutdown {
	return shutdown{ended: make(chan struct{}), unblocked: make(chan struct{}), blocking: map[*bool]string{}}
}

// patienceWithHandlers is how long Close waits for handlers unless the Config
// says otherwise.
const patienceWithHandlers = 5 * time.Second

// Close kills every task and ends the CPUs. It waits until no process, thread,
// descriptor or goroutine of the kernel's is left; for handlers that do not
// return, only so long: then it is a *StuckError, and the rest follows.
func (k *Kernel) Close() error {
	k.close.Do(func() { k.closed = k.shut() })
	return k.closed
}

func (k *Kernel) shut() error {
	k.mu.Lock()
	k.closing = true
	close(k.quit)
	if len(k.blocking) == 0 {
		close(k.unblocked)
	}
	for _, p := range k.pids.processes() {
		p.kill(9)
	}
	for _, t := range k.pids.tasks {
		// Those that wait for a tracer which waits for them.
		if t.tracee != nil && t.tracee.stopped {
			t.tracee.fatal = true
			t.Wakeup()
		}
	}
	for _, c := range k.cpus {
		c.poke()
	}
	k.timers.stop()
	expired := k.expireErrands()
	k.mu.Unlock()
	go func() {
		defer close(k.ended)
		defer expired()
		k.stopped.Wait()
		k.giveBack()
		<-k.unblocked
	}()
	patience := k.cfg.Patience
	if patience == 0 {
		patience = patienceWithHandlers
	}
	for {
		timer := time.NewTimer(patience)
		select {
		case <-k.ended:
			timer.Stop()
			return nil
		case <-timer.C:
			if err := k.stuck(); err != nil {
				return err
			}
		}
	}
}

// Ended is closed when nothing is left of a kernel that was closed.
func (k *Kernel) Ended() <-chan struct{} { return k.ended }

// giveBack lets go of what the CPUs have used.
func (k *Kernel) giveBack() {
	k.unmountAll()
	k.awaitErrands()
	if k.memfds != nil {
		k.memfds.Unmounted()
	}
	if k.closeDevices != nil {
		k.closeDevices()
	}
	k.keepAll()
	k.hw.Close()
}

// stuck is an error when handlers are what Close waits for. Then it sees to it
// that nobody waits for their programs: those are killed on the host, and have
// ended as far as others are told.
func (k *Kernel) stuck() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	e := &StuckError{}
	for _, name := range k.blocking {
		e.Calls = append(e.Calls, name)
	}
	for _, t := range k.pids.tasks {
		if t.handler && t.state == running {
			e.Calls = append(e.Calls, t.call.String())
		}
	}
	if len(e.Calls) == 0 {
		return nil
	}
	slices.Sort(e.Calls)
	for _, t := range k.pids.tasks {
		if t.th != nil {
			t.th.Kill()
		}
	}
	for _, p := range k.pids.processes() {
		if f := p.onExit; f != nil {
			p.onExit = nil
			p.exitCode = int(unix.SIGKILL)
			f()
		}
	}
	return e
}
