// Package sysemu is a Linux kernel you can import: it runs unmodified x86-64
// Linux programs and serves every system call they make in Go, in this
// process, on top of the host's PTRACE_SYSEMU.
//
// A [Machine] is a virtual computer. Its [Machine.Command] is shaped as that of
// os/exec; [Middleware] sees and may answer every call that programs make.
//
//	m, err := sysemu.New()
//	...
//	defer m.Close()
//	out, err := m.Command("uname", "-a").Output()
//
// By default the host's / is the machine's, below a layer in memory: programs
// find all that is installed, and nothing that they change reaches the host.
package sysemu

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sysemu/sysemu/internal/fs/hostfs"
	"github.com/sysemu/sysemu/internal/fs/iofs"
	"github.com/sysemu/sysemu/internal/fs/overlay"
	"github.com/sysemu/sysemu/internal/fs/tmpfs"
	"github.com/sysemu/sysemu/internal/kernel"
	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/ptrace"
	"golang.org/x/sys/unix"
)

// Machine is a virtual computer: CPUs, memory, a file system and the programs
// that run in it. Its methods may be called from any goroutine.
type Machine struct {
	k      *kernel.Kernel
	opts   options
	mu     sync.Mutex
	closed bool
	files  []*iofs.File // standard streams of programs, to be closed with the machine

	terminals []*terminal // of programs
}

// Option configures a Machine.
type Option func(*options)

type options struct {
	cpus       int
	root       string
	rootFS     fs.FS
	overlay    *overlay.FS // the root, once it is made
	readOnly   bool
	hostname   string
	memory     uint64
	pids       int
	limits     Limits
	mounts     []mount
	middleware []Middleware
	observe    func(*Event)
	log        func(string)
	uid, gid   *uint32
	files      *tmpfs.Budget
	rule       ptrace.Rule
	mode       Mode
	off        bool
	clock      Clock
	seed       *uint64
	crash      bool          // the machine can lose what is not synced
	patience   time.Duration // with handlers, of Close; 0: the kernel's
}

type mount struct {
	src, dst string // src "" = tmpfs, or fsys
	fsys     fs.FS
	readOnly bool
}

// WithCPUs sets the number of virtual CPUs; without it there are as many as
// the host lets this process use.
func WithCPUs(n int) Option { return func(o *options) { o.cpus = n } }

// WithRoot makes a directory of the host the machine's /, below a layer in
// memory. Without it that is the host's own /.
func WithRoot(dir string) Option { return func(o *options) { o.root = dir } }

// WithBind shows a directory or file of the host at dst. Writes reach the
// host, unless readOnly.
func WithBind(src, dst string, readOnly bool) Option {
	return func(o *options) { o.mounts = append(o.mounts, mount{src: src, dst: dst, readOnly: readOnly}) }
}

// WithTmpfs mounts an empty file system in memory at dst.
func WithTmpfs(dst string) Option {
	return func(o *options) { o.mounts = append(o.mounts, mount{dst: dst}) }
}

// WithHostname sets what uname(2) calls the machine; without it "sysemu".
func WithHostname(name string) Option { return func(o *options) { o.hostname = name } }

// WithMemory limits the memory of all programs together, in bytes: when they
// use more, the biggest is killed. Files in memory may take half as much again,
// then there is ENOSPC.
func WithMemory(bytes uint64) Option { return func(o *options) { o.memory = bytes } }

// WithPIDs limits how many tasks there may be at once.
func WithPIDs(n int) Option { return func(o *options) { o.pids = n } }

// WithPtraceRule says what PTRACE_SYSEMU of ptrace(2) means to programs inside:
// by default a call that it skips is never reported again, [ptrace.SeriesRule];
// with [ptrace.LinuxRule] it is what today's Linux does.
func WithPtraceRule(r ptrace.Rule) Option { return func(o *options) { o.rule = r } }

// WithUser makes programs run as that user and group, without capabilities
// unless it is user 0. Without it they run as the user of this process.
func WithUser(uid, gid uint32) Option { return func(o *options) { o.uid, o.gid = &uid, &gid } }

