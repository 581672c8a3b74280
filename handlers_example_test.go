package sysemu_test

import (
	"context"
	"fmt"
	"log"
	"sync/atomic"

	"github.com/sysemu/sysemu"
	"golang.org/x/sys/unix"
)

// shell runs a shell command in a machine with that middleware, and prints what it prints.
func shell(mw sysemu.Middleware, command string) {
	m, err := sysemu.New(sysemu.WithMiddleware(mw))
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	out, err := m.Command("sh", "-c", command).CombinedOutput()
	if err != nil {
		log.Fatalf("%s: %v", out, err)
	}
	fmt.Printf("%s", out)
}

// Another release in what uname(2) tells.
func ExampleCall_Put() {
	uname := func(next sysemu.Handler) sysemu.Handler {
		return sysemu.HandlerFunc(func(c *sysemu.Call) (uint64, error) {
			if v, err := next.ServeCall(c); err != nil {
				return v, err
			}
			u, err := sysemu.Value[unix.Utsname](c, 0)
			if err != nil {
				return 0, err
			}
			u.Release = [65]byte{}
			copy(u.Release[:], "7.0-gopher")
			return 0, c.Put(0, u)
		})
	}
	shell(sysemu.Only(uname, "uname"), "uname -sr")
	// Output: Linux 7.0-gopher
}

// Removing files is forbidden.
func ExampleCall_AbsPath() {
	deny := func(next sysemu.Handler) sysemu.Handler {
		return sysemu.HandlerFunc(func(c *sysemu.Call) (uint64, error) {
			path, ok := c.ArgNamed("pathname")
			if !ok {
				return next.ServeCall(c)
			}
			name, err := c.AbsPath(path.Index)
			if err != nil {
				return 0, err
			}
			fmt.Println("denied:", name)
			return 0, unix.EPERM
		})
	}
	shell(sysemu.Only(deny, "unlink", "unlinkat"), "cd /tmp; touch kept; rm -f ./kept 2>/dev/null; ls kept")
	// Output:
	// denied: /tmp/kept
	// kept
}

// Who opens one file is given another.
func ExampleCall_SetPath() {
	redirect := func(next sysemu.Handler) sysemu.Handler {
		return sysemu.HandlerFunc(func(c *sysemu.Call) (uint64, error) {
			if name, err := c.Path(1); err == nil && name == "/etc/motto" {
				if err := c.SetPath(1, "/tmp/motto"); err != nil {
					return 0, err
				}
			}
			return next.ServeCall(c)
		})
	}
	shell(sysemu.Only(redirect, "openat"), "echo festina lente >/tmp/motto; cat /etc/motto")
	// Output: festina lente
}

// Counting calls.
func ExampleOnly() {
	var n atomic.Int32
	count := func(next sysemu.Handler) sysemu.Handler {
		return sysemu.HandlerFunc(func(c *sysemu.Call) (uint64, error) {
			n.Add(1)
			return next.ServeCall(c)
		})
	}
	shell(sysemu.Only(count, "mkdir"), "mkdir /tmp/a /tmp/b /tmp/c")
	fmt.Println(n.Load(), "directories made")
	// Output: 3 directories made
}

// A call that waits for something outside the machine; other programs run meanwhile.
func ExampleCall_Block() {
	permission := make(chan string, 1)
	ask := func(next sysemu.Handler) sysemu.Handler {
		return sysemu.HandlerFunc(func(c *sysemu.Call) (uint64, error) {
			err := c.Block(func(ctx context.Context) error {
				select {
				case who := <-permission:
					fmt.Println("allowed by", who)
					return nil
				case <-ctx.Done(): // a signal, or the machine is closed
					return ctx.Err()
				}
			})
			if err != nil {
				return 0, err
			}
			return next.ServeCall(c)
		})
	}
	permission <- "somebody"
	shell(sysemu.Only(ask, "mkdir"), "mkdir /tmp/new; ls -d /tmp/new")
	// Output:
	// allowed by somebody
	// /tmp/new
}
