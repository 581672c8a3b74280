package kernel

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/sysemu/sysemu/internal/fs/pseudofs"
	"github.com/sysemu/sysemu/internal/mm"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// The files of /proc/PID and /proc/PID/task/TID.

func init() {
	dir := func(name string, mode uint32, make func(pf *procFS, e procEntry, n pseudofs.Node) vfs.Inode) procFile {
		return procFile{name, unix.S_IFDIR, mode, 0, make}
	}
	only := func(form uint64, f procFile) procFile {
		f.only = form
		return f
	}
	text := func(name, s string) procFile {
		return procText(name, 0o444, func(_ vfs.Context, _ procEntry, w *bytes.Buffer) error {
			w.WriteString(s)
			return nil
		})
	}
	addProcFiles(
		only(procProcess, dir("task", 0o555, func(pf *procFS, e procEntry, n pseudofs.Node) vfs.Inode { return pf.taskDir(e, n) })),
		dir("fd", 0o500, func(pf *procFS, e procEntry, n pseudofs.Node) vfs.Inode { return pf.fdDir(e, n, false) }),
		dir("fdinfo", 0o555, func(pf *procFS, e procEntry, n pseudofs.Node) vfs.Inode { return pf.fdDir(e, n, true) }),
		dir("ns", 0o511, func(pf *procFS, e procEntry, n pseudofs.Node) vfs.Inode { return pf.nsDir(e, n) }),
		dir("net", 0o555, func(pf *procFS, _ procEntry, _ pseudofs.Node) vfs.Inode { return pf.net }),
		procMemoryOf("environ", 0o400, procEnviron),
		procMemoryOf("auxv", 0o400, func(_ vfs.Context, e procEntry, w *bytes.Buffer) error {
			if s := e.space(); s != nil {
				w.Write(s.Auxv)
			}
			return nil
		}),
		procText("status", 0o444, procStatus),
		procSecret("personality", 0o400, func(_ vfs.Context, e procEntry, w *bytes.Buffer) error {
			fmt.Fprintf(w, "%08x\n", e.task().attrs.personality)
			return nil
		}),
		procText("limits", 0o444, procLimits),
		procWritable(procText("comm", 0o644, func(_ vfs.Context, e procEntry, w *bytes.Buffer) error {
			w.WriteString(e.task().comm + "\n")
			return nil
		}), procSetComm),
		procSecret("syscall", 0o400, procSyscall),
		procText("cmdline", 0o444, procCmdline),
		procText("stat", 0o444, procStatLine),
		procText("statm", 0o444, procStatm),
		procMemoryOf("maps", 0o444, procMaps),
		only(procThread, procText("children", 0o444, func(_ vfs.Context, e procEntry, w *bytes.Buffer) error {
			if e.task() == e.p.leader || e.p.leader == nil {
				for _, c := range e.p.children {
					fmt.Fprintf(w, "%d ", c.pid)
				}
			}
			return nil
		})),
		procFile{"mem", unix.S_IFREG, 0o600, 0, newProcMem},
		procMagic("cwd", func(e procEntry) (vfs.Path, error) { return e.stands(func(f *fsInfo) vfs.Path { return f.cwd }) }),
		procMagic("root", func(e procEntry) (vfs.Path, error) { return e.stands(func(f *fsInfo) vfs.Path { return f.root }) }),
		procMagic("exe", func(e procEntry) (vfs.Path, error) {
			if e.p.exe == nil {
				return vfs.Path{}, unix.ENOENT
			}
			return e.p.exe.Path, nil
		}),
		procText("mounts", 0o444, func(ctx vfs.Context, e procEntry, w *bytes.Buffer) error {
			ns, root := e.mounts()
			w.WriteString(ns.ProcMounts(root))
			return nil
		}),
		procText("mountinfo", 0o444, func(ctx vfs.Context, e procEntry, w *bytes.Buffer) error {
			ns, root := e.mounts()
			w.WriteString(ns.MountInfo(ctx, root))
			return nil
		}),
		only(procProcess, procText("mountstats", 0o400, func(ctx vfs.Context, e procEntry, w *bytes.Buffer) error {
			ns, root := e.mounts()
			for _, line := range strings.Split(strings.TrimSuffix(ns.ProcMounts(root), "\n"), "\n") {
				if f := strings.Fields(line); len(f) > 2 {
					fmt.Fprintf(w, "device %s mounted on %s with fstype %s\n", f[0], f[1], f[2])
				}
			}
			return nil
		})),
		procMemoryOf("smaps", 0o444, func(ctx vfs.Context, e procEntry, w *bytes.Buffer) error { return procSmaps(ctx, e, w, false) }),
		procMemoryOf("smaps_rollup", 0o444, func(ctx vfs.Context, e procEntry, w *bytes.Buffer) error { return procSmaps(ctx, e, w, true) }),
		procText("wchan", 0o444, func(ctx vfs.Context, e procEntry, w *bytes.Buffer) error {
			if x := e.task().tracee; x != nil && x.stopped && e.inspect(ctx) == nil {
				w.WriteString("ptrace_stop")
				return nil
			}
			w.WriteString("0")
			return nil
		}),
		procSecret("stack", 0o400, func(vfs.Context, procEntry, *bytes.Buffer) error { return nil }),
		text("schedstat", "0 0 0\n"),
		text("cpuset", "/\n"),
		text("cgroup", "0::/\n"),
		procText("oom_score", 0o444, func(_ vfs.Context, e procEntry, w *bytes.Buffer) error {
			fmt.Fprintf(w, "%d\n", max(666+e.p.oomScoreAdj*2/3, 0))
			return nil
		}),
		procWritable(procText("oom_score_adj", 0o644, func(_ vfs.Context, e procEntry, w *bytes.Buffer) error {
			fmt.Fprintf(w, "%d\n", e.p.oomScoreAdj)
			return nil
		}), procSetOOM),
		text("loginuid", "4294967295"),
		text("sessionid", "4294967295"),
		procSecret("io", 0o400, func(_ vfs.Context, e procEntry, w *bytes.Buffer) error {
			for _, n := range []string{"rchar", "wchar", "syscr", "syscw", "read_bytes", "write_bytes", "cancelled_write_bytes"} {
				fmt.Fprintf(w, "%s: 0\n", n)
			}
			return nil
		}),
		text("uid_map", "         0          0 4294967295\n"),
		text("gid_map", "         0          0 4294967295\n"),
		text("projid_map", "         0          0 4294967295\n"),
		text("setgroups", "allow\n"),
		only(procProcess, text("coredump_filter", "00000033\n")),
	)
}