// WithMiddleware puts layers around the kernel's own handler, the first
// outermost. A machine without any pays nothing.
func WithMiddleware(mw ...Middleware) Option {
	return func(o *options) { o.middleware = append(o.middleware, mw...) }
}

// WithLog has the machine report what its operator should know, such as a
// handler that panicked. Without it that goes to standard error.
func WithLog(f func(msg string)) Option { return func(o *options) { o.log = f } }

// ErrClosed is returned by the methods of a closed Machine.
var ErrClosed = kernel.ErrClosed

// New starts a machine. It is to be closed with Close.
func New(opts ...Option) (*Machine, error) {
	m := &Machine{}
	o := &m.opts
	o.root = "/"
	o.mode = ModeStep
	o.log = func(msg string) { fmt.Fprintln(os.Stderr, msg) }
	for _, f := range opts {
		f(o)
	}
	if err := o.clock.c.Check(); err != nil {
		return nil, fmt.Errorf("sysemu: %w", err)
	}
	if st, err := os.Stat(o.root); err != nil {
		return nil, fmt.Errorf("sysemu: root: %w", err)
	} else if !st.IsDir() {
		return nil, fmt.Errorf("sysemu: root: %s is not a directory", o.root)
	}
	for _, mt := range o.mounts {
		if !path.IsAbs(mt.dst) {
			return nil, fmt.Errorf("sysemu: mount point %q is not an absolute path", mt.dst)
		}
		if mt.src != "" {
			if _, err := os.Stat(mt.src); err != nil {
				return nil, fmt.Errorf("sysemu: bind: %w", err)
			}
		}
	}
	raiseFiles()
	o.files = kernel.NewFileMemory(o.memory)
	cfg := kernel.Config{
		Files: o.files,
		CPUs:  o.cpus, Hostname: o.hostname, Memory: o.memory, PIDs: o.pids, Report: o.log, PtraceRule: kernel.PtraceRule(o.rule),
		Root: o.makeRoot, Setup: o.setup, Observe: o.observe, Clock: o.clock.c, Seed: o.seed, Patience: o.patience, Journal: o.crash,
	}
	if len(o.middleware) > 0 {
		cfg.Handler = func(inner kernel.Handler) kernel.Handler { return wrap(inner, o.middleware) }
	}
	k, err := kernel.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("sysemu: starting the machine: %w (sysemu doctor says what may stand in the way)", err)
	}
	k.SetSysemuMode(int(o.mode))
	m.k = k
	return m, nil
}

// raiseFiles lifts the soft limit of open files once: files that guests map
// and write need descriptors.
var raiseFiles = sync.OnceFunc(func() {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) == nil && l.Cur < l.Max {
		l.Cur = l.Max
		unix.Setrlimit(unix.RLIMIT_NOFILE, &l)
	}
})

// makeRoot puts a layer in memory over the root directory.
func (o *options) makeRoot(ctx vfs.Context) (vfs.FileSystem, error) {
	if o.rootFS != nil {
		return o.overRoot(ctx, o.goFS(o.rootFS, "/", rootDev+2, true), "/")
	}
	lower, err := hostfs.New(o.root, hostfs.Options{ReadOnly: true, Stable: true})
	if err != nil {
		return nil, err
	}
	return o.overRoot(ctx, lower, o.root)
}

// overRoot puts the layer in memory over lower.
func (o *options) overRoot(ctx vfs.Context, lower vfs.FileSystem, shown string) (vfs.FileSystem, error) {
	upper := tmpfs.New(ctx.Realtime(), tmpfs.Options{Dev: rootDev + 1, Mode: 0o755, Budget: o.files})
	fs, err := overlay.New(ctx, overlay.Options{Lower: []vfs.FileSystem{lower}, Upper: upper, Dev: rootDev, Shown: "lowerdir=" + shown})
	if err != nil {
		return nil, err
	}
	o.overlay = fs
	return fs, nil
}

// rootDev is the st_dev of the root.
const rootDev = 0x10

