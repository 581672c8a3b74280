package tty_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/tty"
	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/vfs/vfstest"
	"github.com/sysemu/sysemu/internal/wait/waittest"
	"golang.org/x/sys/unix"
)

// pty is a pseudo-terminal, the host's or ours, without waiting.
type pty interface {
	write(master bool, p []byte) (int, error)
	read(master bool, n int) ([]byte, error)
	// ioctl passes a pointer to arg, or its value when it is an int.
	ioctl(master bool, cmd uint, arg any) error
	poll(master bool) uint32
	// settle lets what was written come through.
	settle()
	close(master bool)
}

// ours is internal/tty's.
type ours struct {
	ctx           *vfstest.Context
	kernel        *fakeKernel
	fs            *tty.FS
	master, slave *vfs.File
}

func newOurs(t testing.TB) *ours {
	var k waittest.Kernel
	o := &ours{ctx: vfstest.Root(k.NewTask()), kernel: &fakeKernel{}}
	o.fs = tty.NewFS(o.kernel, 0, tty.Options{})
	m, err := o.fs.OpenMaster(o.ctx)
	if err != nil {
		t.Fatal(err)
	}
	root := o.fs.Root()
	ptmx, err := root.(vfs.Lookuper).Lookup(o.ctx, "ptmx")
	if err != nil {
		t.Fatal(err)
	}
	o.master = vfs.NewFile(vfs.Path{}, ptmx, m, unix.O_RDWR|unix.O_NONBLOCK)
	if err := o.ioctl(true, unix.TIOCSPTLCK, new(int32)); err != nil {
		t.Fatal(err)
	}
	if o.slave, err = tty.OpenPeer(o.ctx, o.master, unix.O_RDWR|unix.O_NONBLOCK|unix.O_NOCTTY); err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *ours) file(master bool) *vfs.File {
	if master {
		return o.master
	}
	return o.slave
}

func (o *ours) write(master bool, p []byte) (int, error) { return o.file(master).Write(o.ctx, p) }
func (o *ours) read(master bool, n int) ([]byte, error) {
	b := make([]byte, n)
	n, err := o.file(master).Read(o.ctx, b)
	return b[:n], err
}
func (o *ours) poll(master bool) uint32 {
	f := o.file(master)
	ev, _ := f.Impl.(vfs.Poller).Poll(o.ctx, f)
	return uint32(ev)
}
func (o *ours) settle() {}
func (o *ours) close(master bool) {
	o.file(master).Unref(o.ctx)
}

// memory is a guest's memory that has one thing in it, at address 8.
type memory []byte

func (m memory) ReadMem(addr uint64, p []byte) error {
	if addr != 8 || len(p) > len(m) {
		return unix.EFAULT
	}
	copy(p, m)
	return nil
}

func (m memory) WriteMem(addr uint64, p []byte) error {
	if addr != 8 || len(p) > len(m) {
		return unix.EFAULT
	}
	copy(m, p)
	return nil
}

func (o *ours) ioctl(master bool, cmd uint, arg any) error {
	f := o.file(master)
	addr, mem := uint64(8), memory(nil)
	if v, ok := arg.(int); ok {
		addr = uint64(v)
	} else {
		mem = encode(arg)
	}
	_, err := f.Impl.(vfs.Ioctler).Ioctl(o.ctx, f, uint32(cmd), addr, mem)
	if mem != nil {
		decode(mem, arg)
	}
	return err
}

