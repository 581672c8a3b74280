package loader

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// budget is what our limits say of an execve.
func budget(limit uint64, path string, argv, env []string) error {
	b := NewArgBudget(limit)
	if err := b.Pointers(max(len(argv), 1) + len(env)); err != nil {
		return err
	}
	for _, list := range [][]string{{path}, env, argv} {
		for _, s := range list {
			if err := b.String(len(s)); err != nil {
				return err
			}
		}
	}
	return nil
}

// TestArgBudget finds the host's limits to the byte, by ours.
func TestArgBudget(t *testing.T) {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_STACK, &lim); err != nil {
		t.Fatal(err)
	}
	const path = "/bin/true"
	host := func(argv, env []string) error {
		cmd := exec.Command(path)
		cmd.Args, cmd.Env = argv, env
		var errno unix.Errno
		if err := cmd.Run(); errors.As(err, &errno) {
			return errno
		} else if err != nil {
			t.Fatal(err)
		}
		return nil
	}
	check := func(name string, argv, env []string, want error) {
		t.Helper()
		if err := host(argv, env); err != want {
			t.Errorf("%s: host %v, want %v", name, err, want)
		}
		if err := budget(lim.Cur, path, argv, env); err != want {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	str := func(n int) string { return strings.Repeat("x", n) }
	check("longest", []string{"true", str(MaxArgStrlen - 1)}, []string{str(MaxArgStrlen - 1)}, nil)
	check("too long an argument", []string{"true", str(MaxArgStrlen)}, []string{"A=b"}, unix.E2BIG)
	check("too long a variable", []string{"true"}, []string{str(MaxArgStrlen)}, unix.E2BIG)

	// All that fits: in strings of almost 128 KiB, and in many short ones.
	for _, size := range []int{100000, 20} {
		argv, env := []string{"true"}, []string{"A=b"}
		left := int(min(lim.Cur/4, argMax)) - len(path) - 1 - 8 - 5 - 8 - 4
		for left >= size+18 {
			argv = append(argv, str(size))
			left -= size + 9
		}
		argv = append(argv, str(left-9))
		check("full", argv, env, nil)
		argv[len(argv)-1] += "x"
		check("one more", argv, env, unix.E2BIG)
	}
}

func TestArgBudgetBounds(t *testing.T) {
	if err := budget(0, "/x", []string{strings.Repeat("x", 100000)}, nil); err != nil {
		t.Errorf("ARG_MAX does not fit a stack of 0: %v", err)
	}
	if err := budget(^uint64(0), "/x", make([]string, argMax/9+1), nil); err != unix.E2BIG {
		t.Errorf("an unlimited stack is no limit: %v", err)
	}
	b := NewArgBudget(8 << 20)
	most := b.MaxPointers()
	if err := b.Pointers(most + 1); err != unix.E2BIG {
		t.Errorf("%d pointers: %v", most+1, err)
	}
	if err := b.Pointers(most); err != nil {
		t.Errorf("%d pointers: %v", most, err)
	}
	if err := b.Pointers(-1); err != unix.E2BIG {
		t.Errorf("-1 pointers: %v", err)
	}
}

func TestStackEdges(t *testing.T) {
	s := &Stack{Arch: abi.I386, ExecFn: "/x"}
	im, err := s.Build(0xffffd000)
	if err != nil {
		t.Fatal(err)
	}
	if im.SP%16 != 0 || im.SP+uint64(len(im.Bytes)) != 0xffffd000 {
		t.Errorf("sp %x and %d bytes", im.SP, len(im.Bytes))
	}
	// No arguments are one empty argument, execve(2).
	if im.Bytes[0] != 1 || im.ArgEnd-im.ArgStart != 1 || im.EnvStart != im.EnvEnd {
		t.Errorf("%d arguments, %+v", im.Bytes[0], im)
	}
	s.Envp = []string{strings.Repeat("x", 1<<20)}
	if _, err := s.Build(1 << 20); err != unix.ENOMEM {
		t.Errorf("a stack below 0: %v", err)
	}
}
