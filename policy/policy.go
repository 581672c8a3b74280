// Package policy says which system calls a program may make, on which files and addresses, and what becomes of the
// others. A [Policy] is an ordered list of rules, read from a text or made in Go; [Middleware] applies it to the programs
// of a machine; a [Learner] writes one that allows just what a run has done.
//
//	# A program that reads the system and writes below /work.
//	default deny EPERM
//	allow  !%file,%network,ptrace
//	allow  %file  mode=rx  path=/usr/**  path=/lib/**  path=/etc/ld.so.cache
//	allow  %file  mode=rw  path=/work/**
//	kill   ptrace
//
// # Rules
//
// The first rule that matches a call decides, and the default if there is none; log only tells, and the search goes on. A
// rule names calls as strace's -e trace= does: names, numbers, /regex, classes such as %file, name@32 for one table, all,
// and ! before the whole; then come conditions, all of which must hold:
//
//	path=GLOB      the file: * and ? match within a name, ** any number of names; /d/** is /d, too. path=none is no file
//	mode=rwxs      what is done with the file: read, write, execute, look at
//	addr=ADDR      a socket's address: 10.0.0.0/8, 127.0.0.1:80, [::1]:8000-8080, *:53, unix:GLOB, unix:@NAME, inet,
//	               inet6, unix, netlink; addr=none is no address
//	user=UID       the real user
//	arg.NAME=N     an argument, as its call's man page calls it: also !=, <, <=, > and >=, and arg.NAME&MASK=N; numbers
//	               may be names, such as O_CREAT
//
// Of several path=, addr= or user= one must hold, of several arg. all. An allow rule with a mode matches what does no more
// than that (s goes with each of the others), any other rule what does any of it.
//
// A text has one rule a line; a line that begins with white space goes on with the rule before. # begins a comment.
//
// # What is guaranteed
//
// In a machine, path and addr are checked by the kernel where it uses the file or the address, by [sysemu.Call.Guard]:
// when all links have been followed, in the name as seen from the root of all mounts. What was checked is what is
// used, whatever other threads do to memory, names, links, directories and descriptors. Arguments are those of the registers,
// at the width that the call takes them. i386's socketcall and ipc are the calls that they stand for, too; int $0x80 gives a
// program no call that has another name here.
//
// What a rule with a path does not do: names are not a file's only way in. A file that is open already, or handed on
// over a socket, is not checked again. A file has as many names as hard links and bind mounts, and rules are about each; but a
// link, a rename or a mount needs the right to read and write the old name and to write the new one, and a directory
// is only moved (EXDEV otherwise, at which mv copies) where one rule speaks for all that is in it. Whether a
// name exists can be found out. The program that [sysemu.Cmd] itself starts is not asked about.
//
// The host serves the calls of native programs ([sysemu.Attach]): nothing holds a name there between check and use. So a
// rule with a path or an address allows a native program nothing, and denies it the whole call.
package policy

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"

	"github.com/sysemu/sysemu"
	"golang.org/x/sys/unix"
)

// Action is what becomes of a call.
type Action uint8

const (
	Allow Action = iota // the next handler serves it
	Deny                // it fails with an errno
	Kill                // the process ends by SIGSYS, as of a seccomp filter
	Log                 // it is told, and the next rule decides
	Ask                 // a Go function decides: see WithAsk
)

var actionNames = [...]string{Allow: "allow", Deny: "deny", Kill: "kill", Log: "log", Ask: "ask"}

func (a Action) String() string {
	if int(a) < len(actionNames) {
		return actionNames[a]
	}
	return fmt.Sprintf("Action(%d)", uint8(a))
}

// MarshalText gives the name that String gives.
func (a Action) MarshalText() ([]byte, error) {
	if int(a) >= len(actionNames) {
		return nil, fmt.Errorf("policy: no such action: %d", a)
	}
	return []byte(a.String()), nil
}

// UnmarshalText is the reverse of MarshalText.
func (a *Action) UnmarshalText(text []byte) error {
	for i, n := range actionNames {
		if n == string(text) {
			*a = Action(i)
			return nil
		}
	}
	return fmt.Errorf("policy: no such action: %q (there are %s)", text, strings.Join(actionNames[:], ", "))
}

// Mode is a set of the things to be done with a file.
type Mode uint8

const (
	Look  = Mode(sysemu.UseLook)
	Read  = Mode(sysemu.UseRead)
	Write = Mode(sysemu.UseWrite)
	Exec  = Mode(sysemu.UseExec)

	anyMode = Look | Read | Write | Exec
)

const modeLetters = "srwx" // in the order of the bits

// String gives the letters of the set, such as "rw".
func (m Mode) String() string {
	s := ""
	for _, i := range []int{1, 2, 3, 0} {
		if m&(1<<i) != 0 {
			s += modeLetters[i : i+1]
		}
	}
	return s
}

// MarshalText gives the letters that String gives.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText is the reverse of MarshalText.
func (m *Mode) UnmarshalText(text []byte) error {
	*m = 0
	for _, c := range string(text) {
		i := strings.IndexRune(modeLetters, c)
		if i < 0 {
			return fmt.Errorf("no such mode: %q (there are r, w, x and s)", c)
		}
		*m |= 1 << i
	}
	return nil
}

