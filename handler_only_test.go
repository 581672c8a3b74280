package sysemu

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/kernel"
	"golang.org/x/sys/unix"
)

type fakeKernel struct{ calls int }

func (f *fakeKernel) ServeCall(*kernel.Call) (uint64, error) {
	f.calls++
	return 0, nil
}

func pass(next Handler) Handler {
	return HandlerFunc(func(c *Call) (uint64, error) { return next.ServeCall(c) })
}

// What Only chooses by number is what it would by name, whatever the number.
func TestOnlyNumbers(t *testing.T) {
	names := map[string]bool{"getppid": true, "waitpid": true, "openat": true, "syscall_17": true, "syscall_400": true, "syscall_9999": true, "syscall_-7": true, "no such call": true, "syscall_010": true}
	var list []string
	for n := range names {
		list = append(list, n)
	}
	half := len(list) / 2
	h := wrap(&fakeKernel{}, []Middleware{Only(pass, list[:half]...), Only(pass, list[half:]...)}).(kernel.Selective)
	seen := 0
	got := ""
	counted := wrap(&fakeKernel{}, []Middleware{Only(func(next Handler) Handler {
		return HandlerFunc(func(c *Call) (uint64, error) { got = c.Name(); return next.ServeCall(c) })
	}, list...)})
	task := &kernel.Task{}
	for _, arch := range []abi.Arch{abi.AMD64, abi.I386} {
		for nr := -20; nr < 10020; nr++ {
			c := &kernel.Call{Task: task, Arch: arch, Nr: nr}
			want := names[c.Name()]
			if h.Handles(arch, nr) != want {
				t.Errorf("%v %d, %s: %v", arch, nr, c.Name(), !want)
			}
			got = ""
			counted.ServeCall(c)
			if (got != "") != want {
				t.Errorf("%v %d, %s: served %q", arch, nr, c.Name(), got)
			}
			if want {
				seen++
			}
		}
	}
	if seen < 10 {
		t.Errorf("only %d calls", seen)
	}
	for _, mw := range [][]Middleware{{pass}, {Only(pass, "read"), pass}, {pass, Only(pass, "read")}} {
		if _, ok := wrap(&fakeKernel{}, mw).(kernel.Selective); ok {
			t.Error("a layer that has all calls is not asked for all")
		}
	}
}

// Calls that no layer has cost no allocation: neither in a layer, nor, over a
// whole run, in the machine.
func TestOnlyAllocates(t *testing.T) {
	k := &fakeKernel{}
	h := layers(&innermost{func(c *Call) (uint64, error) { return k.ServeCall(c.c) }}, []Middleware{Only(pass, "read", "write")})
	c := &Call{c: &kernel.Call{Arch: abi.AMD64, Nr: unix.SYS_GETPPID}}
	if n := testing.AllocsPerRun(1000, func() { h.ServeCall(c) }); n != 0 || k.calls == 0 {
		t.Errorf("%v allocations, %d calls", n, k.calls)
	}
	const calls = 20000
	bin := buildC(t, fmt.Sprintf(`#include <unistd.h>
#include <sys/syscall.h>
int main() { for (int i = 0; i < %d; i++) syscall(SYS_getppid); }`, calls))
	run := func(mw Middleware) uint64 {
		m := testMachine(t, WithMiddleware(mw))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if err := m.Command(bin).Run(); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		return after.Mallocs - before.Mallocs
	}
	if n := run(pass); n < calls {
		t.Errorf("with a layer on all calls: %d allocations for %d calls: what is measured?", n, calls)
	}
	if n := run(Only(pass, "sethostname")); n > calls/2 {
		t.Errorf("with a layer on other calls: %d allocations for %d calls", n, calls)
	}
}
