package sysemu_test

import (
	"bytes"
	"errors"
	"fmt"
	"log"
	"os/exec"
	"syscall"

	"github.com/sysemu/sysemu"
	"golang.org/x/sys/unix"
)

// machine is one for an example.
func machine(opts ...sysemu.Option) *sysemu.Machine {
	m, err := sysemu.New(opts...)
	if err != nil {
		log.Fatal(err)
	}
	return m
}

// Options come in any number and order.
func ExampleOption() {
	m := machine(sysemu.WithHostname("box"), sysemu.WithCPUs(1), sysemu.WithTmpfs("/empty"))
	defer m.Close()
	out, _ := m.Command("sh", "-c", "uname -n; nproc; ls /empty").Output()
	fmt.Printf("%s", out)
	// Output:
	// box
	// 1
}

func ExampleHandlerFunc() {
	var fixed sysemu.Handler = sysemu.HandlerFunc(func(c *sysemu.Call) (uint64, error) { return 42, nil })
	m := machine(sysemu.WithMiddleware(sysemu.Only(func(sysemu.Handler) sysemu.Handler { return fixed }, "geteuid")))
	defer m.Close()
	out, _ := m.Command("id", "-u").Output()
	fmt.Printf("%s", out)
	// Output: 42
}

// What a program writes, as one buffer, whether write or writev says it.
func ExampleBuffer() {
	var said bytes.Buffer
	listen := func(next sysemu.Handler) sysemu.Handler {
		return sysemu.HandlerFunc(func(c *sysemu.Call) (uint64, error) {
			if c.FD(0) == 1 {
				if b, err := c.Buffer(1); err == nil {
					text, _ := b.Bytes(b.Len())
					said.Write(text)
				}
			}
			return next.ServeCall(c)
		})
	}
	m := machine(sysemu.WithMiddleware(sysemu.Only(listen, "write", "writev")))
	defer m.Close()
	m.Command("echo", "hello").Run()
	fmt.Printf("%q", said.String())
	// Output: "hello\n"
}

// A call's arguments by the names that the man pages give them.
func ExampleArg() {
	show := func(next sysemu.Handler) sysemu.Handler {
		return sysemu.HandlerFunc(func(c *sysemu.Call) (uint64, error) {
			for _, a := range c.Args() {
				v, err := a.Value()
				fmt.Println(a.Name, v, err)
			}
			return next.ServeCall(c)
		})
	}
	m := machine(sysemu.WithMiddleware(sysemu.Only(show, "chdir")))
	defer m.Close()
	m.Command("sh", "-c", "cd /usr").Run()
	// Output: filename /usr <nil>
}

func ExampleError() {
	m := machine()
	defer m.Close()
	err := m.Command("/no/such/program").Run()
	var e *sysemu.Error
	fmt.Println(errors.As(err, &e), e.Name, errors.Is(err, syscall.ENOENT))
	// Output: true /no/such/program true
}

func ExampleExitError() {
	m := machine()
	defer m.Close()
	_, err := m.Command("sh", "-c", "echo not today >&2; exit 3").Output()
	var e *sysemu.ExitError
	if errors.As(err, &e) {
		fmt.Printf("%d %s", e.ExitCode(), e.Stderr)
	}
	// Output: 3 not today
}

func ExampleProcess() {
	m := machine()
	defer m.Close()
	c := m.Command("sh", "-c", "trap 'echo told; exit 5' TERM; echo ready; while :; do sleep 1 & wait; done")
	out, err := c.StdoutPipe()
	if err != nil {
		log.Fatal(err)
	}
	if err := c.Start(); err != nil {
		log.Fatal(err)
	}
	var ready, told string
	fmt.Fscan(out, &ready)
	c.Process.Signal(unix.SIGTERM)
	fmt.Fscan(out, &told)
	fmt.Println(ready, told, c.Wait())
	// Output: ready told exit status 5
}

func ExampleProcessState() {
	m := machine()
	defer m.Close()
	c := m.Command("sh", "-c", "kill -9 $$")
	c.Run()
	s := c.ProcessState
	fmt.Println(s, s.Success(), s.ExitCode(), s.Sys().Signal())
	// Output: signal: killed false -1 killed
}

// A run that says too much is ended, and says why.
func ExampleResult() {
	m := machine()
	defer m.Close()
	c := m.Command("yes")
	c.Limits = sysemu.Limits{OutputBytes: 1000}
	var out bytes.Buffer
	c.Stdout = &out
	c.Run()
	r := c.Result()
	fmt.Println(r.Limit == sysemu.OutputBytes, r.OutputBytes, r.Signal, out.Len())
	// Output: true 1000 killed 1000
}

// An ordinary process of the host, one of whose calls is answered here.
func ExampleNative() {
	pid := func(sysemu.Handler) sysemu.Handler {
		return sysemu.HandlerFunc(func(*sysemu.Call) (uint64, error) { return 4711, nil })
	}
	cmd := exec.Command("sh", "-c", "id -u")
	var out bytes.Buffer
	cmd.Stdout = &out
	n, err := sysemu.StartNative(cmd, sysemu.WithMiddleware(sysemu.Only(pid, "geteuid")))
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()
	ws, err := n.Wait()
	fmt.Print(ws.ExitStatus(), err, " ", out.String())
	// Output: 0 <nil> 4711
}

// Mode is also programs' to change, as User-Mode Linux's is.
func ExampleMode() {
	m := machine(sysemu.WithMode(sysemu.ModeNullify))
	defer m.Close()
	m.Command("sh", "-c", "echo 2 >/proc/sysemu").Run()
	fmt.Println(m.Mode() == sysemu.ModeStep)
	// Output: true
}
