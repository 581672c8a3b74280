// Package devfs has what stands behind device nodes: a table of character and
// block devices by number, and the memory devices (null, zero, full, random).
//
// Contract: guarded by the kernel lock. Device nodes may be in any file
// system; vfs.Hooks.Device leads here.
package devfs

import (
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// Opener opens a device; p is the node's place, held meanwhile.
type Opener func(ctx vfs.Context, p vfs.Path, flags int) (vfs.Impl, error)

// Table is a machine's devices.
type Table struct {
	devices map[key]Opener
	names   []Name // in the order they were registered
}

type key struct {
	kind uint32 // S_IFCHR or S_IFBLK
	rdev uint64
}

// Name is a device as /proc/devices has it: of each major number the first
// registered names the driver.
type Name struct {
	Kind  uint32
	Major uint32
	Name  string
}

// Register serves device major, minor of that kind (unix.S_IFCHR, S_IFBLK)
// by open. driver is its name in /proc/devices.
func (t *Table) Register(kind uint32, major, minor uint32, driver string, open Opener) {
	if t.devices == nil {
		t.devices = make(map[key]Opener)
	}
	t.devices[key{kind, unix.Mkdev(major, minor)}] = open
	for _, n := range t.names {
		if n.Kind == kind && n.Major == major {
			return
		}
	}
	t.names = append(t.names, Name{kind, major, driver})
}

// Names returns the drivers.
func (t *Table) Names() []Name { return t.names }

// Open is a vfs.Hooks.Device: ENXIO for a device that there is not.
func (t *Table) Open(ctx vfs.Context, p vfs.Path, a vfs.Attr, flags int) (vfs.Impl, error) {
	if open := t.devices[key{a.Mode & unix.S_IFMT, a.Rdev}]; open != nil {
		return open(ctx, p, flags)
	}
	return nil, unix.ENXIO
}
