package sysemu

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync"
	"time"
	"unsafe"

	"github.com/sysemu/sysemu/internal/kernel"
	"github.com/sysemu/sysemu/internal/tty"
	"golang.org/x/sys/unix"
)

// terminal joins this process's terminal, the host's, and one of the machine's.
//
// As long as programs only print, the host's is left as it is: keys that make
// signals make them for this process, which hands them on to the programs in
// the foreground. So `a | less`, where a runs in a machine, leaves the keys to
// less, and `a &` does not stop. When a program reads, or changes settings, the
// host's terminal is made raw, and the machine's line discipline edits, echoes
// and makes signals; in the background that first stops this process, as it
// would stop the program. Output is always processed by the host's, for others
// print there too. When the program ends, or this process is stopped, the
// host's terminal gets back the settings it had.
//
// If a shell on the host could continue this process, job control goes through
// it: when the program's own process group stops, so does this process.
type terminal struct {
	in, out int // the host's: descriptors of ours
	control int // its device number
	console *tty.Console
	prog    *kernel.Program
	jobs    bool // somebody would continue this process

	mu    sync.Mutex
	raw   bool
	saved unix.Termios // the settings it had before it was raw
	over  bool         // the program has ended
	guard *guard       // nil: none

	wake, aborted int           // eventfds: for the reader to look again; to give up writing
	stopped       chan int      // the program has been stopped, by which signal
	waiting       chan struct{} // input is waited for, in the background
	done          chan struct{} // closed when all is over
	helpers       sync.WaitGroup
}

// findTerminal returns the terminal that is one of the streams, or nil.
func findTerminal(streams ...any) *terminal {
	t := &terminal{in: -1, out: -1}
	for _, s := range streams {
		f, ok := s.(*os.File)
		if !ok || f == nil {
			continue
		}
		dev := device(f)
		if dev == 0 || t.control != 0 && dev != t.control {
			continue
		}
		t.control = dev
		withFd(f, func(fd int) {
			flags, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
			mode := flags & unix.O_ACCMODE
			if mode != unix.O_WRONLY && t.in < 0 {
				t.in = duplicate(fd)
			}
			// What prints best is a stream that is for printing.
			if mode != unix.O_RDONLY && (t.out < 0 || s != streams[0] && t.out == t.in) {
				t.out = duplicate(fd)
			}
		})
	}
	if t.control == 0 {
		return nil
	}
	// Where there is only one half of it, the other is the same file's.
	if t.in < 0 {
		t.in = reopen(t.out, unix.O_RDONLY)
	}
	if t.out < 0 {
		t.out = reopen(t.in, unix.O_WRONLY)
	}
	return t
}

func withFd(f *os.File, do func(fd int)) {
	if c, err := f.SyscallConn(); err == nil {
		c.Control(func(fd uintptr) { do(int(fd)) })
	}
}

func duplicate(fd int) int {
	d, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return -1
	}
	return d
}

func reopen(fd, mode int) int {
	d, err := unix.Open("/proc/self/fd/"+strconv.Itoa(fd), mode|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	return d
}

// device returns the number of the terminal that f is, 0 if it is none. /dev/tty
// has the number of what it stands for.
func device(f *os.File) (dev int) {
	withFd(f, func(fd int) {
		if n, err := unix.IoctlGetUint32(fd, unix.TIOCGDEV); err == nil {
			dev = int(n)
		}
	})
	return dev
}

// is reports whether f is the terminal.
func (t *terminal) is(f *os.File) bool { return t != nil && device(f) == t.control }

// prepare makes the machine's terminal.
func (t *terminal) prepare(k *kernel.Kernel, s *kernel.Start) error {
	var err error
	if t.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return fmt.Errorf("sysemu: terminal: %w", err)
	}
	if t.aborted, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return fmt.Errorf("sysemu: terminal: %w", err)
	}
	if t.console, err = k.NewConsole(s.Cred.UID, s.Cred.GID); err != nil {
		return fmt.Errorf("sysemu: terminal: %w", err)
	}
	t.stopped, t.waiting = make(chan int, 1), make(chan struct{}, 1)
	t.done = make(chan struct{})
	t.jobs = t.continued()
	t.console.Lend()
	if n, err := unix.IoctlGetTermios(t.device(), unix.TCGETS2); err == nil {
		t.console.SetTermios(tty.Termios{
			Iflag: n.Iflag, Oflag: n.Oflag, Cflag: n.Cflag, Lflag: n.Lflag, Line: n.Line, Cc: n.Cc,
			Ispeed: n.Ispeed, Ospeed: n.Ospeed,
		})
	}
	t.resize()
	s.Terminal = t.console
	if t.jobs {
		s.Stopped = func(sig int) {
			select {
			case t.stopped <- sig:
			default:
			}
		}
	}
	return nil
}