// setup mounts what belongs to every machine, and what was asked for.
func (o *options) setup(k *kernel.Kernel, ctx vfs.Context) error {
	if err := k.MountStandard(ctx); err != nil {
		return err
	}
	// What is mounted below another comes after it.
	slices.SortStableFunc(o.mounts, func(a, b mount) int { return depth(a.dst) - depth(b.dst) })
	for _, mt := range o.mounts {
		var mounted vfs.FileSystem
		name := "tmpfs"
		file := false
		dev := k.Namespace().System().AnonymousDev()
		switch {
		case mt.fsys != nil:
			mounted, name = o.goFS(mt.fsys, mt.dst, dev, mt.readOnly), "gofs"
		case mt.src == "":
			mounted = tmpfs.New(ctx.Realtime(), tmpfs.Options{Dev: dev, Mode: 0o1777, Budget: o.files})
		default:
			h, err := hostfs.New(mt.src, hostfs.Options{ReadOnly: mt.readOnly, Dev: dev})
			if err != nil {
				return fmt.Errorf("bind %s: %w", mt.src, err)
			}
			mounted, name = h, mt.src
			st, err := os.Stat(mt.src)
			file = err == nil && !st.IsDir()
		}
		if err := mountAt(ctx, k.Namespace(), mounted, mt.dst, name, mt.readOnly, file); err != nil {
			return fmt.Errorf("mounting on %s: %w", mt.dst, err)
		}
	}
	return nil
}

// depth is how many components a path has.
func depth(name string) int { return strings.Count(path.Clean(name), "/") }

// mountAt mounts a file system at a path, making the mount point if need be.
func mountAt(ctx vfs.Context, ns *vfs.Namespace, mounted vfs.FileSystem, dst, source string, readOnly, file bool) error {
	root := ns.Root()
	defer root.Unref()
	at := vfs.At{Root: root, Dir: root}
	if err := makeParents(ctx, at, dst, file); err != nil {
		return err
	}
	p, err := vfs.Walk(ctx, at, dst, vfs.Follow, 0)
	if err != nil {
		return err
	}
	defer p.Unref()
	var flags vfs.MountFlags
	if readOnly {
		flags |= unix.MS_RDONLY
	}
	_, err = ns.Mount(ctx, mounted, p, flags, source)
	return err
}

// makeParents makes the directories that lead to dst, and dst itself.
func makeParents(ctx vfs.Context, at vfs.At, dst string, file bool) error {
	if dst == "/" {
		return nil
	}
	dst = path.Clean(dst)
	if _, err := vfs.Stat(ctx, at, dst, vfs.Follow); err == nil {
		return nil
	}
	if err := makeParents(ctx, at, path.Dir(dst), false); err != nil {
		return err
	}
	var err error
	if file {
		err = vfs.Mknod(ctx, at, dst, unix.S_IFREG|0o644, 0)
	} else {
		err = vfs.Mkdir(ctx, at, dst, 0o755)
	}
	if errors.Is(err, unix.EEXIST) {
		err = nil
	}
	return err
}

// Unsupported returns the system calls that got ENOSYS because the kernel does
// not have them, by name, with how often each was made.
func (m *Machine) Unsupported() map[string]int { return m.k.Unsupported() }

// Close ends all programs and the machine. Nothing of it is left when Close
// returns: no process, thread, descriptor or goroutine. The one exception is a
// handler that does not return, after which Close waits no longer than five
// seconds: then its error is a *StuckError. Closed again it is ErrClosed.
func (m *Machine) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	m.closed = true
	err := m.k.Close()
	if err != nil {
		go func() {
			<-m.k.Ended()
			m.mu.Lock()
			defer m.mu.Unlock()
			m.letGo()
		}()
		return err
	}
	m.letGo()
	return nil
}

// letGo gives back what programs have used of the host; none is left.
func (m *Machine) letGo() {
	for _, t := range m.terminals {
		t.abort()
		<-t.done
	}
	m.terminals = nil
	for _, f := range m.files {
		f.Close()
	}
	m.files = nil
}
