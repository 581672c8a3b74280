package kernel

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// What /proc tells of the machine as a whole.

// sinceBoot is how long after the start a time of the monotonic clock was: that
// clock counts from there, as guests see it by the vDSO too.
func (k *Kernel) sinceBoot(monotonic int64) int64 { return max(monotonic, 0) }

// cpuList is the CPUs' numbers as the kernel prints sets: "0-3".
func (k *Kernel) cpuList() string {
	if n := len(k.cpus); n > 1 {
		return fmt.Sprintf("0-%d", n-1)
	}
	return "0"
}

// hostCPU is what the host's /proc/cpuinfo says of its first processor.
func hostCPU() []string {
	raw, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return nil
	}
	first, _, _ := strings.Cut(string(raw), "\n\n")
	return strings.Split(strings.TrimRight(first, "\n"), "\n")
}

// procCPUInfo tells of the host's processor, as many times as there are
// virtual CPUs.
func (k *Kernel) procCPUInfo(w *bytes.Buffer) {
	if k.cpuInfo == nil {
		k.cpuInfo = hostCPU()
	}
	n := strconv.Itoa(len(k.cpus))
	for i := range k.cpus {
		id := strconv.Itoa(i)
		for _, line := range k.cpuInfo {
			name, _, ok := strings.Cut(line, ":")
			if ok {
				switch strings.TrimSpace(name) {
				case "processor", "core id", "apicid", "initial apicid":
					line = name + ": " + id
				case "physical id":
					line = name + ": 0"
				case "siblings", "cpu cores":
					line = name + ": " + n
				}
			}
			w.WriteString(line + "\n")
		}
		w.WriteString("\n")
	}
}

func (k *Kernel) procMeminfo(w *bytes.Buffer) {
	total, free := k.memory()
	for _, f := range []struct {
		name  string
		bytes uint64
	}{
		{"MemTotal", total}, {"MemFree", free}, {"MemAvailable", free}, {"Buffers", 0}, {"Cached", 0}, {"SwapCached", 0},
		{"Active", total - free}, {"Inactive", 0}, {"Active(anon)", total - free}, {"Inactive(anon)", 0}, {"Active(file)", 0}, {"Inactive(file)", 0},
		{"Unevictable", 0}, {"Mlocked", 0}, {"SwapTotal", 0}, {"SwapFree", 0}, {"Dirty", 0}, {"Writeback", 0},
		{"AnonPages", total - free}, {"Mapped", 0}, {"Shmem", 0}, {"KReclaimable", 0}, {"Slab", 0}, {"SReclaimable", 0}, {"SUnreclaim", 0},
		{"KernelStack", 0}, {"PageTables", 0}, {"CommitLimit", total / 2}, {"Committed_AS", total - free},
		{"VmallocTotal", 1 << 45}, {"VmallocUsed", 0}, {"VmallocChunk", 0},
	} {
		fmt.Fprintf(w, "%-15s %8d kB\n", f.name+":", f.bytes>>10)
	}
	fmt.Fprintf(w, "HugePages_Total: %7d\nHugePages_Free:  %7d\nHugePages_Rsvd:  %7d\nHugePages_Surp:  %7d\nHugepagesize:    %7d kB\n", 0, 0, 0, 0, 2048)
}

// cpuTime is what all tasks have used, in ticks, and what is left of the
// CPUs' time.
func (k *Kernel) cpuTime() (user, system, idle int64) {
	for _, p := range k.pids.procs {
		u := p.totalUsage()
		user += u.utime + p.childrenUsage.utime
		system += u.stime + p.childrenUsage.stime
	}
	up := k.sinceBoot(k.clock.Shown()) * int64(len(k.cpus))
	return user / nsPerTick, system / nsPerTick, max(up-user-system, 0) / nsPerTick
}

func (k *Kernel) procStat(w *bytes.Buffer) {
	user, system, idle := k.cpuTime()
	n := int64(len(k.cpus))
	fmt.Fprintf(w, "cpu  %d 0 %d %d 0 0 0 0 0 0\n", user, system, idle)
	for i := range k.cpus {
		fmt.Fprintf(w, "cpu%d %d 0 %d %d 0 0 0 0 0 0\n", i, user/n, system/n, idle/n)
	}
	running, blockedTasks := k.taskCounts()
	boot := (k.clock.Realtime() - k.sinceBoot(k.clock.Shown())) / 1e9
	var switches uint64
	for _, c := range k.cpus {
		switches += c.seq
	}
	fmt.Fprintf(w, "intr 0\nctxt %d\nbtime %d\nprocesses %d\nprocs_running %d\nprocs_blocked %d\nsoftirq 0 0 0 0 0 0 0 0 0 0 0\n",
		switches, boot, k.pids.last, max(running, 1), blockedTasks)
}

// taskCounts are the tasks that run or are ready, and those that sleep where
// signals do not wake them.
func (k *Kernel) taskCounts() (running, blockedTasks int) {
	for _, t := range k.pids.tasks {
		switch t.stateLetter() {
		case 'R':
			running++
		case 'D':
			blockedTasks++
		}
	}
	return running, blockedTasks
}

func (k *Kernel) procUptime(w *bytes.Buffer) {
	_, _, idle := k.cpuTime()
	up := k.sinceBoot(k.clock.Shown()) / nsPerTick
	fmt.Fprintf(w, "%d.%02d %d.%02d\n", up/100, up%100, idle/100, idle%100)
}

// procLoadavg: averages are not kept; the tasks that run now are the best
// guess.
func (k *Kernel) procLoadavg(w *bytes.Buffer) {
	running, _ := k.taskCounts()
	fmt.Fprintf(w, "0.00 0.00 0.00 %d/%d %d\n", max(running, 1), max(k.pids.count(), 1), k.pids.last)
}

func (k *Kernel) procInterrupts(w *bytes.Buffer) {
	w.WriteString("    ")
	for i := range k.cpus {
		fmt.Fprintf(w, " %10s", fmt.Sprintf("CPU%d", i))
	}
	w.WriteString("\n")
}

func (k *Kernel) procSoftirqs(w *bytes.Buffer) {
	w.WriteString("                    ")
	for i := range k.cpus {
		fmt.Fprintf(w, "CPU%-8d", i)
	}
	w.WriteString("\n")
}

func (k *Kernel) procVmstat(w *bytes.Buffer) {
	total, free := k.memory()
	used := (total - free) >> 12
	fmt.Fprintf(w, "nr_free_pages %d\nnr_inactive_anon 0\nnr_active_anon %d\nnr_anon_pages %d\nnr_mapped 0\nnr_file_pages 0\nnr_dirty 0\nnr_writeback 0\nnr_shmem 0\n",
		free>>12, used, used)
	fmt.Fprintf(w, "pgpgin 0\npgpgout 0\npswpin 0\npswpout 0\npgfault 0\npgmajfault 0\noom_kill %d\n", k.ram.kills)
}
