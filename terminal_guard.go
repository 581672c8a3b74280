package sysemu

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// guard is a process of the host that outlives this one by a moment: should
// this one end without having restored its terminal, killed or by a panic, the
// guard does. It is a hundred bytes of code without any library.
type guard struct {
	pid  int
	pipe int // to it
}

// startGuard starts a guard for a terminal.
func startGuard(terminal int) (*guard, error) {
	elf := guardELF()
	exe, err := unix.MemfdCreate("sysemu-tty", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	defer unix.Close(exe)
	if _, err := unix.Write(exe, elf); err != nil {
		return nil, err
	}
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return nil, err
	}
	defer unix.Close(p[0])
	// In a session of its own it may set the terminal at any time, and the
	// terminal's signals are not for it.
	pid, err := syscall.ForkExec(fmt.Sprintf("/proc/self/fd/%d", exe), []string{"sysemu-tty"}, &syscall.ProcAttr{
		Files: []uintptr{uintptr(p[0]), uintptr(terminal)},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		unix.Close(p[1])
		return nil, err
	}
	return &guard{pid, p[1]}, nil
}

// termiosSize is the size of the host's struct termios.
const termiosSize = 36

// watch tells the guard: if the terminal is left with settings raw, it should
// have saved.
func (g *guard) watch(saved, raw *unix.Termios) {
	var b [2 * termiosSize]byte
	copy(b[:], unsafe.Slice((*byte)(unsafe.Pointer(saved)), termiosSize))
	copy(b[termiosSize:], unsafe.Slice((*byte)(unsafe.Pointer(raw)), termiosSize))
	unix.Write(g.pipe, b[:])
}

// end ends the guard when the terminal was restored.
func (g *guard) end() {
	unix.Close(g.pipe)
	for {
		if _, err := syscall.Wait4(g.pid, nil, 0, nil); err != unix.EINTR {
			return
		}
	}
}

// guardCode reads pairs of settings from 0 until the end, and sets terminal 1
// to the first of the last pair if it has the second.
var guardCode = []byte{
	0x48, 0x81, 0xec, 0x00, 0x01, 0x00, 0x00, // sub $256, %rsp
	0x31, 0xc0, // again: xor %eax, %eax (read)
	0x31, 0xff, // xor %edi, %edi
	0x48, 0x89, 0xe6, // mov %rsp, %rsi
	0xba, 0x48, 0x00, 0x00, 0x00, // mov $72, %edx
	0x0f, 0x05, // syscall
	0x83, 0xf8, 0x48, // cmp $72, %eax
	0x74, 0xed, // je again
	0xb8, 0x10, 0x00, 0x00, 0x00, // mov $16, %eax (ioctl)
	0xbf, 0x01, 0x00, 0x00, 0x00, // mov $1, %edi
	0xbe, 0x01, 0x54, 0x00, 0x00, // mov $TCGETS, %esi
	0x48, 0x8d, 0x94, 0x24, 0x80, 0x00, 0x00, 0x00, // lea 128(%rsp), %rdx
	0x0f, 0x05, // syscall
	0x85, 0xc0, // test %eax, %eax
	0x75, 0x2a, // jnz out
	0x48, 0x8d, 0xb4, 0x24, 0x80, 0x00, 0x00, 0x00, // lea 128(%rsp), %rsi
	0x48, 0x8d, 0x7c, 0x24, 0x24, // lea 36(%rsp), %rdi
	0xb9, 0x24, 0x00, 0x00, 0x00, // mov $36, %ecx
	0xf3, 0xa6, // repe cmpsb
	0x75, 0x14, // jne out
	0xb8, 0x10, 0x00, 0x00, 0x00, // mov $16, %eax (ioctl)
	0xbf, 0x01, 0x00, 0x00, 0x00, // mov $1, %edi
	0xbe, 0x02, 0x54, 0x00, 0x00, // mov $TCSETS, %esi
	0x48, 0x89, 0xe2, // mov %rsp, %rdx
	0x0f, 0x05, // syscall
	0xb8, 0xe7, 0x00, 0x00, 0x00, // out: mov $231, %eax (exit_group)
	0x31, 0xff, // xor %edi, %edi
	0x0f, 0x05, // syscall
}

// guardELF is an executable of guardCode, in one segment with its headers.
func guardELF() []byte {
	const base, headers = 0x400000, 64 + 56
	var b bytes.Buffer
	put := func(v ...any) {
		for _, v := range v {
			binary.Write(&b, binary.LittleEndian, v)
		}
	}
	put([]byte("\x7fELF\x02\x01\x01"), [9]byte{})
	// Type, machine, version, entry, program and section headers, flags,
	// sizes and counts of headers.
	put(uint16(2), uint16(62), uint32(1), uint64(base+headers), uint64(64), uint64(0), uint32(0),
		uint16(64), uint16(56), uint16(1), uint16(0), uint16(0), uint16(0))
	// PT_LOAD, to be read and executed.
	size := uint64(headers + len(guardCode))
	put(uint32(1), uint32(5), uint64(0), uint64(base), uint64(base), size, size, uint64(4096))
	put(guardCode)
	return b.Bytes()
}
