package ptrace

import (
	"errors"
	"os/exec"
	"sync"
)

// HostMode returns the first [Mode] that this host can do without help, and the
// error that keeps it from tracing at all. It starts a process, this program's
// own executable, which is ended before it makes a call; once, the answer is
// remembered. It may be called from any goroutine.
func HostMode() (Mode, error) { return hostMode() }

var hostMode = sync.OnceValues(func() (Mode, error) {
	type answer struct {
		mode Mode
		err  error
	}
	c := make(chan answer)
	go func() {
		mode, err := probe()
		c <- answer{mode, err}
	}()
	a := <-c
	return a.mode, a.err
})

func probe() (Mode, error) {
	tr := NewTracer(Config{Options: ExitKill})
	defer tr.Close()
	t, err := tr.Start(exec.Command("/proc/self/exe"))
	if err != nil {
		return ModeNullify, err
	}
	err = Resume(SysemuSingleStep, t.pid, 0)
	if err == nil {
		return ModeFull, nil
	}
	if errors.Is(err, ErrNotSupported) {
		err = Resume(Sysemu, t.pid, 0)
	}
	switch {
	case err == nil:
		return ModeNoStep, nil
	case errors.Is(err, ErrNotSupported):
		return ModeNullify, nil
	}
	return ModeNullify, err
}
