package kernel

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/sysemu/sysemu/internal/fs/pseudofs"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// newSysfs makes /sys: the CPUs, one memory node, and the directories that
// programs expect to be there.
func (k *Kernel) newSysfs(ctx vfs.Context) vfs.FileSystem {
	fs := pseudofs.New("sysfs", unix.SYSFS_MAGIC, k.ns.System().AnonymousDev(), ctx.Realtime())
	root := fs.Mkdir("sys")
	root.Inode = 1
	fs.SetRoot(root)
	for _, name := range []string{"block", "bus", "class", "dev", "devices", "firmware", "fs", "kernel", "module", "power"} {
		root.Sub(name)
	}
	root.Sub("dev").Sub("block")
	root.Sub("dev").Sub("char")
	root.Sub("fs").Sub("cgroup")
	system := root.Sub("devices").Sub("system")
	k.addSysCPUs(system.Sub("cpu"))
	k.addSysNode(system.Sub("node"))

	mm := root.Sub("kernel").Sub("mm")
	thp := mm.Sub("transparent_hugepage")
	thp.Const("enabled", "always [madvise] never\n")
	thp.Const("defrag", "always defer defer+madvise [madvise] never\n")
	thp.Const("shmem_enabled", "always within_size advise [never] deny force\n")
	thp.Const("hpage_pmd_size", "2097152\n")
	thp.Const("use_zero_page", "1\n")
	mm.Sub("hugepages").Sub("hugepages-2048kB").Const("nr_hugepages", "0\n")
	root.Sub("kernel").Sub("security")
	root.Sub("kernel").Const("uevent_seqnum", "0\n")

	for _, name := range []string{"block", "tty", "mem", "misc", "drm", "power_supply", "thermal"} {
		root.Sub("class").Sub(name)
	}
	lo := root.Sub("devices").Sub("virtual").Sub("net").Sub("lo")
	for _, f := range [][2]string{
		{"address", "00:00:00:00:00:00"}, {"mtu", "65536"}, {"operstate", "unknown"}, {"type", "772"}, {"flags", "0x9"}, {"ifindex", "1"},
		{"iflink", "1"}, {"carrier", "1"}, {"tx_queue_len", "1000"}, {"addr_len", "6"}, {"dev_id", "0x0"}, {"speed", "0"},
	} {
		lo.Const(f[0], f[1]+"\n")
	}
	root.Sub("class").Sub("net").Link("lo", "../../devices/virtual/net/lo")
	return fs
}

// cpuMask is the set of CPUs from, to as hexadecimal words.
func cpuMask(from, to int) string {
	words := make([]uint32, to/32+1)
	for i := from; i <= to; i++ {
		words[i/32] |= 1 << (i % 32)
	}
	var parts []string
	for i := len(words) - 1; i >= 0; i-- {
		parts = append(parts, fmt.Sprintf("%08x", words[i]))
	}
	s := strings.TrimLeft(strings.Join(parts, ","), "0")
	if len(parts) == 1 {
		return s
	}
	return strings.Join(parts, ",")
}

// addSysCPUs fills /sys/devices/system/cpu: every CPU is a core of one
// package.
func (k *Kernel) addSysCPUs(d *pseudofs.Dir) {
	// The CPUs are all there before the first program is, but not yet.
	n := k.cfg.CPUs
	all := "0"
	if n > 1 {
		all = fmt.Sprintf("0-%d", n-1)
	}
	for _, name := range []string{"online", "possible", "present"} {
		d.Const(name, all+"\n")
	}
	d.Const("offline", "\n")
	d.Const("isolated", "\n")
	d.Const("nohz_full", "\n")
	d.Const("kernel_max", strconv.Itoa(max(n-1, 15))+"\n")
	smt := d.Sub("smt")
	smt.Const("active", "0\n")
	smt.Const("control", "notsupported\n")
	d.Sub("cpufreq")
	d.Sub("cpuidle")
	for i := range n {
		c := d.Sub("cpu" + strconv.Itoa(i))
		c.Const("online", "1\n")
		c.Link("node0", "../../node/node0")
		id := strconv.Itoa(i)
		t := c.Sub("topology")
		t.Const("core_id", id+"\n")
		t.Const("physical_package_id", "0\n")
		t.Const("die_id", "0\n")
		t.Const("cluster_id", "0\n")
		one, every := cpuMask(i, i)+"\n", cpuMask(0, n-1)+"\n"
		for _, set := range []struct{ name, mask, list string }{
			{"thread_siblings", one, id + "\n"}, {"core_cpus", one, id + "\n"},
			{"core_siblings", every, all + "\n"}, {"package_cpus", every, all + "\n"}, {"die_cpus", every, all + "\n"}, {"cluster_cpus", one, id + "\n"},
		} {
			t.Const(set.name, set.mask)
			t.Const(set.name+"_list", set.list)
		}
		addSysCaches(c.Sub("cache"), i, n, all)
	}
}

// addSysCaches tells of the host processor's caches.
func addSysCaches(d *pseudofs.Dir, cpu, n int, all string) {
	const host = "/sys/devices/system/cpu/cpu0/cache/"
	for i := range 5 {
		name := "index" + strconv.Itoa(i)
		level, err := os.ReadFile(host + name + "/level")
		if err != nil {
			break
		}
		c := d.Sub(name)
		c.Const("level", string(level))
		for _, f := range []string{"type", "size", "coherency_line_size", "ways_of_associativity", "number_of_sets", "physical_line_partition", "id"} {
			c.Text(f, func(vfs.Context) ([]byte, error) {
				b, err := os.ReadFile(host + name + "/" + f)
				if err != nil {
					return nil, unix.ENODATA
				}
				return b, nil
			})
		}
		if l, _ := strconv.Atoi(strings.TrimSpace(string(level))); l >= 3 {
			c.Const("shared_cpu_list", all+"\n")
			c.Const("shared_cpu_map", cpuMask(0, n-1)+"\n")
		} else {
			c.Const("shared_cpu_list", strconv.Itoa(cpu)+"\n")
			c.Const("shared_cpu_map", cpuMask(cpu, cpu)+"\n")
		}
	}
}

// addSysNode fills /sys/devices/system/node: all memory is near all CPUs.
func (k *Kernel) addSysNode(d *pseudofs.Dir) {
	for _, name := range []string{"online", "possible", "has_cpu", "has_memory", "has_normal_memory"} {
		d.Const(name, "0\n")
	}
	n := d.Sub("node0")
	n.Const("cpumap", cpuMask(0, k.cfg.CPUs-1)+"\n")
	n.Text("cpulist", func(vfs.Context) ([]byte, error) { return []byte(k.cpuList() + "\n"), nil })
	n.Const("distance", "10\n")
	n.Text("meminfo", func(vfs.Context) ([]byte, error) {
		total, free := k.memory()
		return fmt.Appendf(nil, "Node 0 MemTotal:       %8d kB\nNode 0 MemFree:        %8d kB\nNode 0 MemUsed:        %8d kB\n", total>>10, free>>10, (total-free)>>10), nil
	})
	for i := range k.cfg.CPUs {
		name := "cpu" + strconv.Itoa(i)
		n.Link(name, "../../cpu/"+name)
	}
}
