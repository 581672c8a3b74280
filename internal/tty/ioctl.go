package tty

import (
	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// call is an ioctl in progress.
type call struct {
	t      *TTY
	ctx    vfs.Context
	f      *vfs.File
	arg    uint64
	mem    vfs.Memory
	master bool // it was made on the master
}

func get[T any](c *call) (v T, err error) {
	err = c.mem.ReadMem(c.arg, abi.Bytes(&v))
	return v, err
}

func put[T any](c *call, v T) error { return c.mem.WriteMem(c.arg, abi.Bytes(&v)) }

func putBool(c *call, b bool) error {
	if b {
		return put(c, int32(1))
	}
	return put(c, int32(0))
}

// mayChange checks a change by the slave; a change by the master is no
// background process's.
func (c *call) mayChange() error {
	if c.master {
		return nil
	}
	return c.t.mayChange(c.ctx, unix.SIGTTOU)
}

func (c *call) admin() bool { return c.ctx.Cred().Has(unix.CAP_SYS_ADMIN) }

// serve does what ioctl_tty(2) says of cmd.
func (c *call) serve(cmd uint32) (uint64, error) {
	err := c.dispatch(cmd)
	c.t.tell()
	return 0, err
}

func (c *call) dispatch(cmd uint32) error {
	t := c.t
	if c.master {
		switch cmd {
		case unix.TIOCSPTLCK:
			v, err := get[int32](c)
			if err == nil {
				t.locked = v != 0
			}
			return err
		case unix.TIOCGPTLCK:
			return putBool(c, t.locked)
		case unix.TIOCPKT:
			v, err := get[int32](c)
			if err == nil {
				if v != 0 && !t.packet {
					t.status = 0
				}
				t.packet = v != 0
			}
			return err
		case unix.TIOCGPKT:
			return putBool(c, t.packet)
		case unix.TIOCGPTN:
			return put(c, uint32(t.index))
		case unix.TIOCSIG:
			sig := unix.Signal(c.arg)
			if sig != unix.SIGINT && sig != unix.SIGQUIT && sig != unix.SIGTSTP {
				return unix.EINVAL
			}
			if t.foreground != 0 {
				t.kernel.SignalGroup(t.foreground, int(sig))
			}
			return nil
		}
	}
	switch cmd {
	case unix.TCGETS, unix.TCGETS2, unix.TCGETA:
		return c.getTermios(cmd)
	case unix.TCSETS, unix.TCSETSW, unix.TCSETSF, unix.TCSETS2, unix.TCSETSW2, unix.TCSETSF2,
		unix.TCSETA, unix.TCSETAW, unix.TCSETAF:
		return c.setTermios(cmd)
	case unix.TIOCGSOFTCAR:
		return putBool(c, t.termios.Cflag&unix.CLOCAL != 0)
	case unix.TIOCSSOFTCAR:
		v, err := get[int32](c)
		if err == nil {
			t.termios.Cflag &^= unix.CLOCAL
			if v != 0 {
				t.termios.Cflag |= unix.CLOCAL
			}
		}
		return err

	case unix.TCFLSH:
		return c.flush()
	case unix.TCXONC:
		return c.flow()
	case unix.TCSBRK, unix.TCSBRKP, unix.TIOCSBRK, unix.TIOCCBRK:
		// A pseudo-terminal has no line to break, and its output is sent
		// at once.
		return c.mayChange()

	case unix.TIOCGWINSZ:
		return put(c, t.size)
	case unix.TIOCSWINSZ:
		size, err := get[unix.Winsize](c)
		if err == nil {
			t.resize(size)
		}
		return err

	case unix.TIOCINQ:
		if c.master {
			return put(c, int32(min(t.printed.len(), bufSize-1)))
		}
		t.want(wantPoll)
		return put(c, int32(t.count()))
	case unix.TIOCOUTQ:
		return put(c, int32(0)) // what is written is with the master at once
	case unix.TIOCSTI:
		return c.simulate()

	case unix.TIOCEXCL:
		t.exclusive = true
	case unix.TIOCNXCL:
		t.exclusive = false
	case unix.TIOCGEXCL:
		return putBool(c, t.exclusive)
	case unix.TIOCGETD:
		return put(c, int32(0)) // N_TTY
	case unix.TIOCSETD:
		v, err := get[int32](c)
		if err == nil {
			err = c.mayChange()
		}
		if err == nil && v != 0 {
			err = unix.EINVAL
		}
		return err
	case unix.TIOCGDEV:
		return put(c, uint32(t.Rdev()))
	case unix.TIOCVHANGUP:
		if !c.admin() {
			return unix.EPERM
		}
		t.Hangup()

	case unix.TIOCSCTTY:
		return t.acquire(c.ctx, c.f, c.arg == 1)
	case unix.TIOCNOTTY:
		return t.giveUp(c.ctx)
	case unix.TIOCGPGRP:
		if err := t.owned(c.ctx, c.master); err != nil {
			return err
		}
		return put(c, int32(t.foreground))
	case unix.TIOCSPGRP:
		if err := t.mayChange(c.ctx, unix.SIGTTOU); err != nil {
			if err == unix.EIO {
				err = unix.ENOTTY
			}
			return err
		}
		group, err := get[int32](c)
		if err != nil {
			return err
		}
		return t.setForeground(c.ctx, int(group))
	case unix.TIOCGSID:
		if err := t.owned(c.ctx, c.master); err != nil {
			return err
		}
		if t.session == 0 {
			return unix.ENOTTY
		}
		return put(c, int32(t.session))
	default:
		return unix.ENOTTY
	}
	return nil
}

func (c *call) getTermios(cmd uint32) error {
	n := &c.t.termios
	switch cmd {
	case unix.TCGETS2:
		return put(c, *n)
	case unix.TCGETS:
		return put(c, abi.Termios{Iflag: n.Iflag, Oflag: n.Oflag, Cflag: n.Cflag, Lflag: n.Lflag, Line: n.Line, Cc: n.Cc})
	}
	// struct termio has one byte of padding at its end.
	io := abi.Termio{Iflag: uint16(n.Iflag), Oflag: uint16(n.Oflag), Cflag: uint16(n.Cflag), Lflag: uint16(n.Lflag), Line: n.Line}
	copy(io.Cc[:], n.Cc[:])
	return put(c, io)
}

func (c *call) setTermios(cmd uint32) error {
	t := c.t
	if err := t.mayChange(c.ctx, unix.SIGTTOU); err != nil {
		return err
	}
	n := t.termios
	switch cmd {
	case unix.TCSETS2, unix.TCSETSW2, unix.TCSETSF2:
		v, err := get[abi.Termios2](c)
		if err != nil {
			return err
		}
		n = v
	case unix.TCSETS, unix.TCSETSW, unix.TCSETSF:
		v, err := get[abi.Termios](c)
		if err != nil {
			return err
		}
		n.Iflag, n.Oflag, n.Cflag, n.Lflag, n.Line, n.Cc = v.Iflag, v.Oflag, v.Cflag, v.Lflag, v.Line, v.Cc
	default:
		v, err := get[abi.Termio](c)
		if err != nil {
			return err
		}
		low := func(old uint32, v uint16) uint32 { return old&^0xffff | uint32(v) }
		n.Iflag, n.Oflag = low(n.Iflag, v.Iflag), low(n.Oflag, v.Oflag)
		n.Cflag, n.Lflag = low(n.Cflag, v.Cflag), low(n.Lflag, v.Lflag)
		n.Line = v.Line
		copy(n.Cc[:], v.Cc[:])
	}
	setSpeeds(&n)
	if n != t.termios {
		t.wantSettings(&n)
	}
	switch cmd {
	case unix.TCSETSF, unix.TCSETSF2, unix.TCSETAF:
		t.flushInput()
	}
	t.setTermios(n)
	return nil
}

// flush is TCFLSH.
func (c *call) flush() error {
	t := c.t
	if err := c.mayChange(); err != nil {
		return err
	}
	in := c.arg == unix.TCIFLUSH || c.arg == unix.TCIOFLUSH
	out := c.arg == unix.TCOFLUSH || c.arg == unix.TCIOFLUSH
	if !in && !out {
		return unix.EINVAL
	}
	if c.master {
		in, out = out, in
	}
	if in {
		if !c.master {
			t.flushInput()
		}
		t.typed = fifo{}
		t.masters.Wake(wait.Writable)
	}
	if out {
		if c.master {
			t.printed = fifo{}
			t.roomFreed()
		} else {
			t.flushOutput()
		}
	}
	return nil
}

// flow is TCXONC.
func (c *call) flow() error {
	t := c.t
	if err := c.mayChange(); err != nil {
		return err
	}
	switch c.arg {
	case unix.TCOOFF:
		if c.master {
			t.masterStopped = true
		} else if !t.stoppedByCall {
			t.stoppedByCall = true
			t.stop()
		}
	case unix.TCOON:
		if c.master {
			t.masterStopped = false
			t.masters.Wake(wait.Writable)
		} else if t.stoppedByCall {
			t.stoppedByCall = false
			t.start()
			t.flushEcho()
		}
	case unix.TCIOFF, unix.TCION:
		// Asks the other side to stop or start, even if our output is.
		key := t.termios.Cc[unix.VSTOP]
		if c.arg == unix.TCION {
			key = t.termios.Cc[unix.VSTART]
		}
		switch {
		case key == disabled:
		case c.master:
			t.typeIn([]byte{key})
		case t.room() > 0:
			t.printed.putByte(key)
			t.news = true
		}
	default:
		return unix.EINVAL
	}
	return nil
}

// simulate is TIOCSTI, which as on Linux today only CAP_SYS_ADMIN may: EIO.
func (c *call) simulate() error {
	if !c.admin() {
		return unix.EIO
	}
	b, err := get[byte](c)
	if err != nil {
		return err
	}
	if c.master {
		if c.t.room() > 0 {
			c.t.printed.putByte(b)
			c.t.news = true
		}
		return nil
	}
	c.t.receive([]byte{b})
	return nil
}
