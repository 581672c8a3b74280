package net

import (
	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait"
)

// What wakes who waits for a socket, and what is told by signals (O_ASYNC)
// with it: as on Linux less, and other things.

// Async implements vfs.Async.
func (s *sock) Async(*vfs.File) (*wait.Queue, wait.Events) { return &s.async, wait.All }

// arrived tells of data or a connection to be taken.
func (s *sock) arrived() {
	s.queue.Wake(wait.Readable)
	s.tell(wait.In)
}

// tell signals what a reader would see himself.
func (s *sock) tell(ev wait.Events) {
	if !s.reading {
		s.async.Wake(ev)
	}
}

// roomFreed tells that more can be sent: by a signal only who had tried.
func (s *sock) roomFreed() {
	s.queue.Wake(wait.Writable)
	if s.roomWanted {
		s.roomWanted = false
		s.async.Wake(wait.Out)
	}
}

// failed tells of an error.
func (s *sock) failed() {
	s.queue.Wake(wait.Err)
	s.async.Wake(wait.Err)
}

// tellEnd tells by a signal that the peer sends nothing more, or is gone.
func (s *sock) tellEnd() {
	if s.shut == shutBoth || s.state == closed {
		s.tell(wait.Hup)
	} else {
		s.tell(wait.In)
	}
}
