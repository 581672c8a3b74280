package sysemu_test

import (
	"fmt"
	"log"
	"net/netip"
	"strings"
	"syscall"

	"github.com/sysemu/sysemu"
)

// A sandbox of one's own: what a call is about to use is told where the kernel
// uses it, so that no link and no other thread makes it another file.
func ExampleCall_Guard() {
	readOnly := func(next sysemu.Handler) sysemu.Handler {
		return sysemu.HandlerFunc(func(c *sysemu.Call) (uint64, error) {
			c.Guard(func(a *sysemu.Access) error {
				if a.Use&sysemu.UseWrite != 0 && strings.HasPrefix(a.Path, "/srv/") {
					return syscall.EROFS
				}
				return nil
			})
			return next.ServeCall(c)
		})
	}
	m, err := sysemu.New(sysemu.WithMiddleware(readOnly), sysemu.WithTmpfs("/srv"))
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	cmd := m.Command("sh", "-c", "ln -s /srv /tmp/link; mkdir /tmp/link/x")
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
	out, _ := cmd.CombinedOutput()
	fmt.Print(strings.Contains(string(out), "Read-only file system"))
	// Output: true
}

// What programs connect to, whatever they are.
func ExampleSockAddr() {
	private := netip.MustParsePrefix("127.0.0.0/8")
	mw := func(next sysemu.Handler) sysemu.Handler {
		return sysemu.HandlerFunc(func(c *sysemu.Call) (uint64, error) {
			c.Guard(func(a *sysemu.Access) error {
				if a.Addr != nil && private.Contains(a.Addr.AddrPort.Addr()) {
					fmt.Println("refused:", a.Addr.AddrPort)
					return syscall.EACCES
				}
				return nil
			})
			return next.ServeCall(c)
		})
	}
	m, err := sysemu.New(sysemu.WithMiddleware(sysemu.Only(mw, "connect")))
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	m.Command("bash", "-c", "echo > /dev/tcp/127.0.0.1/80").Run()
	// Output: refused: 127.0.0.1:80
}
