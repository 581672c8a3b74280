package kernel

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/sysemu/sysemu/internal/fs/pseudofs"
	"github.com/sysemu/sysemu/internal/mm"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// The proc file system, proc(5). This file has its root and the directories of
// processes and threads; what is in them is in the proc_*.go files.

// procFS is what the files of one mounted proc share.
type procFS struct {
	k   *Kernel
	fs  *pseudofs.FS
	net *pseudofs.Dir
}

func (k *Kernel) newProc(ctx vfs.Context) vfs.FileSystem {
	pf := &procFS{k: k, fs: pseudofs.New("proc", unix.PROC_SUPER_MAGIC, k.ns.System().AnonymousDev(), ctx.Realtime())}
	root := &pseudofs.Live{Dir: *pf.fs.Mkdir("proc")}
	root.Inode = 1
	pf.addGlobal(root)
	pf.addSysctls(root.Sub("sys"))
	pf.net = pf.newNet()
	root.Find = pf.findPID
	root.Same = func(_ vfs.Context, name string, n vfs.Inode) bool {
		d, ok := n.(*procDir)
		if !ok {
			return false
		}
		pid, _ := strconv.Atoi(name)
		e, ok := pf.entry(pid)
		return ok && e == d.e
	}
	root.List = func(vfs.Context) ([]pseudofs.Entry, error) {
		var list []pseudofs.Entry
		for _, p := range k.pids.processes() {
			list = append(list, pseudofs.Entry{Name: strconv.Itoa(p.pid), ID: int64(p.pid), Type: unix.DT_DIR, Ino: procIno(p.pid, procProcess, 0)})
		}
		return list, nil
	}
	pf.fs.SetRoot(root)
	return pf.fs
}

// Kinds of inode numbers: what a number's file is about.
const (
	procProcess = iota + 1
	procThread
	procFD
	procFDInfo
	procTaskDir
)

// procIno fits what 32-bit programs have for inode numbers: 15 bits say who,
// as pidMax has it, 4 the kind, and 13 which. Descriptors above 8191 share theirs.
func procIno(id int, kind, n uint64) uint64 { return uint64(id)<<17 | kind<<13 | n&0x1fff }

// procEntry is whom a directory is about: a process, or one of its threads.
type procEntry struct {
	p *Process
	t *Task // nil: the process
}

// entry finds whom /proc/N is about. A thread's number leads to it, though it
// is not listed.
func (pf *procFS) entry(id int) (procEntry, bool) {
	if p := pf.k.pids.procs[id]; p != nil {
		return procEntry{p: p}, true
	}
	if t := pf.k.pids.tasks[id]; t != nil {
		return procEntry{t.p, t}, true
	}
	return procEntry{}, false
}

func (e procEntry) id() int {
	if e.t != nil {
		return e.t.tid
	}
	return e.p.pid
}

// alive reports whether the entry's number is still its own.
func (e procEntry) alive() bool {
	if e.t == nil {
		return e.p.pid == e.p.k.init.pid || e.p.k.pids.procs[e.p.pid] == e.p
	}
	return e.p.k.pids.tasks[e.t.tid] == e.t
}

// task is the thread that speaks for the entry: the leader for a process,
// even one that has exited.
func (e procEntry) task() *Task {
	switch {
	case e.t != nil:
		return e.t
	case e.p.leader != nil:
		return e.p.leader
	}
	return e.p.k.boot
}

// live is a thread of the entry's that has not exited, with memory and
// descriptors; nil if there is none.
func (e procEntry) live() *Task {
	if e.t != nil {
		if e.t.exited || e.t.mm == nil {
			return nil
		}
		return e.t
	}
	for _, t := range e.p.threads {
		if !t.exited && t.mm != nil {
			return t
		}
	}
	return nil
}

// space is the entry's address space, nil if it has none any more.
func (e procEntry) space() *mm.Space {
	if t := e.live(); t != nil {
		return t.mm
	}
	return nil
}

// owner is whose the entry's files are: root's where the process may not be
// looked into.
func (e procEntry) owner() (uid, gid uint32) {
	if e.p.dumpable != 1 {
		return 0, 0
	}
	c := e.task().cred
	return c.EUID, c.EGID
}

// inspect is the access check of files that tell a process's secrets.
func (e procEntry) inspect(ctx vfs.Context) error {
	if !ctx.(*Task).mayTrace(e.p) {
		return unix.EACCES
	}
	return nil
}

// procDir is /proc/PID or /proc/PID/task/TID.
type procDir struct {
	pseudofs.Live
	e procEntry
}

// procFile is one of the names in such a directory.
type procFile struct {
	name string
	kind uint32 // S_IFMT
	mode uint32
	// only: in which of the two directories.
	only uint64 // procProcess, procThread or 0 for both
	// make makes the inode; n has its number, mode and owner.
	make func(pf *procFS, e procEntry, n pseudofs.Node) vfs.Inode
}

var (
	procFiles []procFile
	procNames = map[string]int{} // index in procFiles
)

