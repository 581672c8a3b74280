package sysemu

import (
	"errors"
	"io"
	"os"
)

// StdinPipe returns a pipe to the program's standard input. Wait closes it; it
// is to be closed before where the program reads to the end. It may be called
// before Start only.
func (c *Cmd) StdinPipe() (io.WriteCloser, error) {
	if c.Stdin != nil {
		return nil, errors.New("sysemu: Stdin already set")
	}
	if c.Process != nil {
		return nil, errors.New("sysemu: StdinPipe after process started")
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c.Stdin = r
	c.close = append(c.close, r)
	c.ours = append(c.ours, w)
	return w, nil
}

// StdoutPipe returns a pipe from the program's standard output. Wait closes it
// when the program has ended, so that it is to be called when all has been read;
// for the same reason Run is not for commands with a StdoutPipe. It may be called
// before Start only.
func (c *Cmd) StdoutPipe() (io.ReadCloser, error) {
	if c.Stdout != nil {
		return nil, errors.New("sysemu: Stdout already set")
	}
	if c.Process != nil {
		return nil, errors.New("sysemu: StdoutPipe after process started")
	}
	return c.outputPipe(&c.Stdout)
}

// StderrPipe is StdoutPipe for standard error.
func (c *Cmd) StderrPipe() (io.ReadCloser, error) {
	if c.Stderr != nil {
		return nil, errors.New("sysemu: Stderr already set")
	}
	if c.Process != nil {
		return nil, errors.New("sysemu: StderrPipe after process started")
	}
	return c.outputPipe(&c.Stderr)
}

func (c *Cmd) outputPipe(stream *io.Writer) (io.ReadCloser, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	*stream = w
	c.close = append(c.close, w)
	c.ours = append(c.ours, r)
	return r, nil
}

// closeOurs closes our ends of pipes, and what Start has not come to.
func (c *Cmd) closeOurs() {
	for _, f := range append(c.ours, c.close...) {
		f.Close()
	}
	c.ours, c.close = nil, nil
}