// stands returns a place of the task's, borrowed.
func (e procEntry) stands(f func(*fsInfo) vfs.Path) (vfs.Path, error) {
	fs := e.task().fs
	if fs == nil || !fs.root.Valid() {
		return vfs.Path{}, unix.ENOENT
	}
	return f(fs), nil
}

// mounts is the tree of mounts that the entry sees, and its root.
func (e procEntry) mounts() (*vfs.Namespace, vfs.Path) {
	t := e.task()
	if t.fs == nil || !t.fs.root.Valid() {
		t = e.p.k.boot
	}
	return t.mountNamespace(), t.fs.root
}

func procSetComm(ctx vfs.Context, e procEntry, text string) error {
	if ctx.(*Task).p != e.p {
		return unix.EINVAL
	}
	text, _, _ = strings.Cut(text, "\x00")
	e.task().setComm(strings.TrimSuffix(text, "\n"))
	return nil
}

func procSetOOM(ctx vfs.Context, e procEntry, text string) error {
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || n < -1000 || n > 1000 {
		return unix.EINVAL
	}
	if n < e.p.oomScoreAdj && n < 0 && !ctx.Cred().Has(unix.CAP_SYS_RESOURCE) {
		return unix.EACCES
	}
	e.p.oomScoreAdj = n
	return nil
}

// procMaxText is the most of a process's memory that one file shows: the
// longest arguments that exec takes.
const procMaxText = 6 << 20

// procMemory reads a range of the entry's memory, as much as can be read.
func (e procEntry) memory(from, to uint64) []byte {
	t := e.live()
	if t == nil || t.th == nil || to <= from {
		return nil
	}
	b := make([]byte, min(to-from, procMaxText))
	n, _ := t.remote(from, b, false)
	return b[:max(n, 0)]
}

// procCmdline shows the arguments. A program that has overwritten the last
// NUL has a title of its own, which may go on into its environment.
func procCmdline(_ vfs.Context, e procEntry, w *bytes.Buffer) error {
	s := e.space()
	if s == nil {
		return nil
	}
	args := e.memory(s.ArgStart, s.ArgEnd)
	if n := len(args); n > 0 && uint64(n) == s.ArgEnd-s.ArgStart && args[n-1] != 0 {
		end := s.ArgEnd
		if s.EnvStart == s.ArgEnd {
			end = s.EnvEnd
		}
		title, _, _ := bytes.Cut(e.memory(s.ArgStart, min(end, s.ArgEnd+mm.PageSize)), []byte{0})
		args = append(title, 0)
	}
	w.Write(args)
	return nil
}

func procEnviron(_ vfs.Context, e procEntry, w *bytes.Buffer) error {
	if s := e.space(); s != nil {
		w.Write(e.memory(s.EnvStart, s.EnvEnd))
	}
	return nil
}

func procSyscall(_ vfs.Context, e procEntry, w *bytes.Buffer) error {
	t := e.task()
	if t.state != blocked || t.th == nil {
		w.WriteString("running\n")
		return nil
	}
	r := t.th.Regs()
	c := Call{Task: t, Arch: t.arch}
	c.decode()
	if c.Nr < 0 {
		fmt.Fprintf(w, "%d %#x %#x\n", c.Nr, r.Rsp, r.Rip)
		return nil
	}
	fmt.Fprintf(w, "%d", c.Nr)
	for _, a := range c.Args {
		fmt.Fprintf(w, " %#x", a)
	}
	fmt.Fprintf(w, " %#x %#x\n", r.Rsp, r.Rip)
	return nil
}

