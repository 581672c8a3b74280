package policy

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/callset"
)

// rule is a Rule made ready.
type rule struct {
	*Rule
	set   callset.Set
	paths []glob
	mode  Mode // of a file's uses: those that are allowed, or those that are minded
	addrs []addrPattern
	args  []argCondition
}

// setCalls sets the calls, first of all.
func (r *rule) setCalls(expr string) (at int, err error) {
	if r.set, err = callset.Parse(expr); err != nil {
		var e *callset.Error
		if errors.As(err, &e) {
			return e.Offset, err
		}
	}
	return 0, err
}

// has reports whether the rule names a call on any architecture.
func (r *rule) has(c *abi.Call) bool {
	return c.AMD64 >= 0 && r.set.Has(abi.AMD64, c.AMD64) || c.I386 >= 0 && r.set.Has(abi.I386, c.I386)
}

// hasAny reports whether it names one that ok holds of.
func (r *rule) hasAny(ok func(*abi.Call) bool) bool {
	return slices.ContainsFunc(abi.Calls, func(c abi.Call) bool { return r.has(&c) && ok(&c) })
}

func (r *rule) addPath(s string) error {
	if len(r.addrs) > 0 {
		return errors.New("a rule is about files or about addresses, not both")
	}
	if !r.hasAny(takesPath) {
		return errors.New("none of the calls takes a file's name")
	}
	g, err := parseGlob(s)
	r.paths = append(r.paths, g)
	return err
}

func (r *rule) setMode(m Mode) error {
	if m&^anyMode != 0 {
		return fmt.Errorf("no such mode: %#x", m)
	}
	if !r.hasAny(takesPath) {
		return errors.New("none of the calls takes a file's name")
	}
	r.mode = m
	return nil
}

func (r *rule) addAddr(s string) error {
	if len(r.paths) > 0 {
		return errors.New("a rule is about files or about addresses, not both")
	}
	if !r.hasAny(takesAddr) {
		return errors.New("none of the calls takes a socket's address")
	}
	a, err := parseAddr(s)
	r.addrs = append(r.addrs, a)
	return err
}

func (r *rule) addArg(s string) error {
	c, err := parseArg(s)
	if err != nil {
		return err
	}
	named := false
	for i := range abi.Calls {
		call := &abi.Calls[i]
		if !r.has(call) {
			continue
		}
		named = true
		if _, _, _, err := c.resolve(call.Args); err != nil {
			if _, _, _, err2 := c.resolve(call.ArgsOn(abi.I386)); err2 != nil {
				return fmt.Errorf("%s: %w", call.Name, err)
			}
		}
	}
	if !named {
		return errors.New("no call is named whose argument it could be")
	}
	r.args = append(r.args, c)
	return nil
}

// takesPath reports whether a call is asked about files; takesAddr, about sockets' addresses.
func takesPath(c *abi.Call) bool {
	switch c.Name {
	case "getcwd":
		return false
	case "fchmod", "fchown", "fchown32", "fsetxattr", "fremovexattr":
		return true
	}
	return c.Groups()&abi.GroupFile != 0 || takesAddr(c)
}

func takesAddr(c *abi.Call) bool {
	switch c.Name {
	case "bind", "connect", "sendto", "sendmsg", "sendmmsg", "socketcall":
		return true
	}
	return false
}

// compiled is a Policy made ready: for each call the rules that may match it.
type compiled struct {
	*Policy
	rules []*rule
	by    [2][abi.MaxNumber + 1][]*rule
	other []*rule // of numbers that are no call
}

func (p *Policy) compile() (*compiled, error) {
	if p.Default != Allow && p.Default != Deny && p.Default != Kill {
		return nil, &RuleError{-1, "it is to allow, to deny or to kill"}
	}
	if p.Errno >= 4096 {
		return nil, &RuleError{-1, "no such error"}
	}
	k := &compiled{Policy: p}
	for i := range p.Rules {
		r := &rule{Rule: &p.Rules[i]}
		if err := r.ready(); err != nil {
			return nil, &RuleError{i, err.Error()}
		}
		k.rules = append(k.rules, r)
		// Whatever names a purpose of socketcall or ipc is a rule for that, too.
		for a := range k.by {
			arch := [...]abi.Arch{abi.AMD64, abi.I386}[a]
			for nr := range k.by[a] {
				c := abi.ByNumber(arch, nr)
				if r.set.Has(arch, nr) && r.applies(c) || c != nil && r.hasSub(c) {
					k.by[a][nr] = append(k.by[a][nr], r)
				}
			}
		}
		if r.set.Has(abi.AMD64, abi.MaxNumber+1) && r.applies(nil) {
			k.other = append(k.other, r)
		}
	}
	return k, nil
}

// ready compiles the strings.
func (r *rule) ready() error {
	if int(r.Action) >= len(actionNames) {
		return fmt.Errorf("no such action: %d", r.Action)
	}
	if r.Errno != 0 && r.Action != Deny || r.Errno >= 4096 {
		return errors.New("an errno goes with deny, and is less than 4096")
	}
	if r.Calls == "" {
		return errors.New("the calls are missing")
	}
	if _, err := r.setCalls(r.Calls); err != nil {
		return err
	}
	mode := r.Mode
	if mode != 0 {
		if err := r.setMode(mode); err != nil {
			return err
		}
	}
	for _, l := range []struct {
		list []string
		add  func(string) error
	}{{r.Paths, r.addPath}, {r.Addrs, r.addAddr}, {r.Args, r.addArg}} {
		for _, s := range l.list {
			if err := l.add(s); err != nil {
				return err
			}
		}
	}
	if r.mode == 0 {
		r.mode = anyMode
	} else if r.Action == Allow && r.mode&^Look != 0 {
		r.mode |= Look
	}
	return nil
}

// applies reports whether the rule's conditions can hold of a call that it names: nil is a number that is none.
func (r *rule) applies(c *abi.Call) bool {
	if c == nil {
		return !r.onFiles() && len(r.addrs) == 0 && len(r.args) == 0
	}
	return (!r.onFiles() || takesPath(c)) && (len(r.addrs) == 0 || takesAddr(c))
}

// onFiles reports whether the rule is about files.
func (r *rule) onFiles() bool { return len(r.paths) > 0 || r.Mode != 0 }

// hasSub reports whether the rule names something that socketcall or ipc can be.
func (r *rule) hasSub(c *abi.Call) bool {
	if c.Name != "socketcall" && c.Name != "ipc" {
		return false
	}
	for op := range uint64(32) {
		if s := abi.ByName(abi.Subcall(c.Name, op)); s != nil && r.has(s) && r.applies(s) {
			return true
		}
	}
	return false
}

// callNames are the calls that rules name, if it is enough to look at those.
func (k *compiled) callNames() (names []string, enough bool) {
	if k.Default != Allow || len(k.other) > 0 {
		return nil, false
	}
	for i := range abi.Calls {
		c := &abi.Calls[i]
		if c.AMD64 >= 0 && len(k.by[0][c.AMD64]) > 0 || c.I386 >= 0 && len(k.by[1][c.I386]) > 0 {
			names = append(names, c.Name)
		}
	}
	// Numbers that are no call have names as these.
	for a := range k.by {
		for nr := range k.by[a] {
			if abi.ByNumber([...]abi.Arch{abi.AMD64, abi.I386}[a], nr) == nil && len(k.by[a][nr]) > 0 {
				names = append(names, fmt.Sprintf("syscall_%d", nr))
			}
		}
	}
	return slices.Compact(slices.Sorted(slices.Values(names))), true
}
