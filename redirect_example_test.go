package sysemu_test

import (
	"fmt"
	"log"
	"testing/fstest"

	"github.com/sysemu/sysemu"
	"golang.org/x/sys/unix"
)

// The user database is a Go string.
func ExampleWithFS() {
	const passwd = "root:x:0:0:root:/root:/bin/sh\ngopher:x:4711:4711:a user of no host:/:/bin/sh\n"
	fsys := fstest.MapFS{"passwd": {Data: []byte(passwd), Mode: 0o644}}
	redirect := func(next sysemu.Handler) sysemu.Handler {
		return sysemu.HandlerFunc(func(c *sysemu.Call) (uint64, error) {
			if name, err := c.AbsPath(1); err == nil && name == "/etc/passwd" {
				if err := c.SetPath(1, "/strings/passwd"); err != nil {
					return 0, err
				}
			}
			return next.ServeCall(c)
		})
	}
	m, err := sysemu.New(sysemu.WithFS(fsys, "/strings"), sysemu.WithMiddleware(sysemu.Only(redirect, "openat")))
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	out, err := m.Command("grep", "gopher", "/etc/passwd").CombinedOutput()
	fmt.Printf("%s%v\n", out, err)
	// Output:
	// gopher:x:4711:4711:a user of no host:/:/bin/sh
	// <nil>
}

// Who connects to one socket is connected to another.
func ExampleCall_SetValue() {
	redirect := func(next sysemu.Handler) sysemu.Handler {
		return sysemu.HandlerFunc(func(c *sysemu.Call) (uint64, error) {
			to, err := sysemu.Value[*unix.SockaddrUnix](c, 1)
			if err == nil && to.Name == "/run/database" {
				if err := c.SetValue(1, &unix.SockaddrUnix{Name: "/tmp/replica"}); err != nil {
					return 0, err
				}
			}
			return next.ServeCall(c)
		})
	}
	m, err := sysemu.New(sysemu.WithMiddleware(sysemu.Only(redirect, "connect")))
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	out, err := m.Command("python3", "-c", `
import socket
replica, client = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
replica.bind("/tmp/replica")
replica.listen()
client.connect("/run/database")
replica.accept()[0].send(b"this is the replica")
print(client.recv(100).decode())
`).CombinedOutput()
	fmt.Printf("%s%v\n", out, err)
	// Output:
	// this is the replica
	// <nil>
}
