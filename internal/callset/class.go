package callset

import (
	"strings"

	"github.com/sysemu/sysemu/abi"
)

// attribute reports whether a call of the group of processes is about what they are.
func attribute(c *abi.Call) bool {
	for _, p := range []string{"get", "set", "arch_prctl", "prctl", "personality", "kcmp", "ptrace", "unshare"} {
		if strings.HasPrefix(c.Name, p) && c.Name != "setns" {
			return true
		}
	}
	return false
}

// waitsForFiles reports whether a call takes sets of descriptors.
func waitsForFiles(c *abi.Call) bool {
	for _, a := range c.Args {
		if b := a.Kind.Base(); b == abi.PollfdArray || b == abi.FdSetPtr {
			return true
		}
	}
	return false
}

// classOf is a class of calls, by its name with or without the %.
func classOf(name string) func(*abi.Call) bool {
	percent := strings.HasPrefix(name, "%")
	group := func(g abi.Group) func(*abi.Call) bool {
		return func(c *abi.Call) bool { return c.Groups()&g != 0 }
	}
	names := func(list ...string) func(*abi.Call) bool {
		return func(c *abi.Call) bool {
			for _, n := range list {
				if c.Name == n {
					return true
				}
			}
			return false
		}
	}
	switch strings.TrimPrefix(name, "%") {
	case "file":
		return group(abi.GroupFile)
	case "process":
		// strace's is about life alone: identity and attributes are not in it.
		return func(c *abi.Call) bool {
			return c.Groups()&abi.GroupProcess != 0 && !attribute(c)
		}
	case "network", "net":
		return group(abi.GroupNetwork)
	case "signal":
		return group(abi.GroupSignals)
	case "ipc":
		return group(abi.GroupIPC)
	case "desc":
		return func(c *abi.Call) bool {
			switch {
			case waitsForFiles(c) || strings.HasPrefix(c.Name, "sendfile"):
				return true
			case c.Group&abi.GroupNetwork != 0: // sockets are descriptors too; strace leaves them to %network
				return false
			}
			return c.Groups()&abi.GroupDesc != 0
		}
	case "memory":
		return group(abi.GroupMemory)
	}
	if !percent {
		return nil
	}
	stat, lstat := []string{"stat", "stat64", "oldstat"}, []string{"lstat", "lstat64", "oldlstat"}
	fstat := []string{"fstat", "fstat64", "oldfstat", "fstatat64", "newfstatat", "statx"}
	statfs, fstatfs := []string{"statfs", "statfs64"}, []string{"fstatfs", "fstatfs64"}
	switch name {
	case "%creds":
		return func(c *abi.Call) bool { return c.Groups()&abi.GroupCreds != 0 || c.Name == "prctl" }
	case "%clock":
		return names("clock_gettime", "clock_settime", "clock_getres", "clock_adjtime", "adjtimex", "gettimeofday", "settimeofday", "time", "stime",
			"clock_gettime64", "clock_settime64", "clock_getres_time64", "clock_adjtime64")
	case "%sched":
		return group(abi.GroupSched)
	case "%stat":
		return names(stat...)
	case "%lstat":
		return names(lstat...)
	case "%fstat":
		return names(fstat...)
	case "%%stat":
		return names(append(append(stat, lstat...), fstat...)...)
	case "%statfs":
		return names(statfs...)
	case "%fstatfs":
		return names(fstatfs...)
	case "%%statfs":
		return names(append(append(statfs, fstatfs...), "ustat")...)
	case "%pure":
		return func(c *abi.Call) bool { return len(c.Args) == 0 && strings.HasPrefix(c.Name, "get") }
	}
	return nil
}
