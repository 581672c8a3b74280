package fault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/sysemu/sysemu"
	"golang.org/x/sys/unix"
)

// maxOutput is how much of a run's output is kept and compared.
const maxOutput = 64 << 20

// output keeps the beginning of what is written.
type output struct{ bytes.Buffer }

func (o *output) Write(p []byte) (int, error) {
	o.Buffer.Write(p[:min(len(p), maxOutput-o.Len())])
	return len(p), nil
}

// run runs the program once, with a layer of middleware.
func (c *Config) run(ctx context.Context, mw sysemu.Middleware) (*outcome, error) {
	o := &outcome{}
	m, err := sysemu.New(append(append([]sysemu.Option{sysemu.WithCPUs(1), sysemu.WithLog(func(string) {})}, c.Options...),
		sysemu.WithMiddleware(mw), sysemu.WithObserver(func(e *sysemu.Event) {
			if e.Kind == sysemu.TaskExited && e.PID == e.TID && e.Status.Signaled() && crash(e.Status.Signal()) {
				o.crashes = append(o.crashes, fmt.Sprintf("%s (process %d): %v", e.Comm, e.PID, e.Status.Signal()))
			}
		}))...)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	timed, cancel := context.WithTimeout(ctx, c.Time)
	defer cancel()
	var out, errs output
	cmd := m.CommandContext(timed, c.Args[0], c.Args[1:]...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = c.Env, c.Dir, &out, &errs
	if c.Stdin != nil {
		cmd.Stdin = bytes.NewReader(c.Stdin)
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	err = cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case cmd.ProcessState == nil:
		return nil, err
	}
	o.status = cmd.ProcessState.Sys()
	if timed.Err() != nil && errors.Is(err, timed.Err()) {
		o.hung, o.limit = true, fmt.Sprintf("not in %v", c.Time)
	} else if l := cmd.Result().Limit; l != sysemu.NoLimit {
		o.hung, o.limit = l == sysemu.CPUTime || l == sysemu.WallTime, "limit: "+l.String()
	}
	o.out, o.err = out.Bytes(), errs.Bytes()
	if o.files, err = changedFiles(m); err != nil {
		return nil, err
	}
	return o, nil
}

// crash reports whether a signal is one that a program's own mistakes end it by.
func crash(s unix.Signal) bool {
	switch s {
	case unix.SIGSEGV, unix.SIGABRT, unix.SIGBUS, unix.SIGILL, unix.SIGFPE, unix.SIGSYS, unix.SIGTRAP:
		return true
	}
	return false
}

// recorder notes the calls of a good run.
type recorder struct {
	mu     sync.Mutex
	counts map[recorded]int
	begun  map[int]bool // threads that have made a call from other code than the loader's
	points []Point
	total  int
}

func newRecorder() *recorder {
	return &recorder{counts: map[recorded]int{}, begun: map[int]bool{}}
}

type recorded struct {
	tid  int
	name string
}

// maxPoints is how many calls are noted.
const maxPoints = 100000

func (r *recorder) middleware(next sysemu.Handler) sysemu.Handler {
	return sysemu.HandlerFunc(func(c *sysemu.Call) (uint64, error) {
		p := Point{Call: c.Name(), TID: c.TID()}
		r.mu.Lock()
		k := recorded{p.TID, p.Call}
		r.counts[k]++
		p.N = r.counts[k]
		r.total++
		keep := len(r.points) < maxPoints
		r.mu.Unlock()
		if keep {
			p.Comm, p.Text = c.Comm(), textOf(c)
			r.mu.Lock()
			begun := r.begun[p.TID]
			r.mu.Unlock()
			if !begun {
				p.loader = isLoader(c.CodeFile())
			}
			r.mu.Lock()
			// The program that execve starts has a loader of its own.
			r.begun[p.TID] = !p.loader && !strings.HasPrefix(p.Call, "execve")
			r.points = append(r.points, p)
			r.mu.Unlock()
		}
		return next.ServeCall(c)
	})
}

// isLoader reports whether code is the dynamic loader's.
func isLoader(file string) bool {
	return loaders.match(file)
}

var loaders = newGlob("ld[-.]*")

// textOf is a call in a line, with what its descriptors lead to.
func textOf(c *sysemu.Call) string {
	var list []string
	for _, a := range c.Args() {
		s := a.String()
		if isFD(a) {
			if name := c.FileName(c.FD(a.Index)); name != "" && s != "AT_FDCWD" {
				s += "<" + name + ">"
			}
		}
		if len(s) > 60 {
			s = s[:57] + "..."
		}
		list = append(list, s)
	}
	return c.Name() + "(" + strings.Join(list, ", ") + ")"
}
