package sysemu_test

import (
	"bytes"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sysemu/sysemu"
)

// A machine on which uname(2) tells of another kernel.
func Example() {
	uname := func(next sysemu.Handler) sysemu.Handler {
		return sysemu.HandlerFunc(func(c *sysemu.Call) (uint64, error) {
			var u syscall.Utsname
			field := func(f *[65]int8, s string) {
				for i := range s {
					f[i] = int8(s[i])
				}
			}
			field(&u.Sysname, "Linux")
			field(&u.Nodename, "gopher")
			field(&u.Release, "7.0.0")
			field(&u.Machine, "x86_64")
			var b []byte
			for _, f := range [][65]int8{u.Sysname, u.Nodename, u.Release, u.Version, u.Machine, u.Domainname} {
				for _, c := range f {
					b = append(b, byte(c))
				}
			}
			return 0, c.WriteMem(c.Arg(0), b)
		})
	}
	m, err := sysemu.New(sysemu.WithMiddleware(sysemu.Only(uname, "uname")))
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	out, err := m.Command("uname", "-snrm").Output()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s", out)
	// Output: Linux gopher 7.0.0 x86_64
}

func ExampleMachine() {
	m, err := sysemu.New(sysemu.WithHostname("box"), sysemu.WithTmpfs("/scratch"))
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	// What one program leaves in the machine's files, the next one finds;
	// nothing of it reaches the host.
	if err := m.Command("sh", "-c", "hostname >/scratch/name; rm -f /etc/passwd").Run(); err != nil {
		log.Fatal(err)
	}
	out, err := m.Command("cat", "/scratch/name").Output()
	if err != nil {
		log.Fatal(err)
	}
	_, err = os.Stat("/etc/passwd")
	fmt.Printf("%s%v\n", out, err)
	// Output:
	// box
	// <nil>
}

func ExampleMachine_Command() {
	m, err := sysemu.New()
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	cmd := m.Command("tr", "a-z", "A-Z")
	cmd.Stdin = strings.NewReader("some input")
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(out.String())
	// Output: SOME INPUT
}

func ExampleCmd_Run() {
	m, err := sysemu.New()
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()

	err = m.Command("sh", "-c", "exit 3").Run()
	var exit *sysemu.ExitError
	if errors.As(err, &exit) {
		fmt.Println(exit, exit.ExitCode())
	}

	err = m.Command("/no/such/program").Run()
	fmt.Println(err, errors.Is(err, os.ErrNotExist))
	// Output:
	// exit status 3 3
	// /no/such/program: no such file or directory true
}

// A handler that lets no program make a directory.
func ExampleHandler() {
	refuse := sysemu.HandlerFunc(func(c *sysemu.Call) (uint64, error) {
		return 0, syscall.EACCES
	})
	refused := func(sysemu.Handler) sysemu.Handler { return refuse }
	m, err := sysemu.New(sysemu.WithMiddleware(sysemu.Only(refused, "mkdir", "mkdirat")))
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	cmd := m.Command("mkdir", "/tmp/x")
	cmd.Env = []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH")}
	out, err := cmd.CombinedOutput()
	fmt.Printf("%s%v\n", strings.ReplaceAll(string(out), "‘", "'"), err)
	// Output:
	// mkdir: cannot create directory '/tmp/x': Permission denied
	// exit status 1
}

// Middleware that counts.
func ExampleMiddleware() {
	var calls atomic.Int64
	count := func(next sysemu.Handler) sysemu.Handler {
		return sysemu.HandlerFunc(func(c *sysemu.Call) (uint64, error) {
			calls.Add(1)
			return next.ServeCall(c)
		})
	}
	m, err := sysemu.New(sysemu.WithMiddleware(count))
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	if err := m.Command("true").Run(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(calls.Load() > 10)
	// Output: true
}

// A layer that reads and changes a call: what is written to standard output
// is cut to five bytes, and the program believes that all was written.
func ExampleCall() {
	short := func(next sysemu.Handler) sysemu.Handler {
		return sysemu.HandlerFunc(func(c *sysemu.Call) (uint64, error) {
			if c.Arg(0) != 1 {
				return next.ServeCall(c)
			}
			size := c.Arg(2)
			text := make([]byte, min(size, 64))
			if err := c.ReadMem(c.Arg(1), text); err != nil {
				return 0, err
			}
			fmt.Printf("%s writes %q\n", c.Name(), text)
			c.SetArg(2, min(size, 5))
			if _, err := next.ServeCall(c); err != nil {
				return 0, err
			}
			return size, nil
		})
	}
	m, err := sysemu.New(sysemu.WithMiddleware(sysemu.Only(short, "write")))
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	out, err := m.Command("echo", "hello, world").Output()
	fmt.Printf("%q %v\n", out, err)
	// Output:
	// write writes "hello, world\n"
	// "hello" <nil>
}

// The same middleware in front of an ordinary program: the host executes all
// calls but the one that is answered here.
func ExampleStartNative() {
	answer := func(sysemu.Handler) sysemu.Handler {
		return sysemu.HandlerFunc(func(*sysemu.Call) (uint64, error) { return 42, nil })
	}
	cmd := exec.Command("id", "-u")
	cmd.Stdout = os.Stdout
	n, err := sysemu.StartNative(cmd, sysemu.WithMiddleware(sysemu.Only(answer, "getuid", "geteuid")))
	if err != nil {
		log.Fatal(err)
	}
	status, err := n.Wait()
	fmt.Println(status.ExitStatus(), err)
	// Output:
	// 42
	// 0 <nil>
}

func ExampleAttach() {
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		log.Fatal(err)
	}
	cmd.Stdout = os.Stdout
	if err := cmd.Start(); err != nil {
		log.Fatal(err)
	}
	// What cat writes is shouted.
	loud := func(next sysemu.Handler) sysemu.Handler {
		return sysemu.HandlerFunc(func(c *sysemu.Call) (uint64, error) {
			text := make([]byte, c.Arg(2))
			if err := c.ReadMem(c.Arg(1), text); err != nil {
				return 0, err
			}
			if err := c.WriteMem(c.Arg(1), bytes.ToUpper(text)); err != nil {
				return 0, err
			}
			return next.ServeCall(c)
		})
	}
	n, err := sysemu.Attach(cmd.Process.Pid, sysemu.WithMiddleware(sysemu.Only(loud, "write")))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprintln(in, "hello")
	in.Close()
	n.Wait()
	cmd.Wait()
	// Output: HELLO
}

// A Result says how a run ended, as an online judge wants to know it.
func ExampleCmd_Result() {
	m, err := sysemu.New()
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	cmd := m.Command("sh", "-c", "while :; do :; done")
	cmd.Limits = sysemu.Limits{CPUTime: 100 * time.Millisecond, WallTime: 10 * time.Second, OutputBytes: 1 << 20}
	if err := cmd.Run(); err != nil {
		fmt.Println(err)
	}
	r := cmd.Result()
	fmt.Println(r.Limit, r.Signal, r.CPUTime() > 100*time.Millisecond)
	// Output:
	// signal: killed (limit: cpu-time)
	// cpu-time killed true
}

func ExampleLimits() {
	// Of every run, unless its Cmd says otherwise.
	m, err := sysemu.New(sysemu.WithLimits(sysemu.Limits{FileSize: 1 << 20, Processes: 10}))
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	cmd := m.Command("dd", "if=/dev/zero", "of=/tmp/zeros", "bs=64k")
	cmd.Run()
	fmt.Println(cmd.Result().Limit, cmd.Result().DiskBytes)
	// Output: file-size 1048576
}
