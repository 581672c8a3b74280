package sysemu

import (
	"encoding/binary"
	"net/netip"

	"github.com/sysemu/sysemu/internal/kernel"
	"github.com/sysemu/sysemu/internal/native"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// Use says what a call is about to do with a file.
type Use uint8

const (
	// UseLook is for the file's attributes, a link's text, a working
	// directory, O_PATH: every call that takes a file's name at least looks.
	UseLook = Use(vfs.UseLook)
	// UseRead is to open the file for reading, or to watch it.
	UseRead = Use(vfs.UseRead)
	// UseWrite is to open the file for writing, to change its attributes, to
	// make it or to remove it. To give it another name, by rename(2) or link(2),
	// is UseRead and UseWrite for the old one and UseWrite for the new one.
	UseWrite = Use(vfs.UseWrite)
	// UseExec is to execute the file, or to have it as the interpreter or
	// dynamic loader of a program.
	UseExec = Use(vfs.UseExec)
	// UseTree comes with others, of a directory that is renamed and of what is
	// mounted: all that is below gets other names, too.
	UseTree = Use(vfs.UseTree)
)

// Access is something that a call is about to do: see [Call.Guard]. It has
// either a Path, an Addr or a Sub.
type Access struct {
	// Path is the name of a file as seen from the root of all mounts, without
	// links, and Use what is to be done with it. The file may not be there yet.
	// What has no such name, as a memfd that is executed, is called otherwise
	// than with a slash in front.
	Path string
	Use  Use

	// Addr is a socket's address, to bind to, connect to or send to. One that is
	// the name of a socket in the file system is not told here but as a Path,
	// with UseWrite.
	Addr *SockAddr

	// Sub is the call that an i386 program makes through socketcall(2), and
	// Args are its arguments, read once.
	Sub  string
	Args []uint64
}

// SockAddr is a socket's address.
type SockAddr struct {
	Family   int            // AF_*
	AddrPort netip.AddrPort // of IP, also where Family is AF_UNSPEC, which some calls take for AF_INET
	Abstract string         // of a Unix socket that is in no file system, without the leading zero byte
	Raw      []byte         // all of it, as the program has it
}

// parseSockAddr reads the fields that there are.
func parseSockAddr(b []byte) *SockAddr {
	a := &SockAddr{Raw: b}
	if len(b) < 2 {
		return a
	}
	a.Family = int(binary.NativeEndian.Uint16(b))
	switch {
	case (a.Family == unix.AF_INET || a.Family == unix.AF_UNSPEC) && len(b) >= unix.SizeofSockaddrInet4:
		a.AddrPort = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), binary.BigEndian.Uint16(b[2:]))
	case a.Family == unix.AF_INET6 && len(b) >= 24: // the scope may be missing
		a.AddrPort = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:24])).Unmap(), binary.BigEndian.Uint16(b[2:]))
	case a.Family == unix.AF_UNIX && len(b) > 2:
		a.Abstract = string(b[3:])
	}
	return a
}

// Guard has the machine ask f about everything that the call is about to do,
// when the call is handed on: about each file, when all of its name has been
// resolved, and about each address that a socket is given, once it was read. What
// f is asked about is what is used: nothing that the program does meanwhile, with
// its memory or with names and links, makes it another file or address. An error
// of f is the call's, and then nothing was done.
//
// f runs with the machine locked: it must not block, nor call a method of the
// machine or of a Call. It is asked during this call only. Of several
// functions the last is asked first.
//
// Files that are open already are not asked about, but for changes of their
// attributes. A name that leads nowhere is not asked about, either: the call
// then fails as it does without.
//
// The host serves the calls of native programs: Guard does nothing then and
// returns false.
func (c *Call) Guard(f func(*Access) error) bool {
	if c.Native() {
		return false
	}
	outer := c.c.Guard
	c.c.Guard = func(k *kernel.Access) error {
		a := &Access{Path: k.Path, Use: Use(k.Use), Sub: k.Sub, Args: k.Args}
		if k.Addr != nil {
			a.Addr = parseSockAddr(k.Addr)
		}
		if err := f(a); err != nil || outer == nil {
			return err
		}
		return outer(k)
	}
	return true
}

// Kill ends the process that calls, as a seccomp filter does: by a SIGSYS that
// it cannot catch; a native one by SIGKILL. The call's result is not seen
// any more.
func (c *Call) Kill() error {
	if p, ok := c.program.(*native.Call); ok {
		return unix.Kill(p.PID(), unix.SIGKILL)
	}
	c.c.Condemn()
	return nil
}

// UID is the real user of the thread that calls; false for a native program, of
// which it is not known.
func (c *Call) UID() (uid uint32, ok bool) {
	if c.Native() {
		return 0, false
	}
	uid, _ = c.c.UIDs()
	return uid, true
}
