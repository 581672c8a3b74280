package sysemu

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/sysemu/sysemu/internal/kernel"
	"golang.org/x/sys/unix"
)

// Limits bound what a program may take together with all that it starts: its
// run. A run that goes over one is killed as a whole, and [Result] says which
// it was. 0 is no limit.
type Limits struct {
	// CPUTime bounds the time that the run's programs were executed for, on
	// all CPUs together. What this process does to serve their calls is not
	// in it. It is looked at every 4 ms.
	CPUTime time.Duration
	// WallTime bounds the time that passes, by the clock of the host, whatever
	// the machine's says.
	WallTime time.Duration
	// Memory bounds what the run's processes have in memory, in bytes: what
	// is their own, and shared memory; not the files that they have mapped. It
	// is looked at every 4 ms, so that what is taken faster goes over it first.
	Memory uint64
	// Processes bounds how many processes and threads there may be at once.
	Processes int
	// OutputBytes bounds what is written to Stdout and Stderr together. As
	// much as that arrives there. What goes to a terminal is not counted.
	OutputBytes int64
	// FileSize bounds the size to which a regular file is written or
	// extended, in bytes.
	FileSize int64
	// DiskBytes bounds what is written to regular files in all, in bytes;
	// what is written by way of mapped memory is not counted.
	DiskBytes int64
	// OpenFiles is RLIMIT_NOFILE: a process that has as many files open
	// gets EMFILE, and goes on.
	OpenFiles int
}

// WithLimits sets the Limits of every program that is started, where those of
// its Cmd are 0. They are of each run, not of all together.
func WithLimits(l Limits) Option { return func(o *options) { o.limits = l } }

// or fills in what is 0.
func (l Limits) or(d Limits) Limits {
	fill(&l.CPUTime, d.CPUTime)
	fill(&l.WallTime, d.WallTime)
	fill(&l.Memory, d.Memory)
	fill(&l.Processes, d.Processes)
	fill(&l.OutputBytes, d.OutputBytes)
	fill(&l.FileSize, d.FileSize)
	fill(&l.DiskBytes, d.DiskBytes)
	fill(&l.OpenFiles, d.OpenFiles)
	return l
}

