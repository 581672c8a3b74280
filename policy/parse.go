package policy

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// ParseError says what is wrong with a text, and where.
type ParseError struct {
	Line, Column int // from 1, in bytes
	Reason       string
}

func (e *ParseError) Error() string {
	return fmt.Sprintf("policy: line %d, column %d: %s", e.Line, e.Column, e.Reason)
}

// word is a part of a line: its text without quotes, and where it stands.
type word struct {
	text         string
	line, column int
}

func (w word) error(at int, reason string) error { return &ParseError{w.line, w.column + at, reason} }

// Parse reads a policy's text. Its error is a *ParseError. Without a line that says otherwise the default is to allow.
func Parse(text string) (*Policy, error) {
	p := &Policy{}
	var rule []word
	haveDefault := false
	flush := func() error {
		if len(rule) == 0 {
			return nil
		}
		words := rule
		rule = nil
		if words[0].text == "default" {
			if haveDefault {
				return words[0].error(0, "there is a default already")
			}
			haveDefault = true
			return p.parseDefault(words)
		}
		return p.parseRule(words)
	}
	for i, line := range strings.Split(text, "\n") {
		words, err := split(line, i+1)
		if err != nil {
			return nil, err
		}
		if len(words) == 0 {
			continue
		}
		if line[0] == ' ' || line[0] == '\t' {
			if len(rule) == 0 {
				return nil, words[0].error(0, "a line that begins with white space goes on with a rule, and there is none")
			}
		} else if err := flush(); err != nil {
			return nil, err
		}
		rule = append(rule, words...)
	}
	if err := flush(); err != nil {
		return nil, err
	}
	return p, nil
}

// split splits a line in words. A part of one may be quoted as in Go.
func split(line string, number int) (words []word, err error) {
	for i := 0; i < len(line); {
		switch c := line[i]; {
		case c == ' ' || c == '\t' || c == '\r':
			i++
			continue
		case c == '#':
			return words, nil
		}
		w := word{line: number, column: i + 1}
		for i < len(line) && line[i] != ' ' && line[i] != '\t' && line[i] != '\r' {
			if line[i] != '"' {
				w.text += line[i : i+1]
				i++
				continue
			}
			q, err := strconv.QuotedPrefix(line[i:])
			if err != nil {
				return nil, &ParseError{number, i + 1, "a quoted string does not end"}
			}
			s, _ := strconv.Unquote(q)
			w.text += s
			i += len(q)
		}
		words = append(words, w)
	}
	return words, nil
}

// quote writes s so that split gives it back.
func quote(s string) string {
	if s == "" || strings.ContainsAny(s, "\" \t\r\n#\\") || !strconv.CanBackquote(s) {
		return strconv.Quote(s)
	}
	return s
}

// parseErrno reads the name or number of an error; "" is 0.
func parseErrno(s string) (syscall.Errno, error) {
	if s == "" {
		return 0, nil
	}
	if n, err := strconv.Atoi(s); err == nil && n > 0 && n < 4096 {
		return syscall.Errno(n), nil
	}
	if e, ok := errnos[s]; ok {
		return e, nil
	}
	return 0, fmt.Errorf("no such error: %q", s)
}

var errnos = func() map[string]syscall.Errno {
	m := map[string]syscall.Errno{"ENOTSUP": unix.EOPNOTSUPP, "EDEADLOCK": unix.EDEADLK, "EWOULDBLOCK": unix.EAGAIN}
	for e := syscall.Errno(1); e < 200; e++ {
		if n := unix.ErrnoName(e); n != "" {
			m[n] = e
		}
	}
	return m
}()

// parseAction reads an action and, of deny, its errno.
func parseAction(words []word) (a Action, e syscall.Errno, rest []word, err error) {
	if err := a.UnmarshalText([]byte(words[0].text)); err != nil {
		return 0, 0, nil, words[0].error(0, strings.TrimPrefix(err.Error(), "policy: "))
	}
	rest = words[1:]
	if a == Deny && len(rest) > 0 {
		// No call's name begins so.
		if s := rest[0].text; len(s) > 1 && s[0] == 'E' && s[1] >= 'A' && s[1] <= 'Z' || errnoNumber(s) && len(rest) > 1 && !strings.Contains(rest[1].text, "=") {
			if e, err = parseErrno(s); err != nil {
				return 0, 0, nil, rest[0].error(0, err.Error())
			}
			rest = rest[1:]
		}
	}
	return a, e, rest, nil
}

func errnoNumber(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n > 0 && n < 4096
}

func (p *Policy) parseDefault(words []word) error {
	if len(words) < 2 {
		return words[0].error(len("default"), "an action is missing")
	}
	a, e, rest, err := parseAction(words[1:])
	if err != nil {
		return err
	}
	if a == Deny && len(rest) == 1 && errnoNumber(rest[0].text) {
		e, _ = parseErrno(rest[0].text)
		rest = nil
	}
	if len(rest) > 0 {
		return rest[0].error(0, fmt.Sprintf("nothing may follow here: %q", rest[0].text))
	}
	if a == Log || a == Ask {
		return words[1].error(0, "the default is to allow, to deny or to kill")
	}
	p.Default, p.Errno = a, e
	return nil
}

func (p *Policy) parseRule(words []word) error {
	a, e, rest, err := parseAction(words)
	if err != nil {
		return err
	}
	r := Rule{Action: a, Errno: e}
	if len(rest) == 0 {
		last := words[len(words)-1]
		return last.error(len(last.text), "the calls are missing")
	}
	r.Calls = rest[0].text
	var c rule
	if at, err := c.setCalls(r.Calls); err != nil {
		return rest[0].error(at, err.Error())
	}
	for _, w := range rest[1:] {
		key, value, ok := strings.Cut(w.text, "=")
		at := len(key) + 1
		if name, isArg := strings.CutPrefix(w.text, "arg."); isArg {
			if err := c.addArg(name); err != nil {
				return w.error(len("arg."), err.Error())
			}
			r.Args = append(r.Args, name)
			continue
		}
		if !ok {
			return w.error(0, fmt.Sprintf("%q is no condition (there are path=, mode=, addr=, user= and arg.NAME=)", w.text))
		}
		switch key {
		case "path":
			err = c.addPath(value)
			r.Paths = append(r.Paths, value)
		case "mode":
			if err = r.Mode.UnmarshalText([]byte(value)); err == nil {
				err = c.setMode(r.Mode)
			}
			if value == "" {
				err = fmt.Errorf("a mode is missing")
			}
		case "addr":
			err = c.addAddr(value)
			r.Addrs = append(r.Addrs, value)
		case "user":
			var n uint64
			if n, err = strconv.ParseUint(value, 10, 32); err != nil {
				err = fmt.Errorf("%q is not the number of a user", value)
			}
			r.Users = append(r.Users, uint32(n))
		default:
			return w.error(0, fmt.Sprintf("no such condition: %q (there are path=, mode=, addr=, user= and arg.NAME=)", key))
		}
		if err != nil {
			return w.error(at, err.Error())
		}
	}
	p.Rules = append(p.Rules, r)
	return nil
}