// Rule is one rule. Its strings are as in a text: see the package's comment.
type Rule struct {
	Action Action
	Errno  syscall.Errno // of Deny; 0 is EPERM
	Calls  string        // a set of calls
	Paths  []string      // globs
	Mode   Mode          // 0 is any
	Addrs  []string
	Args   []string // conditions on arguments, without "arg."
	Users  []uint32
}

// Policy is an ordered list of rules.
type Policy struct {
	Rules   []Rule
	Default Action        // of a call that no rule decides: Allow, Deny or Kill
	Errno   syscall.Errno // of a Default of Deny; 0 is EPERM
}

// String gives the rule as a text has it, in one line.
func (r *Rule) String() string { return r.text(" ") }

// text puts sep before each path and address, if there are several.
func (r *Rule) text(sep string) string {
	var b strings.Builder
	b.WriteString(r.Action.String())
	if r.Action == Deny && r.Errno != 0 {
		b.WriteString(" " + errnoName(r.Errno))
	}
	b.WriteString(" " + quote(r.Calls))
	for _, u := range r.Users {
		fmt.Fprintf(&b, " user=%d", u)
	}
	for _, a := range r.Args {
		b.WriteString(" arg." + quote(a))
	}
	if r.Mode != 0 {
		b.WriteString(" mode=" + r.Mode.String())
	}
	if len(r.Paths)+len(r.Addrs) < 2 {
		sep = " "
	}
	for _, p := range r.Paths {
		b.WriteString(sep + "path=" + quote(p))
	}
	for _, a := range r.Addrs {
		b.WriteString(sep + "addr=" + quote(a))
	}
	return b.String()
}

// String gives the policy as a text that Parse reads.
func (p *Policy) String() string {
	var b strings.Builder
	b.WriteString("default " + p.Default.String())
	if p.Default == Deny && p.Errno != 0 {
		b.WriteString(" " + errnoName(p.Errno))
	}
	b.WriteString("\n")
	for i := range p.Rules {
		b.WriteString(p.Rules[i].text("\n\t") + "\n")
	}
	return b.String()
}

func errnoName(e syscall.Errno) string {
	if n := unix.ErrnoName(e); n != "" {
		return n
	}
	return fmt.Sprint(int(e))
}

// jsonRule and jsonPolicy are how a policy is in JSON.
type jsonRule struct {
	Action Action   `json:"action"`
	Errno  string   `json:"errno,omitempty"`
	Calls  string   `json:"calls"`
	Paths  []string `json:"paths,omitempty"`
	Mode   *Mode    `json:"mode,omitempty"`
	Addrs  []string `json:"addrs,omitempty"`
	Args   []string `json:"args,omitempty"`
	Users  []uint32 `json:"users,omitempty"`
}

type jsonPolicy struct {
	Default Action     `json:"default"`
	Errno   string     `json:"errno,omitempty"`
	Rules   []jsonRule `json:"rules"`
}

// MarshalJSON writes an object with the members default, errno and rules; a rule's are action, errno, calls, paths, mode,
// addrs, args and users. Errors and actions are names.
func (p Policy) MarshalJSON() ([]byte, error) {
	j := jsonPolicy{Default: p.Default, Rules: []jsonRule{}}
	if p.Errno != 0 {
		j.Errno = errnoName(p.Errno)
	}
	for _, r := range p.Rules {
		jr := jsonRule{r.Action, "", r.Calls, r.Paths, nil, r.Addrs, r.Args, r.Users}
		if r.Mode != 0 {
			jr.Mode = &r.Mode
		}
		if r.Errno != 0 {
			jr.Errno = errnoName(r.Errno)
		}
		j.Rules = append(j.Rules, jr)
	}
	return json.Marshal(j)
}

// UnmarshalJSON is the reverse of MarshalJSON. Members that are unknown are errors, and so is what Check does not
// take.
func (p *Policy) UnmarshalJSON(text []byte) error {
	var j jsonPolicy
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(&j); err != nil {
		return err
	}
	n := Policy{Default: j.Default}
	var err error
	if n.Errno, err = parseErrno(j.Errno); err != nil {
		return err
	}
	for i, jr := range j.Rules {
		r := Rule{jr.Action, 0, jr.Calls, jr.Paths, 0, jr.Addrs, jr.Args, jr.Users}
		if jr.Mode != nil {
			r.Mode = *jr.Mode
		}
		if r.Errno, err = parseErrno(jr.Errno); err != nil {
			return &RuleError{i, err.Error()}
		}
		n.Rules = append(n.Rules, r)
	}
	if err := n.Check(); err != nil {
		return err
	}
	*p = n
	return nil
}

// RuleError says what is wrong with a rule.
type RuleError struct {
	Index  int // of the rule; -1 is the default
	Reason string
}

func (e *RuleError) Error() string {
	if e.Index < 0 {
		return "policy: the default: " + e.Reason
	}
	return fmt.Sprintf("policy: rule %d: %s", e.Index, e.Reason)
}

// Check reports the first rule that is none, as a *RuleError. Parse has done it already.
func (p *Policy) Check() error {
	_, err := p.compile()
	return err
}
