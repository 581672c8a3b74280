package devfs_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/sysemu/sysemu/internal/fs/devfs"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

func TestMemoryDevices(t *testing.T) {
	var table devfs.Table
	done := table.RegisterMemory(strings.NewReader(strings.Repeat("random", 100)))
	defer done()
	open := func(minor uint32) vfs.Impl {
		t.Helper()
		impl, err := table.Open(nil, vfs.Path{}, vfs.Attr{Mode: unix.S_IFCHR | 0o666, Rdev: unix.Mkdev(1, minor)}, unix.O_RDWR)
		if err != nil {
			t.Fatal(minor, err)
		}
		return impl
	}
	type device interface {
		vfs.Reader
		vfs.Writer
	}
	for _, c := range []struct {
		minor uint32
		read  string
		write error
	}{
		{3, "", nil}, {5, "\x00\x00\x00", nil}, {7, "\x00\x00\x00", unix.ENOSPC}, {8, "ran", nil}, {9, "dom", nil},
	} {
		d := open(c.minor).(device)
		p := []byte("xyz")
		n, err := d.Read(nil, nil, p, 0)
		if err != nil || !bytes.Equal(p[:n], []byte(c.read)) {
			t.Errorf("minor %d reads %q, %v", c.minor, p[:n], err)
		}
		if _, err := d.Write(nil, nil, p, 0); err != c.write {
			t.Errorf("minor %d: write: %v", c.minor, err)
		}
	}
	for _, a := range []vfs.Attr{
		{Mode: unix.S_IFCHR, Rdev: unix.Mkdev(1, 99)}, {Mode: unix.S_IFBLK, Rdev: unix.Mkdev(1, 3)},
	} {
		if _, err := table.Open(nil, vfs.Path{}, a, 0); err != unix.ENXIO {
			t.Errorf("%+v: %v", a, err)
		}
	}
	if names := table.Names(); len(names) != 1 || names[0].Name != "mem" || names[0].Major != 1 {
		t.Errorf("drivers %v", names)
	}
	fd, _, err := open(5).(vfs.Mmapper).HostFile(nil, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	m, err := unix.Mmap(fd, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(m)
	if m[77] != 0 {
		t.Error("/dev/zero maps as something else")
	}
	if _, _, err := open(7).(vfs.Mmapper).HostFile(nil, nil, false); err != unix.ENODEV {
		t.Errorf("/dev/full maps: %v", err)
	}
}
