// Package hostcan tells tests what the host's processor, real or virtual, can do. Some virtual machines (PVM) run 64-bit
// code only, have no gate for int $0x80 and do not honour debug registers. Natively a program that needs one of these
// fails there, so nothing can be compared with it; test/vm runs such tests in an emulated machine, which has them all.
//
// Each facility is found by using it, once.
package hostcan

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Facility is something that a host may lack.
type Facility struct {
	name  string
	probe func() error
}

var (
	// Run32 is running 32-bit programs.
	Run32 = &Facility{"run 32-bit programs", sync.OnceValue(func() error { return exits42(program(true, exit80)) })}

	// Int80 is 32-bit system calls by int $0x80 in 64-bit code.
	Int80 = &Facility{"serve int $0x80", sync.OnceValue(func() error { return exits42(program(false, exit80)) })}

	// DebugRegisters is hardware breakpoints and watchpoints, set by ptrace(2).
	DebugRegisters = &Facility{"stop at hardware breakpoints", sync.OnceValue(breaks)}
)

// Lacks is nil when the host has the facility, else what came of using it.
func (f *Facility) Lacks() error {
	if err := f.probe(); err != nil {
		return fmt.Errorf("this host does not %s: %w", f.name, err)
	}
	return nil
}

// Need skips the test on a host that lacks one of the facilities.
func Need(t testing.TB, facilities ...*Facility) {
	t.Helper()
	for _, f := range facilities {
		if err := f.Lacks(); err != nil {
			t.Skip(err)
		}
	}
}

var (
	exit80 = []byte{
		0xb8, 1, 0, 0, 0, // mov $1,%eax
		0xbb, 42, 0, 0, 0, // mov $42,%ebx
		0xcd, 0x80, // int $0x80
	}
	exit64 = []byte{
		0x90, 0x90, // where the breakpoint is: at the second
		0xb8, 60, 0, 0, 0, // mov $60,%eax
		0xbf, 42, 0, 0, 0, // mov $42,%edi
		0x0f, 0x05, // syscall
	}
)

const base = 0x08048000

// program is a static ELF program of that code, and entry where it begins.
func program(is32 bool, code []byte) []byte {
	le := binary.LittleEndian
	header, phdr := 64, 56
	if is32 {
		header, phdr = 52, 32
	}
	at := header + phdr
	b := make([]byte, at+len(code))
	copy(b[at:], code)
	le.PutUint16(b[16:], 2) // ET_EXEC
	le.PutUint32(b[20:], 1)
	if is32 {
		copy(b, "\x7fELF\x01\x01\x01")
		le.PutUint16(b[18:], 3) // EM_386
		for off, v := range map[int]uint32{24: base + uint32(at), 28: uint32(header), header: 1, header + 8: base, header + 12: base,
			header + 16: uint32(len(b)), header + 20: uint32(len(b)), header + 24: 5, header + 28: 4096} {
			le.PutUint32(b[off:], v)
		}
		le.PutUint16(b[40:], uint16(header))
		le.PutUint16(b[42:], uint16(phdr))
		le.PutUint16(b[44:], 1)
		return b
	}
	copy(b, "\x7fELF\x02\x01\x01")
	le.PutUint16(b[18:], 62) // EM_X86_64
	le.PutUint32(b[header:], 1)
	le.PutUint32(b[header+4:], 5)
	for off, v := range map[int]uint64{24: base + uint64(at), 32: uint64(header), header + 16: base, header + 24: base,
		header + 32: uint64(len(b)), header + 40: uint64(len(b)), header + 48: 4096} {
		le.PutUint64(b[off:], v)
	}
	le.PutUint16(b[52:], uint16(header))
	le.PutUint16(b[54:], uint16(phdr))
	le.PutUint16(b[56:], 1)
	return b
}

// withFile calls f with the name of an executable file.
func withFile(image []byte, f func(name string) error) error {
	dir, err := os.MkdirTemp("", "hostcan")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "exit42")
	if err := os.WriteFile(name, image, 0o755); err != nil {
		return err
	}
	return f(name)
}

func exits42(image []byte) error {
	return withFile(image, func(name string) error {
		err := exec.Command(name).Run()
		var exit *exec.ExitError
		switch {
		case errors.As(err, &exit) && exit.ExitCode() == 42:
			return nil
		case err == nil:
			return errors.New("the program exits with status 0")
		}
		return err
	})
}

// breaks runs a program with a breakpoint in debug register 0.
func breaks() error {
	const debugReg = 848 // offsetof(struct user, u_debugreg)
	return withFile(program(false, exit64), func(name string) error {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		pid, err := syscall.ForkExec(name, []string{"exit42"}, &syscall.ProcAttr{Sys: &syscall.SysProcAttr{Ptrace: true}})
		if err != nil {
			return err
		}
		var ws unix.WaitStatus
		poke := func(off, v uintptr) {
			if _, _, e := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_POKEUSR, uintptr(pid), off, v, 0, 0); e != 0 && err == nil {
				err = fmt.Errorf("debug register %d: %w", (off-debugReg)/8, e)
			}
		}
		wait := func() {
			for {
				_, e := unix.Wait4(pid, &ws, unix.WALL, nil)
				if e == unix.EINTR {
					continue
				}
				if e != nil && err == nil {
					err = e
				}
				return
			}
		}
		wait()
		poke(debugReg, base+64+56+1)
		poke(debugReg+7*8, 1) // an execution breakpoint
		if err == nil {
			if err = unix.PtraceCont(pid, 0); err == nil {
				wait()
			}
		}
		hit := ws.Stopped() && ws.StopSignal() == unix.SIGTRAP
		if !ws.Exited() && !ws.Signaled() {
			unix.Kill(pid, unix.SIGKILL)
			for !ws.Exited() && !ws.Signaled() {
				wait()
			}
		}
		if err == nil && !hit {
			err = errors.New("the program runs past one")
		}
		return err
	})
}
