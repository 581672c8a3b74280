// Package tty has pseudo-terminals: pty(7), termios(3), ioctl_tty(2), and the
// file system that names them, devpts.
//
// Contract: guarded by the kernel lock. A TTY is a pair: the slave, which is a
// terminal to programs, and the master, which plays the user. Between them is
// the line discipline (N_TTY). Everything happens at once, in the call that
// causes it: bytes written to the master are edited, echoed and turned into
// signals before Write returns.
//
// # What is where
//
//   - tty.go: TTY, its state, hanging up; fifo.go: the two byte queues
//   - input.go, edit.go: what becomes of a byte typed; output.go: of one
//     printed; read.go: reading lines or by VMIN and VTIME
//   - slave.go, master.go: the open files; ioctl.go, termios.go, job.go
//   - devpts.go: FS, /dev/ptmx, /dev/tty; console.go: the master for an
//     embedding program's goroutines; transparent.go: for one that has a
//     terminal of its own
package tty
