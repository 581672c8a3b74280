package ptrace

import (
	"encoding/binary"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ReadMem reads the memory of a process at addr into p, in one system call, and
// returns the number of bytes: process_vm_readv(2). It stops short, without an
// error, where memory that may not be read begins, and after 2 GiB. EFAULT: not
// even the first byte can be read. The process need not be stopped, nor be
// traced by the calling thread.
func ReadMem(pid int, addr uint64, p []byte) (int, error) {
	return processVM(unix.SYS_PROCESS_VM_READV, pid, addr, p)
}

// WriteMem writes p to the memory of a process at addr likewise:
// process_vm_writev(2). Read-only pages are not written.
func WriteMem(pid int, addr uint64, p []byte) (int, error) {
	return processVM(unix.SYS_PROCESS_VM_WRITEV, pid, addr, p)
}

func processVM(nr uintptr, pid int, addr uint64, p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	local := unix.Iovec{Base: &p[0], Len: uint64(len(p))}
	remote := unix.RemoteIovec{Base: uintptr(addr), Len: len(p)}
	n, _, e := syscall.RawSyscall6(nr, uintptr(pid), uintptr(unsafe.Pointer(&local)), 1, uintptr(unsafe.Pointer(&remote)), 1, 0)
	if e != 0 {
		return 0, e
	}
	return int(n), nil
}

// ReadMemForce reads the memory of a tracee whatever its protection, execute-only
// pages included, through /proc/PID/mem or, where that cannot be opened,
// PTRACE_PEEKDATA, for which the tracee must be stopped. It returns the number
// of bytes, and an error (EIO: nothing is mapped there) if they are fewer than
// len(p).
func ReadMemForce(pid int, addr uint64, p []byte) (int, error) {
	fd, err := openMem(pid, unix.O_RDONLY)
	if err != nil {
		return peek(pid, addr, p)
	}
	defer unix.Close(fd)
	return transfer(unix.Pread, fd, addr, p)
}

// WriteMemForce writes the memory of a tracee likewise, read-only and
// executable pages included: a private page is copied first. The host may have
// been told to forbid that through /proc/PID/mem; then it is done by
// PTRACE_POKEDATA.
func WriteMemForce(pid int, addr uint64, p []byte) (int, error) {
	fd, err := openMem(pid, unix.O_RDWR)
	if err != nil {
		return poke(pid, addr, p)
	}
	defer unix.Close(fd)
	n, err := transfer(unix.Pwrite, fd, addr, p)
	if err != nil {
		m, err := poke(pid, addr+uint64(n), p[n:])
		return n + m, err
	}
	return n, nil
}

func openMem(pid, mode int) (int, error) {
	return unix.Open("/proc/"+strconv.Itoa(pid)+"/mem", mode|unix.O_CLOEXEC, 0)
}

func transfer(io func(int, []byte, int64) (int, error), fd int, addr uint64, p []byte) (int, error) {
	done := 0
	for done < len(p) {
		if int64(addr) < 0 || int64(addr)+int64(done) < 0 {
			return done, unix.EIO
		}
		n, err := io(fd, p[done:], int64(addr)+int64(done))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return done, err
		case n == 0: // the address space is gone
			return done, unix.EIO
		}
		done += max(n, 0)
	}
	return done, nil
}

const wordSize = 8

// peek reads words, aligned ones: an aligned word is on one page, so that the
// last bytes before a hole can be had.
func peek(pid int, addr uint64, p []byte) (int, error) {
	done := 0
	for done < len(p) {
		at := addr + uint64(done)
		in := at % wordSize
		var word [wordSize]byte
		if err := request(unix.PTRACE_PEEKDATA, pid, uintptr(at-in), unsafe.Pointer(&word)); err != nil {
			return done, errnoOf(err)
		}
		done += copy(p[done:], word[in:])
	}
	return done, nil
}

func poke(pid int, addr uint64, p []byte) (int, error) {
	done := 0
	for done < len(p) {
		at := addr + uint64(done)
		in := at % wordSize
		var word [wordSize]byte
		if err := request(unix.PTRACE_PEEKDATA, pid, uintptr(at-in), unsafe.Pointer(&word)); err != nil {
			return done, errnoOf(err)
		}
		n := copy(word[in:], p[done:])
		if err := requestValue(unix.PTRACE_POKEDATA, pid, uintptr(at-in), uintptr(binary.LittleEndian.Uint64(word[:]))); err != nil {
			return done, errnoOf(err)
		}
		done += n
	}
	return done, nil
}

func errnoOf(err error) error {
	if e, ok := err.(*Error); ok {
		return e.Errno
	}
	return err
}