// addProcFiles is called by init functions.
func addProcFiles(files ...procFile) {
	for _, f := range files {
		procNames[f.name] = len(procFiles)
		procFiles = append(procFiles, f)
	}
}

func (pf *procFS) findPID(_ vfs.Context, name string) (vfs.Inode, error) {
	id, ok := procNumber(name)
	if !ok {
		return nil, unix.ENOENT
	}
	e, ok := pf.entry(id)
	if !ok {
		return nil, unix.ENOENT
	}
	return pf.newDir(e, procProcess), nil
}

// procNumber parses a decimal name: no sign, no leading zero.
func procNumber(s string) (int, bool) {
	if s == "" || len(s) > 9 || s[0] == '0' && len(s) > 1 {
		return 0, false
	}
	n := 0
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

// newDir makes the directory of e; form is procProcess or procThread.
func (pf *procFS) newDir(e procEntry, form uint64) vfs.Inode {
	d := &procDir{e: e}
	d.Node = pseudofs.Node{FS: pf.fs, Inode: procIno(e.id(), form, 0), Mode: 0o555, Nlink: 9, Owner: func() (uint32, uint32) {
		c := e.task().cred
		return c.EUID, c.EGID
	}}
	d.Find = func(_ vfs.Context, name string) (vfs.Inode, error) {
		if !e.alive() {
			return nil, unix.ESRCH
		}
		i, ok := procNames[name]
		if !ok || procFiles[i].only != 0 && procFiles[i].only != form {
			return nil, unix.ENOENT
		}
		f := &procFiles[i]
		n := pseudofs.Node{FS: pf.fs, Inode: procIno(e.id(), form, uint64(i)+1), Mode: f.mode, Owner: e.owner}
		if f.kind == unix.S_IFDIR && f.mode == 0o555 {
			n.Owner = d.Owner
		}
		return f.make(pf, e, n), nil
	}
	d.Same = func(vfs.Context, string, vfs.Inode) bool { return e.alive() }
	d.List = func(vfs.Context) ([]pseudofs.Entry, error) {
		if !e.alive() {
			return nil, unix.ENOENT
		}
		list := make([]pseudofs.Entry, 0, len(procFiles))
		for i, f := range procFiles {
			if f.only == 0 || f.only == form {
				list = append(list, pseudofs.Entry{Name: f.name, ID: int64(i), Type: uint8(f.kind >> 12), Ino: procIno(e.id(), form, uint64(i)+1)})
			}
		}
		return list, nil
	}
	return d
}

// procText is a file that anyone may read who may read it by its mode.
func procText(name string, mode uint32, text func(ctx vfs.Context, e procEntry, w *bytes.Buffer) error) procFile {
	return procFile{name, unix.S_IFREG, mode, 0, func(_ *procFS, e procEntry, n pseudofs.Node) vfs.Inode {
		return &pseudofs.File{Node: n, Read: func(ctx vfs.Context) ([]byte, error) {
			if !e.alive() {
				return nil, unix.ESRCH
			}
			var b bytes.Buffer
			err := text(ctx, e, &b)
			return b.Bytes(), err
		}}
	}}
}

// procSecret is a file for those who may trace the process.
func procSecret(name string, mode uint32, text func(ctx vfs.Context, e procEntry, w *bytes.Buffer) error) procFile {
	f := procText(name, mode, text)
	open := f.make
	f.make = func(pf *procFS, e procEntry, n pseudofs.Node) vfs.Inode {
		file := open(pf, e, n).(*pseudofs.File)
		file.Check = func(ctx vfs.Context, _ int) error { return e.inspect(ctx) }
		return file
	}
	return f
}

// procMemoryOf is a procSecret about the memory that the process has when it is
// opened: empty once that is gone, by exit or exec.
func procMemoryOf(name string, mode uint32, text func(ctx vfs.Context, e procEntry, w *bytes.Buffer) error) procFile {
	f := procSecret(name, mode, text)
	open := f.make
	f.make = func(pf *procFS, e procEntry, n pseudofs.Node) vfs.Inode {
		file := open(pf, e, n).(*pseudofs.File)
		file.OpenAs = func(vfs.Context, int) (vfs.Impl, error) {
			s := e.space()
			return file.Reading(func(ctx vfs.Context) ([]byte, error) {
				if s == nil || e.space() != s {
					return nil, nil
				}
				return file.Read(ctx)
			}), nil
		}
		return file
	}
	return f
}

// procWritable adds a write to a file.
func procWritable(f procFile, write func(ctx vfs.Context, e procEntry, text string) error) procFile {
	open := f.make
	f.make = func(pf *procFS, e procEntry, n pseudofs.Node) vfs.Inode {
		file := open(pf, e, n).(*pseudofs.File)
		file.Write = func(ctx vfs.Context, p []byte) error {
			if !e.alive() {
				return unix.ESRCH
			}
			return write(ctx, e, string(p))
		}
		return file
	}
	return f
}

// procMagic is a link to a place that the process is at.
func procMagic(name string, to func(e procEntry) (vfs.Path, error)) procFile {
	return procFile{name, unix.S_IFLNK, 0o777, 0, func(_ *procFS, e procEntry, n pseudofs.Node) vfs.Inode {
		m := &pseudofs.Magic{}
		m.Node = n
		m.To = func(ctx vfs.Context) (vfs.Path, error) {
			if !e.alive() {
				return vfs.Path{}, unix.ENOENT
			}
			if err := e.inspect(ctx); err != nil {
				return vfs.Path{}, err
			}
			return to(e)
		}
		m.Text = func(ctx vfs.Context) (string, error) {
			p, err := m.To(ctx)
			if err != nil {
				return "", err
			}
			return vfs.PathName(ctx.(*Task).fs.root, p), nil
		}
		return m
	}}
}

// taskDir is /proc/PID/task.
func (pf *procFS) taskDir(e procEntry, n pseudofs.Node) vfs.Inode {
	d := &pseudofs.Live{}
	d.Node = n
	thread := func(name string) *Task {
		id, ok := procNumber(name)
		if !ok {
			return nil
		}
		t := pf.k.pids.tasks[id]
		if e.p == pf.k.init && id == e.p.pid {
			t = pf.k.boot
		}
		if t == nil || t.p != e.p {
			return nil
		}
		return t
	}
	d.Find = func(_ vfs.Context, name string) (vfs.Inode, error) {
		t := thread(name)
		if t == nil {
			return nil, unix.ENOENT
		}
		if t == pf.k.boot {
			return pf.newDir(procEntry{p: e.p}, procThread), nil
		}
		return pf.newDir(procEntry{e.p, t}, procThread), nil
	}
	d.Same = func(_ vfs.Context, name string, n vfs.Inode) bool {
		t := thread(name)
		c, ok := n.(*procDir)
		return ok && t != nil && (c.e.t == t || t == pf.k.boot)
	}
	d.List = func(vfs.Context) ([]pseudofs.Entry, error) {
		if !e.alive() {
			return nil, unix.ENOENT
		}
		var ids []int
		for _, t := range e.p.threads {
			ids = append(ids, t.tid)
		}
		if !slices.Contains(ids, e.p.pid) {
			ids = append(ids, e.p.pid) // a leader that has exited
		}
		slices.SortFunc(ids, func(a, b int) int { return cmp.Compare(a, b) })
		var list []pseudofs.Entry
		for _, id := range ids {
			list = append(list, pseudofs.Entry{Name: strconv.Itoa(id), ID: int64(id), Type: unix.DT_DIR, Ino: procIno(id, procThread, 0)})
		}
		return list, nil
	}
	return d
}

// add puts the files that are not about a process into the root.
func (pf *procFS) addGlobal(root *pseudofs.Live) {
	k := pf.k
	text := func(name string, f func(w *bytes.Buffer)) *pseudofs.File {
		return root.Text(name, func(vfs.Context) ([]byte, error) {
			var b bytes.Buffer
			f(&b)
			return b.Bytes(), nil
		})
	}
	text("cmdline", func(w *bytes.Buffer) { w.WriteString("sysemu\n") })
	text("cpuinfo", k.procCPUInfo)
	text("devices", func(w *bytes.Buffer) { w.WriteString(k.procDevices()) })
	text("diskstats", func(*bytes.Buffer) {})
	text("filesystems", func(w *bytes.Buffer) {
		for _, t := range []string{"sysfs", "tmpfs", "proc", "devpts", "ramfs", "overlay"} {
			fmt.Fprintf(w, "nodev\t%s\n", t)
		}
	})
	text("interrupts", k.procInterrupts)
	text("loadavg", k.procLoadavg)
	text("meminfo", k.procMeminfo)
	text("modules", func(*bytes.Buffer) {})
	root.Link("mounts", "self/mounts")
	root.Link("net", "self/net")
	text("partitions", func(w *bytes.Buffer) { w.WriteString("major minor  #blocks  name\n\n") })
	root.Add("self", pf.selfLink("self", func(t *Task) string { return strconv.Itoa(t.p.pid) }))
	text("softirqs", k.procSoftirqs)
	text("stat", k.procStat)
	pf.addSysemu(root)
	text("swaps", func(w *bytes.Buffer) { w.WriteString("Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n") })
	root.Add("thread-self", pf.selfLink("thread-self", func(t *Task) string { return fmt.Sprintf("%d/task/%d", t.p.pid, t.tid) }))
	text("uptime", k.procUptime)
	text("version", func(w *bytes.Buffer) {
		fmt.Fprintf(w, "Linux version %s (sysemu@sysemu) (Go) %s\n", Release, KernelVersion)
	})
	text("vmstat", k.procVmstat)
}

func (pf *procFS) selfLink(name string, text func(t *Task) string) vfs.Inode {
	l := &pseudofs.Link{Text: func(ctx vfs.Context) (string, error) { return text(ctx.(*Task)), nil }}
	l.Node = pseudofs.Node{FS: pf.fs, Inode: pseudofs.Ino("proc/" + name), Mode: 0o777}
	return l
}
