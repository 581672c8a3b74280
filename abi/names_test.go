package abi

import (
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Numbers are written as strace writes them.
func TestFormat(t *testing.T) {
	for _, c := range []struct {
		k    Kind
		v    uint64
		want string
	}{
		{OpenFlags, 0, "O_RDONLY"},
		{OpenFlags, unix.O_RDONLY | unix.O_NONBLOCK | unix.O_CLOEXEC | unix.O_DIRECTORY, "O_RDONLY|O_NONBLOCK|O_CLOEXEC|O_DIRECTORY"},
		{OpenFlags, unix.O_RDWR | unix.O_EXCL | unix.O_TMPFILE, "O_RDWR|O_EXCL|O_TMPFILE"},
		{OpenFlags, unix.O_WRONLY | unix.O_CREAT | unix.O_TRUNC | unix.O_SYNC, "O_WRONLY|O_CREAT|O_TRUNC|O_SYNC"},
		{OpenFlags, unix.O_WRONLY | unix.O_DSYNC, "O_WRONLY|O_DSYNC"},
		{OpenFlags, unix.O_RDWR | 1<<30, "O_RDWR|0x40000000"},
		{ProtFlags, 0, "PROT_NONE"},
		{ProtFlags, 3, "PROT_READ|PROT_WRITE"},
		{ProtFlags, 0x40, "0x40 /* PROT_??? */"},
		{MapFlags, unix.MAP_PRIVATE | unix.MAP_FIXED | unix.MAP_DENYWRITE, "MAP_PRIVATE|MAP_FIXED|MAP_DENYWRITE"},
		{MapFlags, 0x20022, "MAP_PRIVATE|MAP_ANONYMOUS|MAP_STACK"},
		{MapFlags, 3, "MAP_SHARED_VALIDATE"},
		{CloneFlags, unix.CLONE_CHILD_CLEARTID | unix.CLONE_CHILD_SETTID | 17, "CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD"},
		{CloneFlags, 17, "SIGCHLD"},
		{CloneFlags, 0, "0"},
		{CloneFlags, unix.CLONE_CLEAR_SIGHAND | unix.CLONE_VM, "CLONE_VM|CLONE_CLEAR_SIGHAND"},
		{FutexOp, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, "FUTEX_WAIT_PRIVATE"},
		{FutexOp, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME, "FUTEX_WAIT_BITSET_PRIVATE|FUTEX_CLOCK_REALTIME"},
		{FutexOp, 99, "0x63 /* FUTEX_??? */"},
		{ShmgetFlags, unix.IPC_CREAT | 0600, "IPC_CREAT|0600"},
		{ShmgetFlags, 0, "000"}, {SemgetFlags, 7, "007"},
		{ShmctlCmd, unix.IPC_STAT | IPC_64, "IPC_64|IPC_STAT"},
		{SocketType, unix.SOCK_STREAM | unix.SOCK_CLOEXEC, "SOCK_STREAM|SOCK_CLOEXEC"},
		{SchedPolicy, unix.SCHED_RESET_ON_FORK, "SCHED_OTHER|SCHED_RESET_ON_FORK"},
		{WaitOptions, unix.WNOHANG | unix.WUNTRACED | unix.WCONTINUED, "WNOHANG|WSTOPPED|WCONTINUED"},
		{RusageWho, ^uint64(0), "RUSAGE_CHILDREN"},
		{AccessMode, 0, "F_OK"}, {AccessMode, 5, "R_OK|X_OK"},
		{AtStatxFlags, unix.AT_SYMLINK_NOFOLLOW, "AT_STATX_SYNC_AS_STAT|AT_SYMLINK_NOFOLLOW"},
		{StatxMask, unix.STATX_BASIC_STATS | unix.STATX_MNT_ID, "STATX_BASIC_STATS|STATX_MNT_ID"},
		{Persona, 0xffffffff, "UNAME26|ADDR_NO_RANDOMIZE|FDPIC_FUNCPTRS|MMAP_PAGE_ZERO|ADDR_COMPAT_LAYOUT|READ_IMPLIES_EXEC|ADDR_LIMIT_32BIT|SHORT_INODE|WHOLE_SECONDS|STICKY_TIMEOUTS|ADDR_LIMIT_3GB|0xf001ffff"},
		{Persona, PER_LINUX32 | ADDR_NO_RANDOMIZE, "PER_LINUX32|ADDR_NO_RANDOMIZE"},
		{MountFlags, unix.MS_BIND | unix.MS_REC, "MS_BIND|MS_REC"},
		{IoctlCmd, unix.TCGETS, "TCGETS"},
		{FcntlCmd, 9999, "0x270f /* F_??? */"},
		{ClockID, unix.CLOCK_MONOTONIC, "CLOCK_MONOTONIC"},
		{SigactionFlags, SA_RESTORER | SA_RESTART | SA_RESETHAND, "SA_RESTORER|SA_RESTART|SA_RESETHAND"},
		{Out | Whence, 2, "SEEK_END"},
	} {
		if got := c.k.Names().Format(c.v); got != c.want {
			t.Errorf("%#x is %s, not %s", c.v, got, c.want)
		}
	}
	if OpenFlags.Names().Lookup(unix.O_CREAT) != "O_CREAT" || Whence.Names().Lookup(7) != "" {
		t.Error("Lookup")
	}
	if FD.Names() != nil || StatPtr.Names() != nil {
		t.Error("a table of what has no names")
	}
	if SockOptNames(unix.SOL_SOCKET).Format(unix.SO_REUSEADDR) != "SO_REUSEADDR" || SockOptNames(12345) != nil {
		t.Error("SockOptNames")
	}
	if ProtocolNames(unix.AF_NETLINK).Format(unix.NETLINK_ROUTE) != "NETLINK_ROUTE" || ProtocolNames(unix.AF_UNIX) != nil {
		t.Error("ProtocolNames")
	}
}

// Every named Kind has a table, no value in it has two names, and its values are those of the headers.
func TestNameTables(t *testing.T) {
	values, cName := map[string]uint64{}, regexp.MustCompile(`^[A-Z_][A-Za-z0-9_]+$`)
	for k := lastScalar + 1; k < lastNamed; k++ {
		n := k.Names()
		if len(n.Enum)+len(n.Flags) == 0 && k != SockOptName {
			t.Errorf("kind %d has no names", k)
		}
		seen := map[uint64]string{}
		for _, list := range [][]Name{n.Enum, n.Flags} {
			clear(seen)
			for _, e := range list {
				if o := seen[e.Value]; o != "" {
					t.Errorf("kind %d: %s and %s are %#x", k, o, e.Name, e.Value)
				}
				seen[e.Value] = e.Name
				if !n.Wide && e.Value>>32 != 0 {
					t.Errorf("kind %d: %s is too wide", k, e.Name)
				}
				if cName.MatchString(e.Name) && k != QuotaCmd {
					if v, ok := values[e.Name]; ok && v != e.Value {
						t.Errorf("%s is %#x and %#x", e.Name, v, e.Value)
					}
					values[e.Name] = e.Value
				}
			}
		}
		if n.Mask != 0 {
			for _, e := range n.Enum {
				if e.Value&^n.Mask != 0 {
					t.Errorf("kind %d: %s is outside its mask", k, e.Name)
				}
			}
		}
	}
	source := func(missing map[string]bool) string {
		var c strings.Builder
		c.WriteString(constHeaders + "void f(void) {\n")
		for name := range values {
			if !missing[name] {
				c.WriteString(number(name, name))
			}
		}
		c.WriteString("}\n")
		return c.String()
	}
	missing := undeclared(t, source(nil))
	found := compile(t, AMD64, source(missing))
	if len(found) < len(values)*3/4 {
		t.Errorf("the headers have only %d of %d names", len(found), len(values))
	}
	for name, n := range found {
		if v := values[name]; n != v && uint32(n) != uint32(v) {
			t.Errorf("%s is %#x in the headers, %#x here", name, n, v)
		}
	}
	t.Logf("%d of %d names are in the headers", len(found), len(values))
}

// Every name that an argument needs is in reach: a Kind of the call table that IsNamed has a table.
func TestCallKindsHaveNames(t *testing.T) {
	for _, c := range Calls {
		for _, a := range append(append([]Arg{{"", c.Ret}}, c.Args...), c.Args386...) {
			if a.Kind.IsNamed() && a.Kind != SockOptName && len(a.Kind.Names().Enum)+len(a.Kind.Names().Flags) == 0 {
				t.Errorf("%s: %s has no names", c.Name, a.Name)
			}
		}
	}
}

func TestErrnoAndSignalNames(t *testing.T) {
	for e, want := range map[unix.Errno]string{unix.ENOENT: "ENOENT", unix.EAGAIN: "EAGAIN", unix.EOPNOTSUPP: "EOPNOTSUPP",
		unix.EDEADLK: "EDEADLK", ERESTARTSYS: "ERESTARTSYS", ERESTART_RESTARTBLOCK: "ERESTART_RESTARTBLOCK", 9999: ""} {
		if got := ErrnoName(e); got != want {
			t.Errorf("errno %d is %q, not %q", int(e), got, want)
		}
	}
	for s, want := range map[int]string{0: "", 1: "SIGHUP", 6: "SIGABRT", 17: "SIGCHLD", 29: "SIGIO", 31: "SIGSYS", 32: "SIGRTMIN",
		35: "SIGRT_3", 64: "SIGRT_32", 65: "", -1: ""} {
		if got := SignalName(s); got != want {
			t.Errorf("signal %d is %q, not %q", s, got, want)
		}
	}
	for _, c := range []struct {
		signo, code int32
		want        string
	}{
		{17, CLD_EXITED, "CLD_EXITED"}, {11, SEGV_MAPERR, "SEGV_MAPERR"}, {15, SI_USER, "SI_USER"}, {15, SI_TKILL, "SI_TKILL"},
		{31, SYS_SECCOMP, "SYS_SECCOMP"}, {40, POLL_IN, "POLL_IN"}, {17, 77, ""}, {14, SI_TIMER, "SI_TIMER"},
	} {
		if got := SigCodeName(c.signo, c.code); got != c.want {
			t.Errorf("code %d of signal %d is %q, not %q", c.code, c.signo, got, c.want)
		}
	}
}
