package policy

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// Learner collects what programs do, to make a policy of it that allows just that. It is for the programs of machines; of
// native ones it learns the calls alone. Its methods may be called from any goroutine.
type Learner struct {
	mu    sync.Mutex
	calls map[string]bool
	files map[string]Mode
	addrs map[string]map[string]bool // the calls, by address
}

// Middleware collects what the programs do that make their calls through it. It changes nothing.
func (l *Learner) Middleware(next sysemu.Handler) sysemu.Handler {
	return sysemu.HandlerFunc(func(c *sysemu.Call) (uint64, error) {
		name := c.Name()
		if s := abi.Subcall(name, c.Arg(0)); s != "" {
			name = s
		}
		l.mu.Lock()
		if l.calls == nil {
			l.calls, l.files, l.addrs = map[string]bool{}, map[string]Mode{}, map[string]map[string]bool{}
		}
		l.calls[name] = true
		l.mu.Unlock()
		if d := abi.ByName(name); d != nil && takesPath(d) {
			c.Guard(func(a *sysemu.Access) error { l.add(name, a); return nil })
		}
		return next.ServeCall(c)
	})
}

func (l *Learner) add(call string, a *sysemu.Access) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case a.Addr != nil:
		s := addrString(a.Addr)
		if call != "bind" && a.Addr.AddrPort.IsValid() && a.Addr.AddrPort.Addr().IsUnspecified() {
			// So does match take it.
			s = fmt.Sprintf("127.0.0.1:%d", a.Addr.AddrPort.Port())
			if a.Addr.AddrPort.Addr().Is6() {
				s = fmt.Sprintf("[::1]:%d", a.Addr.AddrPort.Port())
			}
		}
		if a.Addr.AddrPort.IsValid() && a.Addr.AddrPort.Port() == 0 {
			s = strings.TrimSuffix(s, ":0") // any port
			s = strings.Trim(s, "[]")
		}
		if a.Addr.Family == unix.AF_UNIX {
			s = quoteMeta(s)
		}
		if _, err := parseAddr(s); err != nil {
			return // of a family that has no name here: it stays with the default
		}
		if l.addrs[s] == nil {
			l.addrs[s] = map[string]bool{}
		}
		l.addrs[s][call] = true
	case a.Path != "":
		l.files[a.Path] |= Mode(a.Use) & anyMode
	}
}

// always are calls that a program makes or does not as time and memory have it.
var always = []string{"brk", "clock_gettime", "clock_nanosleep", "futex", "getpid", "gettid", "gettimeofday", "madvise", "mmap", "mprotect", "mremap", "munmap",
	"nanosleep", "poll", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sched_yield", "set_robust_list", "exit", "exit_group", "restart_syscall"}

// Policy is what was learnt: the default is to deny with EPERM. Of files the names are made more general where that is
// safe to do and a second run would use others:
//
//   - processes' and terminals' numbers: /proc/*/stat, /dev/pts/*;
//   - what is written in /tmp, /var/tmp and /dev/shm has any name there: /tmp/*, /tmp/*/out;
//   - directories below /usr, /lib, /opt and the like of which eight files or more were only read.
//
// What was done with a file, under one call, is allowed under every call for files that was made. Arguments other than files
// and addresses are not looked at. A few calls are allowed though they were not made, since programs make them as memory and
// time have it.
func (l *Learner) Policy() *Policy {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &Policy{Default: Deny, Errno: unix.EPERM}
	plain := map[string]bool{}
	for _, c := range always {
		plain[c] = true
	}
	var onFiles, onAddrs []string
	for _, name := range slices.Sorted(maps.Keys(l.calls)) {
		switch d := abi.ByName(name); {
		case d == nil: // a number that is no call: ENOSYS or EPERM
		case takesAddr(d):
			onAddrs = append(onAddrs, name)
			onFiles = append(onFiles, name) // sockets in the file system
		case takesPath(d):
			onFiles = append(onFiles, name)
		default:
			plain[name] = true
		}
	}
	p.Rules = append(p.Rules, Rule{Action: Allow, Calls: strings.Join(slices.Sorted(maps.Keys(plain)), ",")})
	byMode := map[Mode][]string{}
	for name, m := range generalized(l.files) {
		byMode[m] = append(byMode[m], name)
	}
	if len(byMode) == 0 {
		byMode[Look] = []string{"none"}
	}
	if len(onFiles) > 0 {
		for _, m := range slices.Sorted(maps.Keys(byMode)) {
			slices.Sort(byMode[m])
			p.Rules = append(p.Rules, Rule{Action: Allow, Calls: strings.Join(onFiles, ","), Mode: m, Paths: byMode[m]})
		}
	}
	byCalls := map[string][]string{}
	for addr, calls := range l.addrs {
		k := strings.Join(slices.Sorted(maps.Keys(calls)), ",")
		byCalls[k] = append(byCalls[k], addr)
	}
	for _, k := range slices.Sorted(maps.Keys(byCalls)) {
		slices.Sort(byCalls[k])
		p.Rules = append(p.Rules, Rule{Action: Allow, Calls: k, Addrs: byCalls[k]})
	}
	if len(onAddrs) > 0 { // without an address, too
		p.Rules = append(p.Rules, Rule{Action: Allow, Calls: strings.Join(onAddrs, ","), Addrs: []string{"none"}})
	}
	return p
}

var (
	procNumber = regexp.MustCompile(`^/proc/[0-9]+(/|$)`)
	taskNumber = regexp.MustCompile(`^(/proc/\*/(?:task|fd|fdinfo))/[0-9]+(/|$)`)
	ptsNumber  = regexp.MustCompile(`^/dev/pts/[0-9]+$`)
	temporary  = regexp.MustCompile(`^(/tmp|/var/tmp|/dev/shm)/[^/]+`)
	system     = regexp.MustCompile(`^/(usr|lib|lib32|lib64|bin|sbin|opt|nix|sys)/.`)
)

// manyFiles is how many files of a directory stand for all of it.
const manyFiles = 8

// generalized makes patterns of names.
func generalized(files map[string]Mode) map[string]Mode {
	out := map[string]Mode{}
	dirs := map[string]int{}
	for name, m := range files {
		if m&(Write|Exec) == 0 && system.MatchString(name) {
			dirs[path.Dir(name)]++
		}
	}
	for name, m := range files {
		s := quoteMeta(name)
		switch {
		case m&Write != 0 && temporary.MatchString(name):
			s = temporary.ReplaceAllString(s, "$1/*")
		case procNumber.MatchString(name):
			s = procNumber.ReplaceAllString(s, "/proc/*$1")
			s = taskNumber.ReplaceAllString(s, "$1/*$2")
		case ptsNumber.MatchString(name):
			s = "/dev/pts/*"
		case m&(Write|Exec) == 0 && system.MatchString(name) && dirs[path.Dir(name)] >= manyFiles:
			s = quoteMeta(path.Dir(name)) + "/*"
			m |= Read | Look
		}
		if _, err := parseGlob(s); err != nil {
			continue // a place that has no name: it stays with the default
		}
		out[s] |= m
	}
	return out
}

// quoteMeta quotes what would be a pattern.
func quoteMeta(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}
