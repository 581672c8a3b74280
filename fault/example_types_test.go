package fault_test

import (
	"context"
	"fmt"
	"os"

	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/fault"
	"golang.org/x/sys/unix"
)

// What a program has not synced is lost in a crash.
func ExampleInjector() {
	in, err := fault.New(&fault.Rule{Calls: "exit_group", Comm: "dd", Do: []fault.Action{fault.Crash()}})
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := sysemu.New(append(in.Options(), sysemu.WithTmpfs("/mnt"))...)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()
	cmd := m.Command("sh", "-c", `
		echo some text | dd of=lost status=none
		echo some text | dd of=kept status=none conv=fsync
		wc -c lost kept`)
	cmd.Dir, cmd.Stdout = "/mnt", os.Stdout
	fmt.Println(cmd.Run())
	// Output:
	//  0 lost
	// 10 kept
	// 10 total
	// <nil>
}

func ExampleAction() {
	for _, a := range []fault.Action{fault.Errno(unix.ENOSPC), fault.Signal(unix.SIGTERM), fault.Space(1 << 20), fault.Lost(), fault.Crash()} {
		fmt.Println(a)
	}
	// Output:
	// error=ENOSPC
	// signal=SIGTERM
	// space=1048576
	// lost
	// crash
}

func ExampleSize() {
	fmt.Println(fault.Short(fault.Bytes(512)), fault.Torn(fault.Bytes(0), fault.Part(0.5)))
	// Output: short=512 torn=50%
}

func ExampleArg() {
	fmt.Println(&fault.Rule{
		Calls: "openat",
		Args:  []fault.Arg{{Name: "flags", Op: "&", Value: "O_CREAT"}},
		Do:    []fault.Action{fault.Errno(unix.EROFS)},
	})
	// Output: openat:arg.flags&O_CREAT:error=EROFS
}

func ExampleWhen() {
	fmt.Println(fault.Once(3), fault.From(3), fault.When{First: 2, Last: 8, Step: 2})
	// Output: 3 3+ 2..8+2
}

func ExampleFired() {
	f := fault.Fired{Rule: 0, Call: "fsync", PID: 2, TID: 2, Count: 1, Effect: "lost"}
	fmt.Println(f)
	// Output: rule 1: fsync #1 of thread 2: lost
}

func ExampleSweep() {
	r, err := fault.Sweep(context.Background(), fault.Config{Args: []string{"/bin/echo", "hello"}, Calls: "write"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, x := range r.Runs {
		fmt.Println(x.Call, x.Error, x.Verdict)
	}
	fmt.Println(r.Bad())
	// Output:
	// write ENOSPC reported
	// false
}
