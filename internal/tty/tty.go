package tty

import (
	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

const (
	// bufSize is how much the line discipline holds: a line is at most
	// bufSize-1 bytes and its end.
	bufSize = 4096
	// queueSize is how much more waits, in each direction.
	queueSize = 15 << 10
	// widest is the most that one byte becomes in output: a tab.
	widest = 8
)

const waitAny = wait.Readable | wait.Writable

// TTY is a pseudo-terminal.
type TTY struct {
	kernel Kernel
	fs     *FS
	node   *node // its name in fs
	index  int

	termios Termios
	special [256]bool // input that needs a look
	raw     bool      // none does
	size    unix.Winsize

	// The line discipline: bytes typed and not yet read are buf[tail:head],
	// modulo bufSize, of which those before canon are whole lines.
	buf               [bufSize]byte
	ends              [bufSize]bool // buf has a line's end there
	tail, canon, head uint32
	lnext             bool   // the next byte is taken literally
	erasing           bool   // within \.../ of ECHOPRT
	column, canonCol  uint32 // of output, and where the line typed begins

	typed   fifo     // written to the master, for when buf has room
	printed fifo     // to be read from the master
	echo    []echoOp // not printed yet
	news    bool     // printed has grown since tell
	settled int      // of printed, before what is being typed; -1: all

	stopped       bool // output, by ^S or TCOOFF
	stoppedByCall bool // by TCOOFF: only TCOON starts it
	masterStopped bool // the master's, by TCOOFF there
	packet        bool // TIOCPKT
	status        byte // TIOCPKT_* to be told
	locked        bool // TIOCSPTLCK
	exclusive     bool // TIOCEXCL

	through transparent

	masterOpen  bool
	slavesOpen  int  // descriptions of the slave
	slaveClosed bool // the last has been closed
	hangups     int  // slaves opened before the last hang-up are dead

	session    int // whose controlling terminal it is; 0: nobody's
	foreground int // process group

	slaves, masters           wait.Queue
	slavesAsync, mastersAsync wait.Queue // for signals: see vfs.Async
	roomWanted                bool       // a write by the slave found no room: its signal is due
}

func newTTY(k Kernel, fs *FS, index int) *TTY {
	t := &TTY{kernel: k, fs: fs, index: index, termios: defaultTermios(), masterOpen: true, locked: true, settled: -1}
	t.classify()
	return t
}

// Index returns N of /dev/pts/N.
func (t *TTY) Index() int { return t.index }

// Rdev returns the terminal's device number, as /proc/PID/stat shows it.
func (t *TTY) Rdev() uint64 { return unix.Mkdev(slaveMajor, uint32(t.index)) }

// Foreground returns the foreground process group, 0 if there is none, and
// Session the session whose controlling terminal t is.
func (t *TTY) Foreground() int { return t.foreground }
func (t *TTY) Session() int    { return t.session }

// tell wakes the master's readers if there is something new.
func (t *TTY) tell() {
	if t.news {
		t.news = false
		t.masters.Wake(wait.Readable)
		t.mastersAsync.Wake(wait.In)
	}
}

// inputArrived wakes the slave's readers.
func (t *TTY) inputArrived() {
	t.slaves.Wake(wait.Readable)
	t.slavesAsync.Wake(wait.In)
}

// roomFreed wakes the slave's writers.
func (t *TTY) roomFreed() {
	t.slaves.Wake(wait.Writable)
	if t.roomWanted {
		t.roomWanted = false
		t.slavesAsync.Wake(wait.Out)
	}
}

// statusChanged wakes the master's readers for a packet of control.
func (t *TTY) statusChanged() { t.masters.Wake(wait.Readable | wait.Pri) }

// addStatus notes control for the master's packet mode.
func (t *TTY) addStatus(set, clear byte) {
	if t.packet {
		t.status = t.status&^clear | set
		t.statusChanged()
	}
}

// stop stops output.
func (t *TTY) stop() {
	if t.stopped {
		return
	}
	t.stopped = true
	t.addStatus(unix.TIOCPKT_STOP, unix.TIOCPKT_START)
}

// start starts output again, unless TCOOFF stopped it.
func (t *TTY) start() {
	if !t.stopped || t.stoppedByCall {
		return
	}
	t.stopped = false
	t.addStatus(unix.TIOCPKT_START, unix.TIOCPKT_STOP)
	t.roomFreed()
}

// flushInput forgets what was typed and is not read.
func (t *TTY) flushInput() {
	t.head, t.canon, t.tail = 0, 0, 0
	t.ends = [bufSize]bool{}
	t.addStatus(unix.TIOCPKT_FLUSHREAD, 0)
}

// flushOutput forgets what was printed, but for what has come to the master's
// own line discipline: nothing that was just echoed.
func (t *TTY) flushOutput() {
	keep := bufSize - 1
	if t.settled >= 0 {
		keep = min(keep, t.settled)
	}
	t.printed.truncate(keep)
	t.addStatus(unix.TIOCPKT_FLUSHWRITE, 0)
	t.roomFreed()
}

// resize is TIOCSWINSZ.
func (t *TTY) resize(size unix.Winsize) {
	if t.size == size {
		return
	}
	t.size = size
	if t.foreground != 0 {
		t.kernel.SignalGroup(t.foreground, int(unix.SIGWINCH))
	}
}

// Hangup is vhangup(2): descriptions of the slave that are open are dead from
// now on, and the session that it controlled is told.
func (t *TTY) Hangup() {
	t.hangups++
	t.flushInput()
	t.typed, t.echo = fifo{}, nil
	if t.session != 0 {
		session, group := t.session, t.foreground
		t.session, t.foreground = 0, 0
		t.kernel.HangUp(session, group)
	}
	t.slaves.Wake(waitAny | wait.Hup | wait.Err)
}

// closeMaster ends the terminal.
func (t *TTY) closeMaster() {
	t.masterOpen = false
	t.node.attr.Nlink = 0
	t.Hangup()
	t.release()
}

// release gives the number back when neither side is open.
func (t *TTY) release() {
	if !t.masterOpen && t.slavesOpen == 0 {
		t.fs.free(t)
	}
}

// openSlave makes an open file of the slave: EIO while it is locked or when
// the master is closed, EBUSY by TIOCEXCL.
func (t *TTY) openSlave(ctx vfs.Context, flags int) (*Slave, error) {
	if !t.masterOpen || t.locked {
		return nil, unix.EIO
	}
	if t.exclusive && t.slavesOpen > 0 && !ctx.Cred().Has(unix.CAP_SYS_ADMIN) {
		return nil, unix.EBUSY
	}
	s := &Slave{t: t, hangups: t.hangups}
	t.slavesOpen++
	t.slaveClosed = false
	if flags&unix.O_NOCTTY == 0 {
		t.adopt(ctx, flags)
	}
	return s, nil
}

// closeSlave is told of the end of a description of the slave.
func (t *TTY) closeSlave() {
	t.slavesOpen--
	if t.slavesOpen > 0 {
		return
	}
	t.exclusive = false
	if t.session != 0 {
		// Nobody has it open: it controls nobody.
		session := t.session
		t.session, t.foreground = 0, 0
		t.kernel.SetTTY(session, nil)
	}
	if t.masterOpen {
		t.slaveClosed = true
		t.masters.Wake(waitAny | wait.Hup)
	}
	t.release()
}