func fill[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// check refuses what is no limit.
func (l *Limits) check() error {
	if l.CPUTime < 0 || l.WallTime < 0 || l.Processes < 0 || l.OutputBytes < 0 || l.FileSize < 0 || l.DiskBytes < 0 || l.OpenFiles < 0 {
		return fmt.Errorf("sysemu: a limit is negative: %+v", *l)
	}
	return nil
}

// Limit names one of [Limits].
type Limit uint8

// The limits that can end a run.
const (
	NoLimit     = Limit(kernel.NoLimit)
	CPUTime     = Limit(kernel.CPUTime)
	WallTime    = Limit(kernel.WallTime)
	Memory      = Limit(kernel.Memory)
	Processes   = Limit(kernel.Processes)
	OutputBytes = Limit(kernel.OutputBytes)
	FileSize    = Limit(kernel.FileSize)
	DiskBytes   = Limit(kernel.DiskBytes)
)

var limitNames = [...]string{
	NoLimit: "none", CPUTime: "cpu-time", WallTime: "wall-time", Memory: "memory", Processes: "processes",
	OutputBytes: "output", FileSize: "file-size", DiskBytes: "disk",
}

func (l Limit) String() string {
	if int(l) < len(limitNames) {
		return limitNames[l]
	}
	return fmt.Sprintf("Limit(%d)", uint8(l))
}

// MarshalText gives the name that String gives.
func (l Limit) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText is the reverse of MarshalText.
func (l *Limit) UnmarshalText(text []byte) error {
	for i, n := range limitNames {
		if n == string(text) {
			*l = Limit(i)
			return nil
		}
	}
	return fmt.Errorf("sysemu: no such limit: %q", text)
}

// Result is how a run has ended, and what it used: of the program and all that
// it had started, until it ended.
type Result struct {
	// ExitCode is the exit status, or -1 if Signal ended the program.
	ExitCode int
	// Signal ended the program; 0: it exited.
	Signal unix.Signal
	// Limit is the limit that ended the run, or NoLimit.
	//
	// Times are compared once more when the program has ended: one that was
	// just about to exit has gone over its limit all the same if the times
	// below say so. If several limits were gone over, the first counts.
	//
	// The machine's own limits, of WithPIDs and WithMemory, do not end a
	// run: calls fail, and the biggest process is killed. Such a limit
	// is named when the run came up against it and did not end with exit
	// status 0.
	Limit Limit

	UserTime   time.Duration // CPU time in programs' code
	SystemTime time.Duration // CPU time that the host spent for them
	WallTime   time.Duration // by the host's clock, from Start to the end

	PeakMemory  uint64 // bytes resident, files that are mapped included, as far as was seen
	Processes   int    // processes in all
	PeakTasks   int    // processes and threads, the most at once
	Calls       uint64 // system calls served
	OutputBytes int64  // written to Stdout and Stderr
	DiskBytes   int64  // written to regular files
}

// CPUTime is UserTime and SystemTime together.
func (r *Result) CPUTime() time.Duration { return r.UserTime + r.SystemTime }

// jsonResult is a Result as MarshalJSON writes it.
type jsonResult struct {
	ExitCode    int    `json:"exit_code"`
	Signal      string `json:"signal,omitempty"`
	Limit       Limit  `json:"limit"`
	UserTime    int64  `json:"user_ns"`
	SystemTime  int64  `json:"system_ns"`
	WallTime    int64  `json:"wall_ns"`
	PeakMemory  uint64 `json:"peak_memory_bytes"`
	Processes   int    `json:"processes"`
	PeakTasks   int    `json:"peak_tasks"`
	Calls       uint64 `json:"calls"`
	OutputBytes int64  `json:"output_bytes"`
	DiskBytes   int64  `json:"disk_bytes"`
}

// MarshalJSON writes an object with the members exit_code, signal (such as
// "SIGKILL", missing if there was none), limit (such as "cpu-time", or "none"),
// user_ns, system_ns, wall_ns, peak_memory_bytes, processes, peak_tasks, calls,
// output_bytes and disk_bytes.
func (r Result) MarshalJSON() ([]byte, error) {
	j := jsonResult{r.ExitCode, "", r.Limit, int64(r.UserTime), int64(r.SystemTime), int64(r.WallTime), r.PeakMemory, r.Processes,
		r.PeakTasks, r.Calls, r.OutputBytes, r.DiskBytes}
	if r.Signal != 0 {
		j.Signal = unix.SignalName(r.Signal)
		if j.Signal == "" {
			j.Signal = fmt.Sprintf("SIG%d", int(r.Signal))
		}
	}
	return json.Marshal(j)
}

func (r *Result) String() string {
	how := fmt.Sprintf("exit status %d", r.ExitCode)
	if r.Signal != 0 {
		how = "signal: " + r.Signal.String()
	}
	if r.Limit != NoLimit {
		how += " (limit: " + r.Limit.String() + ")"
	}
	return how
}

// newResult is the verdict.
func newResult(ws unix.WaitStatus, u kernel.JobUsage, wall time.Duration, l Limits) Result {
	r := Result{
		ExitCode: ws.ExitStatus(), UserTime: time.Duration(u.User), SystemTime: time.Duration(u.System), WallTime: wall,
		PeakMemory: u.Memory, Processes: u.Processes, PeakTasks: u.Tasks, Calls: u.Calls, OutputBytes: u.Output, DiskBytes: u.Disk,
	}
	if ws.Signaled() {
		r.Signal = ws.Signal()
	}
	switch {
	case u.Reached != kernel.NoLimit && (u.Killed || !ws.Exited() || ws.ExitStatus() != 0):
		r.Limit = Limit(u.Reached)
	case l.CPUTime > 0 && r.CPUTime() > l.CPUTime:
		r.Limit = CPUTime
	case l.WallTime > 0 && wall > l.WallTime:
		r.Limit = WallTime
	}
	return r
}

// run is what a Cmd keeps of the limits.
type run struct {
	limits Limits
	job    *kernel.Job
	began  time.Time
	wall   *time.Timer // nil: WallTime is not limited
	result Result
}

// begin makes the run of a program that is about to be started.
func (c *Cmd) begin(s *kernel.Start) error {
	l := c.Limits.or(c.m.opts.limits)
	if err := l.check(); err != nil {
		return err
	}
	job := c.m.k.NewJob(kernel.JobLimits{
		CPU: int64(l.CPUTime), Memory: l.Memory, Processes: l.Processes, Output: l.OutputBytes, FileSize: l.FileSize, Disk: l.DiskBytes,
	})
	if n := uint64(l.OpenFiles); n > 0 {
		s.Limits = map[int]unix.Rlimit{unix.RLIMIT_NOFILE: {Cur: n, Max: n}}
	}
	s.Job = job
	c.run = run{limits: l, job: job, began: time.Now()}
	return nil
}

// started sets the clock.
func (r *run) started() {
	if r.limits.WallTime > 0 {
		r.wall = time.AfterFunc(r.limits.WallTime-time.Since(r.began), func() { r.job.Exceed(kernel.WallTime) })
	}
}

// ended takes the result of a program that has ended.
func (r *run) ended(prog *kernel.Program, ws unix.WaitStatus) {
	if r.wall != nil {
		r.wall.Stop()
	}
	r.result = newResult(ws, prog.JobUsage(), prog.Ended().Sub(r.began), r.limits)
}

// Result is how the run has ended and what it used: after Wait.
func (c *Cmd) Result() Result { return c.run.result }
