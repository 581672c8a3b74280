// Package kernel is the virtual kernel: tasks, scheduling, signals, memory and
// the system calls, on virtual CPUs that package machine provides.
//
// Contract: one lock, Kernel.mu, guards everything below. It is held while
// kernel code runs and let go while guest code runs, while a task offloads
// work that may block, and while a CPU is idle. A system call is plain
// blocking Go on a coroutine of its CPU's thread; see cpu.go.
package kernel

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"sync"
	"time"

	"github.com/sysemu/sysemu/internal/fs/devfs"
	"github.com/sysemu/sysemu/internal/fs/tmpfs"
	"github.com/sysemu/sysemu/internal/ipc"
	"github.com/sysemu/sysemu/internal/machine"
	"github.com/sysemu/sysemu/internal/mqueue"
	"github.com/sysemu/sysemu/internal/net"
	"github.com/sysemu/sysemu/internal/sigframe"
	"github.com/sysemu/sysemu/internal/timerfd"
	"github.com/sysemu/sysemu/internal/tty"
	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait"
)

// Config says what kind of computer the kernel is.
type Config struct {
	CPUs       int                                           // virtual CPUs; 0 = as many as the host lets us use
	Root       func(ctx vfs.Context) (vfs.FileSystem, error) // makes what is mounted at /
	Hostname   string                                        // "" = "sysemu"
	Memory     uint64                                        // bytes of memory for all guests; 0 = as the host has
	Files      *tmpfs.Budget                                 // of all files in memory; nil = half of the memory
	PIDs       int                                           // tasks at most; 0 = 32768
	Clock      ClockConfig
	Seed       *uint64               // random bytes are made of it; nil = the host's, or 0 with a virtual clock
	Report     func(msg string)      // what the operator should know (a handler's panic); nil = dropped
	Handler    func(Handler) Handler // wraps the kernel's own; nil = none
	PtraceRule PtraceRule
	Patience   time.Duration                          // how long Close waits for handlers; 0 = 5 s
	Setup      func(k *Kernel, ctx vfs.Context) error // runs once, when the root is mounted, before any task
	Journal    bool                                   // keep what writes replace until it is synced, for Crash
	Observe    func(*Event)                           // told of events, under the kernel lock: it must not block or call back; nil = nobody
}

// Kernel is one virtual computer.
type Kernel struct {
	mu  sync.Mutex
	cfg Config
	hw  *machine.Machine

	cpus    []*CPU
	ticking bool // the ticker goroutine lives
	balance int  // counts looks at CPUs with tasks waiting
	closing bool
	errands errands
	shutdown
	kept    map[*vfs.File]struct{} // what visits have open
	quit    chan struct{}          // closed when closing begins
	stopped sync.WaitGroup         // CPUs' and helpers' goroutines

	clock     Clock
	virtual   *virtualClock // the clock, if it is one
	random    io.Reader
	timers    timerHeap
	offloaded int      // calls that wait for what Offload runs
	sources   []Source // for a virtual clock

	pids                     pidTable
	jobs                     []*Job   // that have tasks
	init                     *Process // adopts orphans; the first program
	boot                     *Task    // stands in as the caller where no task is; never runs
	ns                       *vfs.Namespace
	hostname                 string
	domain                   string
	ram                      ram
	corePattern, coreUsesPID *string // /proc/sys/kernel/core_pattern, core_uses_pid

	journal *vfs.Journal // what is not synced; nil: that is of no interest
	memfds  *tmpfs.FS    // of memfds and shared memory; nil until there is one

	devices      devfs.Table
	terminals    *tty.FS              // nil until MountStandard
	closeDevices func()               // nil until MountStandard
	keepAll      func()               // hw is told no more of files that are gone
	nsFiles      map[string]*vfs.File // what /proc/PID/ns leads to
	cpuInfo      []string             // the host's, once it was asked for

	futexes   futexTable
	ipc       *ipc.System
	mqueues   mqueue.System
	timerfds  *timerfd.System
	net       *net.Stack
	signalfds wait.Queue    // readers of signalfds
	inode     uint64        // the last number given to a pipe or socket
	xstate    *sigframe.CPU // the extended state guests have; nil until a signal needs it
	buffers   [][]byte      // scratch memory of calls, each of chunk bytes

	handler     Handler   // nil: the table, called directly
	selective   Selective // handler, if it is one
	unsupported map[string]int
	serving     *Task // whose kernel code runs, while there is an observer; nil: nobody's
}

// ErrClosed is the error of using a kernel that has been closed.
var ErrClosed = errors.New("sysemu: the machine is closed")

