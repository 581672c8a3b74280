package sysemu_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/sysemu/sysemu"
	"golang.org/x/sys/unix"
)

func ExampleWithObserver() {
	ends := make(chan unix.WaitStatus, 10)
	m, err := sysemu.New(sysemu.WithObserver(func(e *sysemu.Event) {
		if e.Kind == sysemu.TaskExited {
			ends <- e.Status
		}
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	m.Command("sh", "-c", "(exit 3); kill -9 $$").Run()
	m.Close()
	fmt.Println((<-ends).ExitStatus(), (<-ends).Signal())
	// Output: 3 killed
}

// Events come in the order in which things happen.
func TestObserver(t *testing.T) {
	var mu sync.Mutex
	var got []string
	names := map[int]string{0: "nobody"}
	m, err := sysemu.New(sysemu.WithCPUs(1), sysemu.WithObserver(func(e *sysemu.Event) {
		mu.Lock()
		defer mu.Unlock()
		if e.Time <= 0 || e.Realtime <= 0 || e.PID != e.TID {
			t.Errorf("%+v", e)
		}
		if e.Kind == sysemu.TaskStarted {
			names[e.TID] = []string{"sh", "child"}[min(len(names)-1, 1)]
		}
		who := names[e.TID]
		switch e.Kind {
		case sysemu.TaskStarted:
			got = append(got, who+" started by "+names[e.Other])
		case sysemu.TaskExec:
			got = append(got, who+" is "+e.Comm)
		case sysemu.ProgramStarted:
			got = append(got, who+" runs "+e.Path+" "+strings.Join(e.Args[1:], " "))
		case sysemu.TaskWoken:
			if e.Other != 0 { // not by a timer, or the host's files
				got = append(got, who+" woken by "+names[e.Other])
			}
		case sysemu.SignalDelivered:
			got = append(got, who+" gets "+unix.SignalName(unix.Signal(e.Signal.Signo)))
		case sysemu.TaskExited:
			got = append(got, fmt.Sprint(who, " ends with ", e.Status.ExitStatus()))
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	m.Command("/bin/sh", "-c", "trap : USR1; kill -USR1 $$; /bin/true; exit 5").Run()
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	want := []string{"sh started by nobody", "sh is sh", "sh runs /bin/sh -c trap : USR1; kill -USR1 $$; /bin/true; exit 5", "sh gets SIGUSR1",
		"child started by sh", "sh woken by child", "child is true", "child ends with 0", "sh gets SIGCHLD", "sh ends with 5"}
	// Debian's sh starts programs by vfork, so it is woken when the child is another program. Whether it waits for the end
	// before that comes is chance.
	i := 0
	for _, g := range got {
		if i < len(want) && g == want[i] {
			i++
		}
	}
	if i < len(want) {
		t.Errorf("missing %q in\n%s", want[i], strings.Join(got, "\n"))
	}
}
