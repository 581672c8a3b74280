package compare

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Key is one step at a terminal: wait until what appeared since the last step matches Expect, then type Send.
// An empty Expect waits until the screen has been still for a moment. Resize, when set, changes the window's size
// before typing.
type Key struct {
	Expect string
	Send   string
	Resize *unix.Winsize
}

// still is how long the screen must be quiet for an empty Expect.
const still = 300 * time.Millisecond

// onTerminal runs cmd with a new pseudo-terminal as its controlling terminal and standard streams, and answers all that
// was written to it. An expectation that does not come true by the context's end is an error.
func onTerminal(ctx context.Context, cmd *exec.Cmd, keys []Key) (string, error) {
	master, slave, err := openPty()
	if err != nil {
		return "", err
	}
	defer master.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	err = cmd.Start()
	slave.Close()
	if err != nil {
		return "", err
	}
	chunks := make(chan []byte)
	go func() {
		defer close(chunks)
		for {
			buf := make([]byte, 4096)
			n, err := master.Read(buf)
			if n > 0 {
				chunks <- buf[:n]
			}
			if err != nil { // EIO: the last descriptor of the other side is closed
				return
			}
		}
	}()
	screen, stepErr := typeKeys(ctx, master, chunks, keys)
	if stepErr != nil {
		cmd.Cancel()
	}
	for open := true; open; {
		select {
		case b, ok := <-chunks:
			open = ok
			screen = append(screen, b...)
		case <-ctx.Done():
			open = false
			go func() { // lets the reader end when the terminal closes
				for range chunks {
				}
			}()
		}
	}
	err = cmd.Wait()
	if stepErr != nil {
		err = stepErr
	}
	return string(screen), err
}

func typeKeys(ctx context.Context, master *os.File, chunks <-chan []byte, keys []Key) (screen []byte, err error) {
	from := 0
	for i, k := range keys {
		var want *regexp.Regexp
		if k.Expect != "" {
			want = regexp.MustCompile(k.Expect)
		}
		for {
			if want != nil && want.Match(screen[from:]) {
				break
			}
			quiet := (<-chan time.Time)(nil)
			if want == nil {
				quiet = time.After(still)
			}
			select {
			case b, ok := <-chunks:
				if !ok {
					return screen, fmt.Errorf("step %d: the program closed its terminal; expected %q in %q", i, k.Expect, screen[from:])
				}
				screen = append(screen, b...)
				continue
			case <-quiet:
			case <-ctx.Done():
				return screen, fmt.Errorf("step %d: %q never appeared in %q", i, k.Expect, screen[from:])
			}
			break
		}
		from = len(screen)
		if k.Resize != nil {
			if err := resize(master, k.Resize); err != nil {
				return screen, err
			}
		}
		if _, err := master.WriteString(k.Send); err != nil {
			return screen, err
		}
	}
	return screen, nil
}

func resize(master *os.File, size *unix.Winsize) error {
	conn, err := master.SyscallConn() // Fd would make the descriptor blocking
	if err != nil {
		return err
	}
	var ioctlErr error
	err = conn.Control(func(fd uintptr) { ioctlErr = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, size) })
	return errors.Join(err, ioctlErr)
}

func openPty() (master, slave *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80})
	}
	if err != nil {
		unix.Close(fd)
		return nil, nil, err
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		unix.Close(fd)
		return nil, nil, err
	}
	return os.NewFile(uintptr(fd), "ptmx"), slave, nil
}
