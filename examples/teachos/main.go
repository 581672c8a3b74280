// Teachos is a kernel for a course: Linux as programs know it, in which a few
// calls are yours. A table maps numbers to Go functions, as a kernel's own does;
// what is not in it goes on to the machine's kernel. Here getpid and uname are
// replaced, and two calls are added that no Linux has, by which processes leave
// each other messages: post does not wait, take sleeps until there is one.
//
//	go run ./examples/teachos
//	go run ./examples/teachos -- sh -c 'uname -a; echo $$'
//
// Without a program it runs guest.py, which uses all of them.
package main

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"os"

	"github.com/sysemu/sysemu"
	"golang.org/x/sys/unix"
)

//go:embed guest.py
var guest string

// The numbers of the calls that are new. Linux has none so high.
const (
	sysPost = 1000 // post(text, length): leaves a message
	sysTake = 1001 // take(buffer, size): waits for one, and returns its length
)

// kernel is what the new calls share. Calls of a machine may be served at the
// same time, one on each virtual CPU: state is to be locked, or a channel.
type kernel struct {
	messages chan []byte
}

// calls is the table of system calls.
func (k *kernel) calls() map[int]func(c *sysemu.Call, next sysemu.Handler) (uint64, error) {
	return map[int]func(*sysemu.Call, sysemu.Handler) (uint64, error){
		unix.SYS_GETPID: k.getpid,
		unix.SYS_UNAME:  k.uname,
		sysPost:         k.post,
		sysTake:         k.take,
	}
}

// getpid answers with a higher number; the handler further in knows the real one.
func (k *kernel) getpid(c *sysemu.Call, next sysemu.Handler) (uint64, error) {
	pid, err := next.ServeCall(c)
	return pid + 4000, err
}

// uname lets the kernel fill in the struct, and changes a field in the program's memory.
func (k *kernel) uname(c *sysemu.Call, next sysemu.Handler) (uint64, error) {
	if v, err := next.ServeCall(c); err != nil {
		return v, err
	}
	u, err := sysemu.Value[unix.Utsname](c, 0)
	if err != nil {
		return 0, err
	}
	u.Sysname = [65]byte{}
	copy(u.Sysname[:], "TeachOS")
	return 0, c.Put(0, u)
}

// post checks what comes from the program, as every call of a kernel must: its
// length, and by ReadMem, whose error is EFAULT, its memory.
func (k *kernel) post(c *sysemu.Call, _ sysemu.Handler) (uint64, error) {
	if c.Arg(1) > 4096 {
		return 0, unix.EMSGSIZE
	}
	text := make([]byte, c.Arg(1))
	if err := c.ReadMem(c.Arg(0), text); err != nil {
		return 0, err
	}
	select {
	case k.messages <- text:
		return uint64(len(text)), nil
	default:
		return 0, unix.EAGAIN // the box is full
	}
}

// take sleeps. What waits does so in Block: others run meanwhile, and a signal
// ends it, with EINTR or by a new start as signal(7) says.
func (k *kernel) take(c *sysemu.Call, _ sysemu.Handler) (uint64, error) {
	var text []byte
	err := c.Block(func(ctx context.Context) error {
		select {
		case text = <-k.messages:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	if err != nil {
		return 0, err
	}
	text = text[:min(uint64(len(text)), c.Arg(1))]
	return uint64(len(text)), c.WriteMem(c.Arg(0), text)
}

// middleware puts the table in front of the machine's own.
func (k *kernel) middleware(next sysemu.Handler) sysemu.Handler {
	calls := k.calls()
	return sysemu.HandlerFunc(func(c *sysemu.Call) (uint64, error) {
		if serve, ok := calls[c.Number()]; ok && c.Arch() == unix.AUDIT_ARCH_X86_64 { // i386 has other numbers
			return serve(c, next)
		}
		return next.ServeCall(c)
	})
}

func main() {
	args := os.Args[1:]
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if err := run(args, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "teachos:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	if len(args) == 0 {
		args = []string{"python3", "-c", guest}
	}
	k := &kernel{messages: make(chan []byte, 2)}
	m, err := sysemu.New(sysemu.WithMiddleware(k.middleware))
	if err != nil {
		return err
	}
	defer m.Close()
	cmd := m.Command(args[0], args[1:]...)
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, out
	return cmd.Run()
}
