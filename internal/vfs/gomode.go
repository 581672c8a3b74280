package vfs

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

// linuxType maps the type of a Go file mode.
func linuxType(m fs.FileMode) uint32 {
	switch m.Type() {
	case fs.ModeDir:
		return unix.S_IFDIR
	case fs.ModeSymlink:
		return unix.S_IFLNK
	case fs.ModeNamedPipe:
		return unix.S_IFIFO
	case fs.ModeSocket:
		return unix.S_IFSOCK
	case fs.ModeDevice:
		return unix.S_IFBLK
	case fs.ModeDevice | fs.ModeCharDevice, fs.ModeCharDevice:
		return unix.S_IFCHR
	}
	return unix.S_IFREG
}

var modeBits = []struct {
	goBit fs.FileMode
	bit   uint32
}{{fs.ModeSetuid, unix.S_ISUID}, {fs.ModeSetgid, unix.S_ISGID}, {fs.ModeSticky, unix.S_ISVTX}}

// LinuxMode is st_mode of a Go file mode.
func LinuxMode(m fs.FileMode) uint32 {
	mode := linuxType(m) | uint32(m.Perm())
	for _, b := range modeBits {
		if m&b.goBit != 0 {
			mode |= b.bit
		}
	}
	return mode
}

// GoMode is the Go file mode of an st_mode.
func GoMode(mode uint32) fs.FileMode {
	m := fs.FileMode(mode & 0o777)
	for _, b := range modeBits {
		if mode&b.bit != 0 {
			m |= b.goBit
		}
	}
	switch mode & unix.S_IFMT {
	case unix.S_IFDIR:
		m |= fs.ModeDir
	case unix.S_IFLNK:
		m |= fs.ModeSymlink
	case unix.S_IFIFO:
		m |= fs.ModeNamedPipe
	case unix.S_IFSOCK:
		m |= fs.ModeSocket
	case unix.S_IFBLK:
		m |= fs.ModeDevice
	case unix.S_IFCHR:
		m |= fs.ModeDevice | fs.ModeCharDevice
	}
	return m
}