func procLimits(_ vfs.Context, e procEntry, w *bytes.Buffer) error {
	fmt.Fprintf(w, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units")
	show := func(v uint64) string {
		if v == unix.RLIM_INFINITY {
			return "unlimited"
		}
		return strconv.FormatUint(v, 10)
	}
	for i, l := range [...]struct{ name, unit string }{
		unix.RLIMIT_CPU: {"Max cpu time", "seconds"}, unix.RLIMIT_FSIZE: {"Max file size", "bytes"},
		unix.RLIMIT_DATA: {"Max data size", "bytes"}, unix.RLIMIT_STACK: {"Max stack size", "bytes"},
		unix.RLIMIT_CORE: {"Max core file size", "bytes"}, unix.RLIMIT_RSS: {"Max resident set", "bytes"},
		unix.RLIMIT_NPROC: {"Max processes", "processes"}, unix.RLIMIT_NOFILE: {"Max open files", "files"},
		unix.RLIMIT_MEMLOCK: {"Max locked memory", "bytes"}, unix.RLIMIT_AS: {"Max address space", "bytes"},
		unix.RLIMIT_LOCKS: {"Max file locks", "locks"}, unix.RLIMIT_SIGPENDING: {"Max pending signals", "signals"},
		unix.RLIMIT_MSGQUEUE: {"Max msgqueue size", "bytes"}, unix.RLIMIT_NICE: {"Max nice priority", ""},
		unix.RLIMIT_RTPRIO: {"Max realtime priority", ""}, unix.RLIMIT_RTTIME: {"Max realtime timeout", "us"},
	} {
		v := e.p.limits[i]
		fmt.Fprintf(w, "%-25s %-20s %-20s", l.name, show(v.Cur), show(v.Max))
		if l.unit != "" {
			fmt.Fprintf(w, " %-10s", l.unit)
		} else {
			w.WriteString(" ")
		}
		w.WriteString("\n")
	}
	return nil
}

// procMem is an open /proc/PID/mem: the memory of the process as it was when
// it was opened.
type procMem struct {
	e     procEntry
	space *mm.Space
}

func newProcMem(_ *procFS, e procEntry, n pseudofs.Node) vfs.Inode {
	return &pseudofs.File{Node: n,
		Check: func(ctx vfs.Context, _ int) error { return e.inspect(ctx) },
		OpenAs: func(vfs.Context, int) (vfs.Impl, error) {
			return &procMem{e, e.space()}, nil
		}}
}

// Release implements vfs.Impl.
func (m *procMem) Release(vfs.Context) {}

// Seek implements vfs.Seeker.
func (m *procMem) Seek(_ vfs.Context, f *vfs.File, off int64, whence int) (int64, error) {
	if whence == unix.SEEK_CUR {
		return f.Pos + off, nil
	}
	if whence != unix.SEEK_SET {
		return 0, unix.EINVAL
	}
	return off, nil
}

// at returns the thread and how many bytes at off are mapped in one piece.
func (m *procMem) at(off int64, n int) (*Task, int, error) {
	t := m.e.live()
	if m.space == nil || t == nil || t.mm != m.space || t.th == nil {
		return nil, 0, nil
	}
	v := m.space.Find(uint64(off))
	if v == nil {
		return nil, 0, unix.EIO
	}
	return t, int(min(uint64(n), v.End-uint64(off))), nil
}

// Read implements vfs.Reader.
func (m *procMem) Read(_ vfs.Context, _ *vfs.File, p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		t, n, err := m.at(off+int64(done), len(p)-done)
		if n == 0 || err != nil {
			if done > 0 {
				err = nil
			}
			return done, err
		}
		k, err := t.th.ReadMem(uint64(off)+uint64(done), p[done:done+n])
		if err != nil {
			var more int
			more, err = t.th.ForceRead(uint64(off)+uint64(done+k), p[done+k:done+n])
			k += max(more, 0)
		}
		done += k
		if err != nil {
			if done > 0 {
				return done, nil
			}
			return 0, unix.EIO
		}
	}
	return done, nil
}

// Write implements vfs.Writer.
func (m *procMem) Write(_ vfs.Context, _ *vfs.File, p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		t, n, err := m.at(off+int64(done), len(p)-done)
		if n == 0 || err != nil {
			if done > 0 {
				err = nil
			}
			return done, err
		}
		k, err := t.th.ForceWrite(uint64(off)+uint64(done), p[done:done+n])
		done += max(k, 0)
		if err != nil {
			if done > 0 {
				return done, nil
			}
			return 0, unix.EIO
		}
	}
	return done, nil
}