func encode(arg any) []byte {
	var b bytes.Buffer
	if err := binary.Write(&b, binary.NativeEndian, arg); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func decode(b []byte, arg any) {
	if err := binary.Read(bytes.NewReader(b), binary.NativeEndian, arg); err != nil {
		panic(err)
	}
}

// host is the host's pseudo-terminal.
type host struct {
	fds   [2]int // slave, master
	pause time.Duration
}

func newHost(t testing.TB, pause time.Duration) *host {
	m, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skip("no /dev/ptmx: ", err)
	}
	h := &host{fds: [2]int{-1, m}, pause: pause}
	t.Cleanup(func() { h.close(true); h.close(false) })
	n, err := unix.IoctlGetInt(m, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(m, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		h.fds[0], err = unix.Open("/dev/pts/"+strconv.Itoa(n), unix.O_RDWR|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		t.Skip(err)
	}
	return h
}

func (h *host) fd(master bool) int {
	if master {
		return h.fds[1]
	}
	return h.fds[0]
}

func (h *host) write(master bool, p []byte) (int, error) {
	n, err := unix.Write(h.fd(master), p)
	return max(n, 0), err
}
func (h *host) read(master bool, n int) ([]byte, error) {
	b := make([]byte, n)
	n, err := unix.Read(h.fd(master), b)
	return b[:max(n, 0)], err
}
func (h *host) poll(master bool) uint32 {
	fds := []unix.PollFd{{Fd: int32(h.fd(master)), Events: 0x3ff}}
	unix.Poll(fds, 0)
	return uint32(uint16(fds[0].Revents))
}
func (h *host) settle() {
	h.poll(true)
	h.poll(false)
	time.Sleep(h.pause)
}
func (h *host) close(master bool) {
	i := 0
	if master {
		i = 1
	}
	if h.fds[i] >= 0 {
		unix.Close(h.fds[i])
		h.fds[i] = -1
	}
}

func (h *host) ioctl(master bool, cmd uint, arg any) error {
	if v, ok := arg.(int); ok {
		_, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(h.fd(master)), uintptr(cmd), uintptr(v))
		return errno(e)
	}
	b := encode(arg)
	err := ioctlBytes(h.fd(master), cmd, b)
	decode(b, arg)
	return err
}

func errno(e unix.Errno) error {
	if e == 0 {
		return nil
	}
	return e
}

// step is one thing done to a pty; it says what came of it.
type step func(p pty) string

func result(v any, err error) string {
	if err != nil {
		var e unix.Errno
		errors.As(err, &e)
		return fmt.Sprintf("%v %v", v, unix.ErrnoName(e))
	}
	return fmt.Sprint(v)
}

// typed writes to the master, printed to the slave.
func typed(s string) step {
	return func(p pty) string { return "typed " + result(p.write(true, []byte(s))) }
}

func printed(s string) step {
	return func(p pty) string { return "printed " + result(p.write(false, []byte(s))) }
}

func get(n int) step {
	return func(p pty) string {
		b, err := p.read(false, n)
		return result(fmt.Sprintf("got %q", b), err)
	}
}

// screen is what comes out of the master.
func screen(p pty) string {
	var all []byte
	for {
		b, err := p.read(true, 4096)
		all = append(all, b...)
		if err != nil || len(b) == 0 {
			return result(fmt.Sprintf("screen %q", all), err)
		}
	}
}

// packets is screen in packet mode.
func packets(p pty) string {
	s := "packets"
	for {
		b, err := p.read(true, 4096)
		if err != nil || len(b) == 0 {
			return result(s, err)
		}
		s += fmt.Sprintf(" %q", b)
	}
}

func polls(p pty) string { return fmt.Sprintf("poll %#x %#x", p.poll(true), p.poll(false)) }

func counts(p pty) string {
	var s, m int32
	e1, e2 := p.ioctl(false, unix.TIOCINQ, &s), p.ioctl(true, unix.TIOCINQ, &m)
	return fmt.Sprint("counts ", s, e1, m, e2)
}

// set changes the settings.
func set(f func(t *abi.Termios)) step { return setBy(unix.TCSETS, f) }

func setBy(cmd uint, f func(t *abi.Termios)) step {
	return func(p pty) string {
		var t abi.Termios
		if err := p.ioctl(false, unix.TCGETS, &t); err != nil {
			return result("tcgets", err)
		}
		f(&t)
		return result("set", p.ioctl(false, cmd, &t))
	}
}

func local(on, off uint32) step {
	return set(func(t *abi.Termios) { t.Lflag = t.Lflag&^off | on })
}
func input(on, off uint32) step {
	return set(func(t *abi.Termios) { t.Iflag = t.Iflag&^off | on })
}
func output(on, off uint32) step {
	return set(func(t *abi.Termios) { t.Oflag = t.Oflag&^off | on })
}

func rawMode(min, time byte) step {
	return set(func(t *abi.Termios) {
		t.Iflag &^= unix.ICRNL | unix.IXON
		t.Lflag &^= unix.ICANON | unix.ECHO | unix.ISIG | unix.IEXTEN
		t.Oflag &^= unix.OPOST
		t.Cc[unix.VMIN], t.Cc[unix.VTIME] = min, time
	})
}

func ioctl(master bool, cmd uint, arg int) step {
	return func(p pty) string { return result(fmt.Sprintf("ioctl %#x", cmd), p.ioctl(master, cmd, arg)) }
}

func ioctlInt(master bool, cmd uint, v int32) step {
	return func(p pty) string {
		err := p.ioctl(master, cmd, &v)
		return result(fmt.Sprintf("ioctl %#x: %d", cmd, v), err)
	}
}

func closed(master bool) step { return func(p pty) string { p.close(master); return "closed" } }

func run(p pty, script []step) []string {
	var out []string
	for _, s := range script {
		out = append(out, s(p))
		p.settle()
	}
	return out
}

// same runs a script on both, again more slowly if the host seems late.
func same(t *testing.T, script ...step) {
	t.Helper()
	want := run(newOurs(t), script)
	for _, pause := range []time.Duration{200 * time.Microsecond, 5 * time.Millisecond, 50 * time.Millisecond} {
		h := newHost(t, pause)
		got := run(h, script)
		h.close(true)
		h.close(false)
		bad := -1
		for i := range got {
			if got[i] != want[i] {
				bad = i
				break
			}
		}
		if bad < 0 {
			return
		}
		if pause >= 50*time.Millisecond {
			t.Errorf("step %d:\n ours %s\n host %s\nsteps before: %q", bad, want[bad], got[bad], want[:bad])
			return
		}
	}
}
