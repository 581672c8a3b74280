package trace_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/trace"
)

func Example() {
	tr, err := trace.New(trace.Options{Output: os.Stdout, Filter: []string{"trace=chdir,exit_group"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := sysemu.New(tr.Install()...)
	if err != nil {
		fmt.Println(err)
		return
	}
	m.Command("sh", "-c", "cd /usr; cd /nowhere 2>/dev/null").Run()
	m.Close()
	tr.Close()
	// Output:
	// chdir("/usr")                           = 0
	// chdir("/nowhere")                       = -1 ENOENT (No such file or directory)
	// exit_group(2)                           = ?
	// +++ exited with 2 +++
}

func ExampleTracer() {
	var page, timeline bytes.Buffer
	tr, err := trace.New(trace.Options{Follow: true, HTML: &page, Perfetto: &timeline, Title: "two children"})
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := sysemu.New(tr.Install()...)
	if err != nil {
		fmt.Println(err)
		return
	}
	m.Command("sh", "-c", "/bin/true; /bin/true; echo").Run()
	m.Close()
	tr.Close()
	fmt.Println(bytes.HasPrefix(page.Bytes(), []byte("<!DOCTYPE html>")), bytes.Contains(timeline.Bytes(), []byte(`"name":"execve"`)))
	// Output: true true
}

func ExampleOptions_filter() {
	_, err := trace.New(trace.Options{Filter: []string{"trace=open,clsoe"}})
	var fe *trace.FilterError
	if errors.As(err, &fe) {
		fmt.Println(fe.Reason, "at", fe.Offset)
	}
	// Output: no such call: "clsoe" at 11
}
