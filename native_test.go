package sysemu

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// native starts a program with middleware in front of it.
func startNative(t *testing.T, cmd *exec.Cmd, opts ...Option) *Native {
	t.Helper()
	n, err := StartNative(cmd, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

func nativeModes(t *testing.T, f func(t *testing.T, mode Mode)) {
	for mode := range Mode(3) {
		t.Run(string('0'+rune(mode)), func(t *testing.T) { f(t, mode) })
	}
}

func TestNativeAnswers(t *testing.T) {
	nativeModes(t, func(t *testing.T, mode Mode) {
		cmd := exec.Command("sh", "-c", "id -u; id -u; exit 3")
		var out bytes.Buffer
		cmd.Stdout = &out
		n := startNative(t, cmd, WithMode(mode), WithMiddleware(
			on("getuid", func(*Call, Handler) (uint64, error) { return 4711, nil }),
			on("geteuid", func(*Call, Handler) (uint64, error) { return 4711, nil })))
		ws, err := n.Wait()
		if err != nil || ws.ExitStatus() != 3 || out.String() != "4711\n4711\n" {
			t.Errorf("%v %#x %q", err, ws, out.String())
		}
	})
}

func TestNativeErrorsAndResults(t *testing.T) {
	nativeModes(t, func(t *testing.T, mode Mode) {
		cmd := exec.Command("sh", "-c", "cd /nowhere || cd /; pwd; echo hello")
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		n := startNative(t, cmd, WithMode(mode), WithMiddleware(
			on("chdir", func(c *Call, next Handler) (uint64, error) {
				v, err := next.ServeCall(c)
				if errors.Is(err, unix.ENOENT) {
					err = unix.EPERM
				}
				return v, err
			}),
			on("write", func(c *Call, next Handler) (uint64, error) {
				size := c.Arg(2)
				b := make([]byte, size)
				if err := c.ReadMem(c.Arg(1), b); err != nil {
					return 0, err
				}
				if string(b) != "hello\n" {
					return next.ServeCall(c)
				}
				c.SetArg(2, 3)
				v, err := next.ServeCall(c)
				return v + 3, err
			})))
		ws, err := n.Wait()
		if err != nil || ws != 0 || !strings.HasSuffix(out.String(), "/nowhere\n/\nhel") || strings.Contains(out.String(), "No such") {
			t.Errorf("%v %#x %q", err, ws, out.String())
		}
	})
}