// New starts a computer: its CPUs wait for the first program.
func New(cfg Config) (*Kernel, error) {
	if cfg.CPUs <= 0 && cfg.Clock.Kind == VirtualClock {
		cfg.CPUs = 1 // or the order of things would be the host's
	}
	if cfg.CPUs <= 0 {
		cfg.CPUs = min(runtime.NumCPU(), machine.MaxCPUs)
	}
	if cfg.CPUs > machine.MaxCPUs {
		return nil, fmt.Errorf("kernel: %d virtual CPUs: there may be %d at most", cfg.CPUs, machine.MaxCPUs)
	}
	if cfg.Hostname == "" {
		cfg.Hostname = "sysemu"
	}
	if cfg.PIDs <= 0 {
		cfg.PIDs = 32768
	}
	clock, err := cfg.Clock.newClock()
	if err != nil {
		return nil, err
	}
	virtual, _ := clock.(*virtualClock)
	if virtual != nil && cfg.Seed == nil {
		cfg.Seed = new(uint64)
	}
	random := io.Reader(hostRandom{})
	if cfg.Seed != nil {
		random = seeded(*cfg.Seed)
	}
	if cfg.Root == nil {
		return nil, errors.New("kernel: no root file system")
	}
	k := &Kernel{
		cfg: cfg, hw: machine.New(), clock: clock, virtual: virtual, random: random, shutdown: newShutdown(),
		hostname: cfg.Hostname, domain: "(none)", unsupported: map[string]int{}, futexes: futexTable{}, quit: make(chan struct{}),
	}
	if k.ownTime() {
		k.hw.HideTime()
	}
	if cfg.Journal {
		k.journal = vfs.NewJournal()
	}
	k.pids.init(cfg.PIDs)
	k.setRAM()
	k.timers.init(k)
	k.net = net.New()
	k.ipc = &ipc.System{NewFile: k.sharedMemory}
	k.timerfds = timerfd.NewSystem(timerClock{k})
	k.boot = newBootTask(k)
	if err := k.mountRoot(); err != nil {
		return nil, err
	}
	k.keepAll = vfs.OnForget(k.hw.Forget)
	if cfg.Handler != nil {
		k.handler = cfg.Handler(tableHandler{})
		k.selective, _ = k.handler.(Selective)
	}
	if err := k.startCPUs(); err != nil {
		k.Close()
		return nil, err
	}
	k.init.limits = k.limits()
	if cfg.Setup != nil {
		k.mu.Lock()
		err := cfg.Setup(k, k.boot)
		k.mu.Unlock()
		if err != nil {
			k.Close()
			return nil, err
		}
	}
	return k, nil
}

func (k *Kernel) mountRoot() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	root, err := k.cfg.Root(k.boot)
	if err != nil {
		return err
	}
	k.ns, err = vfs.NewNamespace(k.boot, root, 0, root.Type())
	return err
}

func (k *Kernel) startCPUs() error {
	var zygote *machine.Thread
	for id := range k.cfg.CPUs {
		c := newCPU(k, id)
		started := make(chan error)
		k.stopped.Add(1)
		go c.main(zygote, started)
		if err := <-started; err != nil {
			return fmt.Errorf("kernel: virtual CPU %d: %w", id, err)
		}
		k.cpus = append(k.cpus, c)
		if id+1 < k.cfg.CPUs {
			var err error
			k.cpus[0].call(func() { zygote, err = k.cpus[0].hw.ForkZygote() })
			if err != nil {
				return fmt.Errorf("kernel: virtual CPU %d: %w", id+1, err)
			}
		}
	}
	return nil
}

// Lock and Unlock take the kernel lock from outside: for what reaches the
// kernel from ordinary goroutines (a terminal's pump, a timer).
func (k *Kernel) Lock()   { k.mu.Lock() }
func (k *Kernel) Unlock() { k.mu.Unlock() }

// Namespace is the guests' mount namespace.
func (k *Kernel) Namespace() *vfs.Namespace { return k.ns }

// Unsupported returns the calls that got ENOSYS for want of a handler, with
// how often each was made.
func (k *Kernel) Unsupported() map[string]int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return maps.Clone(k.unsupported)
}

// unmountAll gives back what the file systems hold of the host: nobody uses
// them any more.
func (k *Kernel) unmountAll() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ns == nil {
		return
	}
	k.forgetAll()
	k.journal.Sync(nil)
	k.net.Collect(k.boot)
	if k.boot.fs.root.Valid() {
		k.boot.fs.release()
	}
	k.ns.Unref()
}

// report tells the operator.
func (k *Kernel) report(format string, args ...any) {
	if k.cfg.Report != nil {
		k.cfg.Report(fmt.Sprintf(format, args...))
	}
}
