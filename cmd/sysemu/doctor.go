package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sysemu/sysemu"
)

type doctorCmd struct{}

// host is what doctor looked at. Errors are those of doing the thing for real.
type host struct {
	release      string // of the kernel
	uid          int
	cpus         int
	yama         string // ptrace_scope; empty without Yama
	seccomp      string // mode of this process, from /proc/self/status
	tracer       string // who traces this process, "0" for nobody
	files        unix.Rlimit
	memfdNoexec  string // vm.memfd_noexec; empty where the kernel does not have it
	container    string // what it looks like to run in, empty for none
	trace        error  // a child that asks to be traced
	sysemu       error  // its system call stopped by PTRACE_SYSEMU and not run
	readMemory   error  // process_vm_readv of it
	mapVDSO      error  // ARCH_MAP_VDSO_64 exists
	program      error  // a machine that runs /bin/true
	programTried bool
}

// finding is one line of the report.
type finding struct {
	level  level
	what   string
	advice string // what to do, empty when nothing is to be done
}

type level int

const (
	fine level = iota
	note
	wrong
)

// Run is kong's entry.
func (*doctorCmd) Run(std streams) error {
	failed := false
	for _, f := range diagnose(examine()) {
		mark := [...]string{"ok   ", "note ", "FAIL "}[f.level]
		fmt.Fprintln(std.out, mark+f.what)
		if f.advice != "" {
			fmt.Fprintln(std.out, "     "+f.advice)
		}
		failed = failed || f.level == wrong
	}
	if failed {
		fmt.Fprintln(std.out, "Programs cannot be run here until what is marked FAIL is put right.")
		return exitStatus(statusDoctorFound)
	}
	fmt.Fprintln(std.out, "Nothing stands in the way.")
	return nil
}

// diagnose says in plain words what was seen.
func diagnose(h host) []finding {
	var fs []finding
	add := func(l level, what, advice string) { fs = append(fs, finding{l, what, advice}) }

	who := fmt.Sprintf("user %d; sysemu needs no privileges", h.uid)
	if h.uid == 0 {
		who = "user 0 (root); sysemu would do without"
	}
	add(fine, fmt.Sprintf("Linux %s, %d CPUs, %s", h.release, h.cpus, who), "")

	forbidden := "Allow this user to trace its own children."
	switch {
	case h.yama == "2" && h.uid != 0:
		forbidden = "Yama allows only administrators to trace (kernel.yama.ptrace_scope is 2): run `sysctl kernel.yama.ptrace_scope=1` as root, or run sysemu as root."
	case h.yama == "3":
		forbidden = "Yama forbids all tracing until the next boot (kernel.yama.ptrace_scope is 3): remove that setting from /etc/sysctl.d and reboot."
	case h.seccomp == "2":
		forbidden = "A seccomp filter is in force" + in(h.container) + " and probably forbids ptrace. With Docker or Podman add `--security-opt seccomp=unconfined` or `--cap-add SYS_PTRACE`; in Kubernetes set seccompProfile to Unconfined or add the capability SYS_PTRACE."
	}
	switch {
	case h.trace != nil:
		add(wrong, "a child cannot be traced: "+h.trace.Error(), forbidden)
	case noSysemu(h.sysemu):
		add(note, "This kernel, or what it runs in, does not have PTRACE_SYSEMU: calls are stopped by PTRACE_SYSCALL and their numbers taken away, which takes longer", "PTRACE_SYSEMU is part of every Linux for x86-64; sandboxes that emulate Linux may lack it: run on a real kernel.")
	case h.sysemu != nil:
		add(wrong, "PTRACE_SYSEMU does not work: "+h.sysemu.Error(), forbidden)
	default:
		add(fine, "a child's system call was stopped by PTRACE_SYSEMU and not run", "")
	}
	switch {
	case h.trace != nil:
	case errors.Is(h.readMemory, unix.ENOSYS):
		add(wrong, "process_vm_readv does not exist", "The kernel was built without CONFIG_CROSS_MEMORY_ATTACH, or a seccomp filter hides the call: use another kernel, or allow process_vm_readv and process_vm_writev.")
	case h.readMemory != nil:
		add(wrong, "a child's memory cannot be read by process_vm_readv: "+h.readMemory.Error(), forbidden)
	default:
		add(fine, "a child's memory can be read by process_vm_readv", "")
	}
	if h.mapVDSO != nil {
		add(wrong, "the vDSO cannot be mapped by arch_prctl(ARCH_MAP_VDSO_64): "+h.mapVDSO.Error(), "The kernel was built without CONFIG_CHECKPOINT_RESTORE: use a distribution's kernel; Debian, Ubuntu, Fedora and Arch have it.")
	} else {
		add(fine, "the vDSO can be mapped where it is wanted", "")
	}
	if h.memfdNoexec == "2" {
		add(wrong, "vm.memfd_noexec is 2: no program can be started from memory", "Run `sysctl vm.memfd_noexec=1` as root.")
	}
	const fewFiles = 1024
	if h.files.Max < fewFiles {
		add(note, fmt.Sprintf("at most %d files may be open (RLIMIT_NOFILE)", h.files.Max), "Programs that map many files need more: raise the hard limit, `ulimit -Hn 65536` as root or LimitNOFILE= in a systemd unit.")
	} else {
		add(fine, fmt.Sprintf("%d files may be open", h.files.Max), "")
	}
	if h.tracer != "0" && h.tracer != "" {
		add(note, "sysemu itself is being traced by process "+h.tracer, "A debugger that follows children takes them away from sysemu: do not use strace -f on it.")
	}
	if h.trace == nil && h.seccomp == "2" {
		add(note, "a seccomp filter is in force"+in(h.container)+"; it lets pass what was tried here", "")
	}
	if h.programTried {
		if h.program != nil {
			add(wrong, "running /bin/true in a machine: "+h.program.Error(), "If all else is ok, this is a fault in sysemu: please report it with this output.")
		} else {
			add(fine, "/bin/true ran in a machine", "")
		}
	}
	return fs
}

