package ptrace_test

import (
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"syscall"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/ptrace"
	"golang.org/x/sys/unix"
)

// A program is made to believe that it runs on Plan 9: its uname is answered
// here, and never seen by the host, which executes all other calls.
func Example() {
	tr := ptrace.NewTracer(ptrace.Config{Options: ptrace.ExitKill})
	defer tr.Close()
	cmd := exec.Command("/bin/uname")
	cmd.Stdout = os.Stdout
	t, err := tr.Start(cmd)
	if err != nil {
		log.Fatal(err)
	}
	req := ptrace.Sysemu
	for {
		if err := t.Resume(req, 0); err != nil {
			log.Fatal(err)
		}
		stop, err := t.Wait()
		if err != nil {
			log.Fatal(err)
		}
		switch s := stop.(type) {
		case ptrace.SyscallEnter:
			switch {
			case req == ptrace.Syscall:
				// The host executes it. Only the next one is ours to decide on.
				req = ptrace.Sysemu
			case s.Nr == unix.SYS_UNAME:
				name := unix.Utsname{Sysname: [65]byte{'P', 'l', 'a', 'n', ' ', '9'}}
				if _, err := t.WriteAt(abi.Bytes(&name), int64(s.Args[0])); err != nil {
					log.Fatal(err)
				}
				if err := t.PokeUser(ptrace.OffRAX, 0); err != nil {
					log.Fatal(err)
				}
			default:
				// It was skipped. Go back before its instruction, to have it executed.
				var r ptrace.Regs
				if err := t.GetRegs(&r); err != nil {
					log.Fatal(err)
				}
				r.Rip -= 2
				r.Rax = r.Orig_rax
				if err := t.SetRegs(&r); err != nil {
					log.Fatal(err)
				}
				req = ptrace.Syscall
			}
		case ptrace.Exited:
			fmt.Println("status", s.Code)
			return
		default:
			log.Fatal(s)
		}
	}
	// Output:
	// Plan 9
	// status 0
}

// A shell and its children are followed from beginning to end.
func ExampleTracer() {
	tr := ptrace.NewTracer(ptrace.Config{
		Options: ptrace.ExitKill | ptrace.TraceFork | ptrace.TraceVFork | ptrace.TraceClone | ptrace.TraceExec,
	})
	defer tr.Close()
	t, err := tr.Start(exec.Command("/bin/sh", "-c", "/bin/true; /bin/false; exit 3"))
	if err != nil {
		log.Fatal(err)
	}
	shell := t
	if err := t.Resume(ptrace.Cont, 0); err != nil {
		log.Fatal(err)
	}
	programs, ends := 1, 0
	for {
		t, stop, err := tr.Wait()
		if err != nil {
			log.Fatal(err)
		}
		var sig syscall.Signal
		switch s := stop.(type) {
		case ptrace.SignalDelivery:
			sig = s.Signal
		case ptrace.Event:
			if s.Kind == ptrace.EventExec {
				programs++
			}
		case ptrace.Exited:
			ends++
			if t == shell {
				fmt.Println(programs, "programs,", ends, "ends, the last with status", s.Code)
				return
			}
			continue
		}
		if err := t.Resume(ptrace.Cont, sig); err != nil {
			log.Fatal(err)
		}
	}
	// Output: 3 programs, 3 ends, the last with status 3
}

func ExampleTracee() {
	tr := ptrace.NewTracer(ptrace.Config{})
	defer tr.Close()
	t, err := tr.Start(exec.Command("/bin/true"))
	if err != nil {
		log.Fatal(err)
	}
	// It is stopped before its first instruction.
	var r ptrace.Regs
	if err := t.GetRegs(&r); err != nil {
		log.Fatal(err)
	}
	argc := make([]byte, 8)
	if _, err := t.ReadAt(argc, int64(r.Rsp)); err != nil {
		log.Fatal(err)
	}
	fmt.Println("argc", argc[0])

	if err := t.Resume(ptrace.SingleStep, 0); err != nil {
		log.Fatal(err)
	}
	stop, err := t.Wait()
	fmt.Println(stop, err)
	// Output:
	// argc 1
	// signal SIGTRAP code 2 <nil>
}

// Under the default rule the call that was skipped is not reported again. Under
// today's rule its exit is.
func ExampleRule() {
	for _, rule := range []ptrace.Rule{ptrace.SeriesRule, ptrace.LinuxRule} {
		tr := ptrace.NewTracer(ptrace.Config{Rule: rule})
		t, err := tr.Start(exec.Command("/bin/true"))
		if err != nil {
			log.Fatal(err)
		}
		for _, req := range []ptrace.Request{ptrace.Sysemu, ptrace.Syscall} {
			if err := t.Resume(req, 0); err != nil {
				log.Fatal(err)
			}
			stop, err := t.Wait()
			if err != nil {
				log.Fatal(err)
			}
			fmt.Printf("%v: %T\n", req, stop)
		}
		tr.Close()
	}
	// Output:
	// PTRACE_SYSEMU: ptrace.SyscallEnter
	// PTRACE_SYSCALL: ptrace.SyscallEnter
	// PTRACE_SYSEMU: ptrace.SyscallEnter
	// PTRACE_SYSCALL: ptrace.SyscallExit
}

func ExampleError() {
	err := ptrace.Interrupt(1 << 30)
	var e *ptrace.Error
	if errors.As(err, &e) {
		fmt.Println(e.Request, e.PID, e.Errno == unix.ESRCH, errors.Is(err, ptrace.ErrNotSupported))
	}
	fmt.Println(err)
	// Output:
	// PTRACE_INTERRUPT 1073741824 true false
	// PTRACE_INTERRUPT 1073741824: no such process
}

func ExampleHostMode() {
	mode, err := ptrace.HostMode()
	if err != nil {
		fmt.Println("this host does not let us trace:", err)
		return
	}
	fmt.Println("skipping calls by", mode)
}
