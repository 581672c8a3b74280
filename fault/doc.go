// Package fault makes system calls go wrong as rules say: with an error, late, in part, with a signal. It is middleware for
// machines of package sysemu, and tells what a program makes of it.
//
//	r, err := fault.Parse("write:path=*.db:error=ENOSPC:when=3+")
//	...
//	in, err := fault.New(r)
//	...
//	m, err := sysemu.New(sysemu.WithMiddleware(in.Middleware))
//
// Rules are read by [Parse], whose language is that of strace -e inject= and more, or are made in Go. For native programs
// what takes other calls than the program's own has no effect: signals and torn writes.
package fault
