package fault_test

import (
	"fmt"
	"os"

	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/fault"
	"golang.org/x/sys/unix"
)

func ExampleParse() {
	r, err := fault.Parse("write:fd=1:error=ENOSPC:when=2+")
	if err != nil {
		fmt.Println(err)
		return
	}
	in, err := fault.New(r)
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := sysemu.New(sysemu.WithMiddleware(in.Middleware))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()
	cmd := m.Command("sh", "-c", "echo one; echo two")
	cmd.Stdout = os.Stdout
	fmt.Println(cmd.Run())
	fmt.Println(in.Fired())
	// Output:
	// one
	// exit status 1
	// [rule 1: write #2 of thread 2: error=ENOSPC]
}

func ExampleError() {
	_, err := fault.Parse("write:error=ENOSPACE")
	fmt.Println(err.(*fault.Error).Mark())
	// Output:
	// write:error=ENOSPACE
	//             ^ no such error: "ENOSPACE"
}

// A rule that is made in Go may ask anything of a call.
func ExampleRule() {
	in, err := fault.New(&fault.Rule{
		Calls: "openat",
		If: func(c *sysemu.Call) bool {
			name, err := c.AbsPath(1)
			return err == nil && name == "/etc/passwd"
		},
		Do: []fault.Action{fault.Errno(unix.ELOOP)},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := sysemu.New(sysemu.WithMiddleware(in.Middleware))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()
	out, err := m.Command("cat", "/etc/passwd").CombinedOutput()
	fmt.Printf("%s%v\n", out, err)
	// Output:
	// cat: /etc/passwd: Too many levels of symbolic links
	// exit status 1
}
