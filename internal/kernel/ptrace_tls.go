package kernel

import (
	"unsafe"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/machine"
	"golang.org/x/sys/unix"
)

// The thread-local segments of a tracee.

func getThreadArea(a *ptraceArgs) (uint64, error) {
	entry := int32(a.addr)
	if entry < 0 {
		return 0, unix.EIO
	}
	d, err := a.o.threadArea(int(entry))
	if err != nil {
		return 0, err
	}
	return 0, a.t.CopyOut(a.data, asBytes(&d))
}

func setThreadArea(a *ptraceArgs) (uint64, error) {
	if int32(a.addr) < 0 {
		return 0, unix.EIO
	}
	d, err := Ptr[abi.UserDesc](a.data).In(a.t)
	if err != nil {
		return 0, err
	}
	d.EntryNumber = uint32(a.addr)
	return 0, a.setTLS(&d)
}

func (a *ptraceArgs) setTLS(d *abi.UserDesc) error {
	entry, err := a.o.setThreadArea(d, false)
	if err != nil {
		return err
	}
	return a.t.atTracee(a.o, func() error { return a.o.th.SetTLS(entry, *d) })
}

const userDescSize = int(unsafe.Sizeof(abi.UserDesc{}))

// tlsRegs are all of them as a set.
var tlsRegs = regset{
	unit: userDescSize,
	get: func(a *ptraceArgs) ([]byte, error) {
		var b []byte
		for i := range machine.NumTLS {
			d, err := a.o.threadArea(machine.FirstTLS + i)
			if err != nil {
				return nil, err
			}
			b = append(b, asBytes(&d)...)
		}
		return b, nil
	},
	set: func(a *ptraceArgs, b []byte) error {
		var d [machine.NumTLS]abi.UserDesc
		n := copy(sliceBytes(d[:]), b) / userDescSize
		for i := range d[:n] {
			d[i].EntryNumber = uint32(machine.FirstTLS + i)
			if _, err := a.o.setThreadArea(&d[i], false); err != nil {
				return err // before any is set
			}
		}
		for i := range d[:n] {
			if err := a.setTLS(&d[i]); err != nil {
				return err
			}
		}
		return nil
	},
}
