package loader

import (
	"bytes"

	"golang.org/x/sys/unix"
)

// Script is a "#!" line.
type Script struct {
	Interp string // "" is the working directory
	Arg    string // the one argument, which may contain spaces
	HasArg bool   // an empty one is possible: a space and then the end of the file
}

// ParseScript reads the "#!" line at the head of a file. It is nil when the
// head does not begin with one, ENOEXEC when the line names no interpreter or
// the name does not end within the head.
func ParseScript(head [HeadSize]byte) (*Script, error) {
	if head[0] != '#' || head[1] != '!' {
		return nil, nil
	}
	// A zero byte ends the text as it does for C, but not the search for
	// an interpreter in a line that has no end.
	line := head[2:]
	if i := bytes.IndexAny(line, "\n\x00"); i >= 0 && line[i] == '\n' {
		line = line[:i]
	} else {
		name := bytes.TrimLeft(line, " \t")
		if len(name) == 0 || bytes.IndexAny(name, " \t\x00") < 0 {
			return nil, unix.ENOEXEC
		}
		line = line[:len(line)-1] // Linux puts a zero there
	}
	line = bytes.Trim(line, " \t")
	if len(line) == 0 {
		return nil, unix.ENOEXEC
	}
	s := &Script{}
	end := bytes.IndexAny(line, " \t\x00")
	if end < 0 {
		s.Interp = string(line)
		return s, nil
	}
	s.Interp = string(line[:end])
	if line[end] != 0 {
		arg, _, _ := bytes.Cut(bytes.TrimLeft(line[end:], " \t"), []byte{0})
		s.Arg, s.HasArg = string(arg), true
	}
	return s, nil
}

// Argv is the argument vector of the interpreter of a script that was to be
// executed as path with argv.
func (s *Script) Argv(path string, argv []string) []string {
	out := []string{s.Interp}
	if s.HasArg {
		out = append(out, s.Arg)
	}
	out = append(out, path)
	if len(argv) > 1 {
		out = append(out, argv[1:]...)
	}
	return out
}