// noSysemu tells whether the error of PTRACE_SYSEMU says that there is none.
func noSysemu(err error) bool { return errors.Is(err, unix.EIO) || errors.Is(err, unix.EINVAL) }

func in(container string) string {
	if container == "" {
		return ""
	}
	return " in this container (" + container + ")"
}

// examine looks at the host.
func examine() host {
	h := host{
		uid: os.Getuid(), cpus: runtime.NumCPU(), yama: readLine("/proc/sys/kernel/yama/ptrace_scope"),
		seccomp: statusField("Seccomp"), tracer: statusField("TracerPid"),
		memfdNoexec: readLine("/proc/sys/vm/memfd_noexec"), container: container(),
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		h.release = unix.ByteSliceToString(u.Release[:])
	}
	unix.Getrlimit(unix.RLIMIT_NOFILE, &h.files)
	probeChild(&h)
	h.mapVDSO = probeVDSO()
	if h.trace == nil && (h.sysemu == nil || noSysemu(h.sysemu)) && h.readMemory == nil && h.mapVDSO == nil {
		h.program, h.programTried = probeMachine(), true
	}
	return h
}

func readLine(path string) string {
	b, _ := os.ReadFile(path) // what does not exist is empty
	return strings.TrimSpace(string(b))
}

func statusField(name string) string {
	b, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func container() string {
	for path, name := range map[string]string{"/.dockerenv": "Docker", "/run/.containerenv": "Podman"} {
		if _, err := os.Stat(path); err == nil {
			return name
		}
	}
	if os.Getenv("KUBERNETES_SERVICE_HOST") != "" {
		return "Kubernetes"
	}
	return ""
}

// probeChild starts a child under ptrace and has its first system call stopped by PTRACE_SYSEMU.
func probeChild(h *host) {
	runtime.LockOSThread() // ptrace belongs to a thread
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe", "--help")
	cmd.SysProcAttr = &unix.SysProcAttr{Ptrace: true}
	if h.trace = cmd.Start(); h.trace != nil {
		return
	}
	pid := cmd.Process.Pid
	defer cmd.Process.Release()
	defer func() {
		unix.Kill(pid, unix.SIGKILL)
		unix.Wait4(pid, nil, unix.WALL, nil)
	}()
	// The first stop is that of execve.
	var ws unix.WaitStatus
	if _, err := unix.Wait4(pid, &ws, unix.WALL, nil); err != nil || !ws.Stopped() {
		h.trace = fmt.Errorf("the child did not stop (%v, status %#x)", err, ws)
		return
	}
	if h.sysemu = unix.PtraceSetOptions(pid, unix.PTRACE_O_TRACESYSGOOD|unix.PTRACE_O_EXITKILL); h.sysemu != nil {
		return
	}
	var regs unix.PtraceRegs
	if h.sysemu = unix.PtraceGetRegs(pid, &regs); h.sysemu != nil {
		return
	}
	word := make([]byte, 8)
	local := []unix.Iovec{{Base: &word[0], Len: 8}}
	remote := []unix.RemoteIovec{{Base: uintptr(regs.Rsp), Len: 8}}
	_, h.readMemory = unix.ProcessVMReadv(pid, local, remote, 0)

	if _, _, e := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SYSEMU, uintptr(pid), 0, 0, 0, 0); e != 0 {
		h.sysemu = e
		return
	}
	if _, err := unix.Wait4(pid, &ws, unix.WALL, nil); err != nil {
		h.sysemu = err
		return
	}
	const syscallStop = unix.SIGTRAP | 0x80
	if !ws.Stopped() || ws.StopSignal() != syscallStop {
		h.sysemu = fmt.Errorf("the child did not stop at a system call (status %#x)", ws)
	}
}

// probeVDSO asks for a second vDSO in this process: refused because there is one already, or because the kernel does not
// know the request.
func probeVDSO() error {
	const archMapVDSO64 = 0x2003
	_, _, e := unix.RawSyscall(unix.SYS_ARCH_PRCTL, archMapVDSO64, 0, 0)
	if e == unix.EEXIST || e == 0 {
		return nil
	}
	return e
}

// probeMachine runs a program in a machine.
func probeMachine() error {
	var log bytes.Buffer
	m, err := sysemu.New(sysemu.WithLog(func(msg string) { fmt.Fprintln(&log, msg) }))
	if err != nil {
		return err
	}
	defer m.Close()
	cmd := m.Command("/bin/true")
	if err := cmd.Start(); err != nil {
		return err
	}
	stop := time.AfterFunc(10*time.Second, func() { cmd.Process.Kill() })
	defer stop.Stop()
	return cmd.Wait()
}