func notify(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// device is a descriptor for asking.
func (t *terminal) device() int {
	if t.in >= 0 {
		return t.in
	}
	return t.out
}

// abandon undoes findTerminal and prepare when the program could not be
// started.
func (t *terminal) abandon() {
	if t.console != nil {
		t.console.Close()
	}
	t.finish()
}

// finish lets go of all.
func (t *terminal) finish() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closeFiles()
	if t.guard != nil {
		t.guard.end()
	}
	if t.done != nil {
		close(t.done)
	}
}

func (t *terminal) closeFiles() {
	for _, fd := range []*int{&t.in, &t.out, &t.wake, &t.aborted} {
		if *fd > 0 {
			unix.Close(*fd)
		}
		*fd = -1
	}
}

// start joins the terminals until the program ends.
func (t *terminal) start(prog *kernel.Program) {
	t.prog = prog
	quit := make(chan struct{})
	t.helpers.Add(2)
	go t.reader()
	go t.signals(quit)
	go func() {
		<-prog.Done()
		t.console.Close() // what was printed can still be read
	}()
	go func() {
		t.writer()
		close(quit)
		t.mu.Lock()
		t.over = true
		t.restore()
		t.mu.Unlock()
		poke(t.wake)
		t.helpers.Wait()
		t.finish()
	}()
}

func (t *terminal) ended() bool {
	select {
	case <-t.done:
		return true
	default:
		return false
	}
}

// abort has the writer give up, should the host's terminal take nothing.
func (t *terminal) abort() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ended() {
		poke(t.aborted)
	}
}

