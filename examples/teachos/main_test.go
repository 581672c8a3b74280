package main

import (
	"bytes"
	"os"
	"os/exec"
	"testing"
)

func TestTeachOS(t *testing.T) {
	var out bytes.Buffer
	if err := run([]string{"sh", "-c", "uname -s; echo $$"}, nil, &out); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != "TeachOS\n4002\n" {
		t.Errorf("a shell sees %q", got)
	}
}

func TestGuest(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("python3 is not installed")
		}
		t.Skip("python3 is not installed")
	}
	var out bytes.Buffer
	if err := run(nil, nil, &out); err != nil {
		t.Fatalf("%v: %s", err, &out)
	}
	const want = `this is TeachOS and I am 4002
post: 6
take: 4003 got: hello?
no such memory: EFAULT
too long: EMSGSIZE
full: 1 1 EAGAIN
in order: 1 2
no such call: ENOSYS
interrupted by the alarm
`
	if out.String() != want {
		t.Errorf("got:\n%s", &out)
	}
}
