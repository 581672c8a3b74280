package abi

import "slices"

// Call describes one system call. A *Call from this package points into [Calls] and is never changed: compare calls by
// pointer.
type Call struct {
	Name     string
	AMD64    int   // number on x86-64, -1 when it has none
	I386     int   // number on i386, -1 when it has none
	Args     []Arg // arguments, in the order of the ABI
	Args386  []Arg // arguments on i386, where they differ
	Ret      Kind  // what a successful call returns; the zero Kind is a Long
	Group    Group // the groups that do not follow from the arguments; see Groups
	Obsolete bool  // Linux has the number but no longer the call: ENOSYS
}

// Arg is one argument of a system call.
type Arg struct {
	Name string
	Kind Kind
}

// Group is a set of groups of system calls: the classes by which a trace is filtered.
type Group uint16

const (
	GroupFile    Group = 1 << iota // takes a path
	GroupDesc                      // takes or returns a file descriptor
	GroupProcess                   // life and identity of processes
	GroupSignals
	GroupIPC // System V
	GroupNetwork
	GroupMemory
	GroupCreds
	GroupClock
	GroupSched
	GroupAIO
	GroupKeys
)

// MaxNumber is the highest system call number on either architecture.
const MaxNumber = 466

var (
	byNumber64, byNumber32 = index()
	byName                 = indexNames()
)

func index() (a, i [MaxNumber + 1]*Call) {
	for k := range Calls {
		c := &Calls[k]
		if c.AMD64 >= 0 {
			a[c.AMD64] = c
		}
		if c.I386 >= 0 {
			i[c.I386] = c
		}
	}
	return
}

func indexNames() map[string]*Call {
	m := make(map[string]*Call, len(Calls))
	for k := range Calls {
		m[Calls[k].Name] = &Calls[k]
	}
	return m
}

// ByNumber returns the call that nr enters on arch, nil when there is none.
func ByNumber(arch Arch, nr int) *Call {
	if uint(nr) > MaxNumber {
		return nil
	}
	switch arch {
	case AMD64:
		return byNumber64[nr]
	case I386:
		return byNumber32[nr]
	}
	return nil
}

// ByName returns the call of that name, nil when there is none.
func ByName(name string) *Call { return byName[name] }

// Number is the call's number on arch, -1 when it has none there.
func (c *Call) Number(arch Arch) int {
	switch arch {
	case AMD64:
		return c.AMD64
	case I386:
		return c.I386
	}
	return -1
}

// ArgsOn are the call's arguments on arch.
func (c *Call) ArgsOn(arch Arch) []Arg {
	if arch == I386 && c.Args386 != nil {
		return c.Args386
	}
	return c.Args
}

// Groups are all groups that the call belongs to.
func (c *Call) Groups() Group {
	g := c.Group
	if c.Ret == FD {
		g |= GroupDesc
	}
	for _, a := range slices.Concat(c.Args, c.Args386) {
		switch a.Kind.Base() {
		case FD, DirFD, FDPair:
			g |= GroupDesc
		case Path:
			g |= GroupFile
		}
	}
	return g
}

func (c *Call) String() string { return c.Name }