func poke(eventfd int) { unix.Write(eventfd, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }

// writer shows what programs print, and makes the host's terminal raw when it
// is wanted: in this order.
func (t *terminal) writer() {
	buf := make([]byte, 16<<10)
	for {
		n, err := t.console.Read(buf)
		switch {
		case err == tty.ErrPolled:
			if t.foreground() {
				t.console.Want()
			} else {
				notify(t.waiting)
			}
		case err == tty.ErrWanted:
			t.makeRaw()
		case err != nil:
			return
		}
		for p := buf[:n]; len(p) > 0; {
			for !t.writable(time.Hour) {
			}
			if t.isAborted() {
				break
			}
			n, err := unix.Write(t.out, p)
			if err != nil && err != unix.EINTR && err != unix.EAGAIN {
				t.console.Close() // it is gone
				break
			}
			p = p[max(n, 0):]
		}
	}
}

// writable waits until the host's terminal takes output, or abort was called;
// false: neither by then.
func (t *terminal) writable(patience time.Duration) bool {
	fds := []unix.PollFd{{Fd: int32(t.out), Events: unix.POLLOUT}, {Fd: int32(t.aborted), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, int(patience.Milliseconds()))
	return n > 0 || err != nil && err != unix.EINTR
}

func (t *terminal) isAborted() bool {
	n, _ := unix.Poll([]unix.PollFd{{Fd: int32(t.aborted), Events: unix.POLLIN}}, 0)
	return n > 0
}

// reader types what is typed while the host's terminal is raw.
func (t *terminal) reader() {
	defer t.helpers.Done()
	buf := make([]byte, 4096)
	for {
		t.mu.Lock()
		raw, over := t.raw, t.over
		t.mu.Unlock()
		if over {
			return
		}
		fds := []unix.PollFd{{Fd: int32(t.wake), Events: unix.POLLIN}, {Fd: int32(t.in), Events: unix.POLLIN}}
		if !raw {
			fds = fds[:1]
		}
		if _, err := unix.Poll(fds, -1); err != nil {
			continue
		}
		if fds[0].Revents != 0 {
			unix.Read(t.wake, buf[:8])
			continue
		}
		n, err := t.read(buf)
		switch {
		case n > 0:
			t.console.Write(buf[:n]) // an error: the program has ended
		case err != nil && err != unix.EAGAIN && err != unix.EINTR:
			t.console.Close() // the host's terminal was hung up
			return
		}
	}
}

// read reads without waiting, while the terminal is raw.
func (t *terminal) read(buf []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fds := []unix.PollFd{{Fd: int32(t.in), Events: unix.POLLIN}}
	if n, _ := unix.Poll(fds, 0); n == 0 || !t.raw {
		return 0, unix.EAGAIN
	}
	n, err := unix.Read(t.in, buf)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

// makeRaw makes the host's terminal raw. In the background it first stops this
// process and all of its pipeline, as a program that reads would.
func (t *terminal) makeRaw() {
	for t.jobs && !t.foreground() {
		unix.Kill(0, unix.SIGTTIN)
		time.Sleep(10 * time.Millisecond) // to be stopped in
	}
	// What was printed or echoed is to come out first, even if it waits for ^Q.
	for !t.writable(200 * time.Millisecond) {
		select {
		case <-t.prog.Done():
			return
		default:
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.guard == nil {
		t.guard, _ = startGuard(t.device()) // without it: the terminal is not restored if we crash
	}
	if old, err := unix.IoctlGetTermios(t.device(), unix.TCGETS); err == nil && !t.raw {
		t.saved = *old
		t.setRaw()
		t.typeAhead() // without delay: what comes from now on was not echoed
	} else if t.raw {
		t.setRaw()
	}
	t.raw = true
	t.watch()
	t.console.Settle()
	poke(t.wake)
}

// setRaw needs t.saved.
func (t *terminal) setRaw() {
	n := t.saved
	n.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON | unix.IUCLC
	n.Oflag = t.console.Termios().Oflag
	n.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN | unix.EXTPROC
	n.Cflag = n.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	n.Cc[unix.VMIN], n.Cc[unix.VTIME] = 1, 0
	unix.IoctlSetTermios(t.device(), unix.TCSETS, &n)
}

// watch tells the guard of the settings in force.
func (t *terminal) watch() {
	if now, err := unix.IoctlGetTermios(t.device(), unix.TCGETS); err == nil && t.guard != nil {
		t.guard.watch(&t.saved, now)
	}
}

// typeAhead types what was typed at the host's line discipline: it has echoed
// that, and an end of file among it is a 0 now.
func (t *terminal) typeAhead() {
	const line = unix.ICANON
	n, err := unix.IoctlGetInt(t.in, unix.TIOCINQ)
	if err != nil || n <= 0 || t.saved.Lflag&line == 0 {
		return
	}
	buf := make([]byte, min(n, 4096))
	n, err = unix.Read(t.in, buf)
	if err != nil {
		return
	}
	typed := bytes.ReplaceAll(buf[:n], []byte{0}, []byte{t.saved.Cc[unix.VEOF]})
	if t.saved.Lflag&unix.ECHO != 0 {
		t.console.WriteEchoed(typed)
	} else {
		t.console.Write(typed)
	}
}

// restore gives the host's terminal back the settings it had.
func (t *terminal) restore() {
	if !t.raw {
		return
	}
	t.raw = false
	if !t.jobs || t.foreground() {
		unix.IoctlSetTermios(t.device(), unix.TCSETS, &t.saved)
	}
}

// lend restores, and leaves the terminal to others.
func (t *terminal) lend() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.raw {
		t.restore()
		t.console.Lend()
		notify(t.waiting)
	}
}

func (t *terminal) resize() {
	if size, err := unix.IoctlGetWinsize(t.device(), unix.TIOCGWINSZ); err == nil {
		t.console.Resize(*size)
	}
}

// foreground reports whether the host's terminal is this process's to use.
func (t *terminal) foreground() bool {
	group, err := unix.IoctlGetInt(t.device(), unix.TIOCGPGRP)
	return err != nil || group == unix.Getpgrp() // an error: it is not our controlling terminal
}

// continued reports whether a shell controls this process's group, and so
// would continue it: a parent in another group of the session.
func (t *terminal) continued() bool {
	session, err := unix.Getsid(0)
	if err != nil || signal.Ignored(unix.SIGTSTP) || signal.Ignored(unix.SIGTTIN) {
		return false
	}
	if s, err := unix.IoctlGetInt(t.device(), unix.TIOCGSID); err != nil || s != session {
		return false
	}
	for p := unix.Getppid(); p > 0; p = parent(p) {
		if s, err := unix.Getsid(p); err != nil || s != session {
			return false
		}
		if g, err := unix.Getpgid(p); err != nil || g != unix.Getpgrp() {
			return err == nil
		}
	}
	return false
}

// parent returns the parent of a process of the host, 0 if that cannot be told.
func parent(pid int) int {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 2 {
		return 0
	}
	n, _ := strconv.Atoi(string(fields[1]))
	return n
}

// signals does what signals to this process are for.
func (t *terminal) signals(quit <-chan struct{}) {
	defer t.helpers.Done()
	ch, stop := make(chan os.Signal, 8), make(chan os.Signal, 1)
	defer signal.Stop(ch)
	defer signal.Stop(stop)
	signal.Notify(ch, unix.SIGWINCH, unix.SIGCONT)
	for _, sig := range []os.Signal{unix.SIGINT, unix.SIGQUIT} {
		if !signal.Ignored(sig) {
			signal.Notify(ch, sig)
		}
	}
	if !signal.Ignored(unix.SIGTSTP) {
		signal.Notify(stop, unix.SIGTSTP)
	}
	// Nothing tells of being put into the foreground without having been
	// stopped.
	const patience = 300 * time.Millisecond
	var look <-chan time.Time
	by := unix.SIGTSTP
	for {
		select {
		case <-quit:
			return
		case sig := <-ch:
			switch sig {
			case unix.SIGWINCH:
				t.resize()
			case unix.SIGCONT:
				t.resumed()
			default:
				t.console.Signal(sig.(unix.Signal))
			}
		case sig := <-t.stopped:
			by = unix.Signal(sig)
			unix.Kill(0, unix.SIGTSTP) // the whole pipeline; we get it too
		case <-stop:
			t.suspend(by)
			by = unix.SIGTSTP
		case <-t.waiting:
			look = time.After(patience)
		case <-look:
			look = nil
			if t.foreground() {
				t.console.Want()
			} else {
				look = time.After(patience)
			}
		}
	}
}

// suspend stops this process as sig does where it is not caught, and does what
// is to be done when it goes on.
func (t *terminal) suspend(sig unix.Signal) {
	// The key's echo is to be seen first; the terminal may take nothing, too.
	for range 100 {
		if t.console.Idle() {
			break
		}
		time.Sleep(time.Millisecond)
	}
	t.lend()
	runtime.LockOSThread()
	// Package signal leaves a handler behind where there was none.
	old := setAction(sig, &action{})
	// A signal to the calling thread is taken before the call returns.
	unix.Tgkill(unix.Getpid(), unix.Gettid(), sig)
	setAction(sig, &old)
	runtime.UnlockOSThread()
	t.prog.SignalGroup(int(unix.SIGCONT))
	t.resumed()
}

// action is the kernel's struct sigaction; its zero value is the default.
type action struct {
	handler, flags, restorer uintptr
	mask                     uint64
}

// setAction is rt_sigaction(2); of SIGSTOP there is nothing to be set.
func setAction(sig unix.Signal, a *action) (old action) {
	if sig != unix.SIGSTOP {
		unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(a)), uintptr(unsafe.Pointer(&old)), unsafe.Sizeof(a.mask), 0, 0)
	}
	return old
}

// resumed is to be called when this process was stopped.
func (t *terminal) resumed() {
	t.mu.Lock()
	if t.raw && t.foreground() {
		t.setRaw()
		t.watch()
	}
	t.mu.Unlock()
	if !t.foreground() {
		t.lend()
	}
	select {
	case <-t.waiting:
		if t.foreground() {
			t.console.Want() // without waiting
		} else {
			notify(t.waiting)
		}
	default:
	}
	t.resize()
}
