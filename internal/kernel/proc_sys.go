package kernel

import (
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/sysemu/sysemu/internal/fs/pseudofs"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// /proc/sys, proc_sys(5). Settings that nothing here goes by are kept as they
// are written, so that what sets them reads them back.

// addSysctls fills /proc/sys.
func (pf *procFS) addSysctls(sys *pseudofs.Dir) {
	k := pf.k
	dir := func(name string) (d *pseudofs.Dir, base string) {
		d = sys
		parts := strings.Split(name, "/")
		for _, p := range parts[:len(parts)-1] {
			d = d.Sub(p)
		}
		return d, parts[len(parts)-1]
	}
	show := func(name string, f func() string) *pseudofs.File {
		d, base := dir(name)
		return d.Text(base, func(vfs.Context) ([]byte, error) { return []byte(f() + "\n"), nil })
	}
	fixed := func(name, value string) { show(name, func() string { return value }) }
	// kept is a setting that may be changed; check says what it may be.
	kept := func(name, value string, check func(string) bool) *string {
		v := value
		f := show(name, func() string { return v })
		f.Mode = 0o644
		f.Write = func(_ vfs.Context, p []byte) error {
			s := strings.TrimRight(string(p), "\n\x00")
			if !check(s) {
				return unix.EINVAL
			}
			v = s
			return nil
		}
		return &v
	}
	number := func(s string) bool {
		for _, f := range strings.Fields(s) {
			if _, err := strconv.ParseInt(f, 0, 64); err != nil {
				if _, err := strconv.ParseUint(f, 0, 64); err != nil {
					return false
				}
			}
		}
		return strings.TrimSpace(s) != ""
	}
	text := func(s string) bool { return len(s) < 256 && !strings.ContainsAny(s, "\x00\n") }

	fixed("kernel/ostype", "Linux")
	fixed("kernel/osrelease", Release)
	fixed("kernel/version", KernelVersion)
	fixed("kernel/arch", "x86_64")
	name := func(file string, v *string) {
		f := show(file, func() string { return *v })
		f.Mode = 0o644
		f.Write = func(ctx vfs.Context, p []byte) error {
			if !ctx.Cred().Has(unix.CAP_SYS_ADMIN) {
				return unix.EPERM
			}
			s, _, _ := strings.Cut(string(p), "\n")
			s, _, _ = strings.Cut(s, "\x00")
			*v = s[:min(len(s), 64)]
			return nil
		}
	}
	name("kernel/hostname", &k.hostname)
	name("kernel/domainname", &k.domain)
	fixed("kernel/pid_max", strconv.Itoa(pidMax))
	show("kernel/threads-max", func() string { return strconv.Itoa(k.cfg.PIDs) })
	fixed("kernel/cap_last_cap", strconv.Itoa(unix.CAP_LAST_CAP))
	fixed("kernel/ngroups_max", "65536")
	fixed("kernel/tainted", "0")
	fixed("kernel/overflowuid", "65534")
	fixed("kernel/overflowgid", "65534")
	fixed("kernel/random/poolsize", "256")
	fixed("kernel/random/entropy_avail", "256")
	fixed("kernel/random/write_wakeup_threshold", "256")
	fixed("kernel/random/urandom_min_reseed_secs", "60")
	bootID := k.uuid()
	fixed("kernel/random/boot_id", bootID)
	show("kernel/random/uuid", k.uuid)
	kept("kernel/shmmax", "18446744073692774399", number)
	kept("kernel/shmall", "18446744073692774399", number)
	kept("kernel/shmmni", "4096", number)
	kept("kernel/sem", "32000\t1024000000\t500\t32000", number)
	kept("kernel/msgmax", "8192", number)
	kept("kernel/msgmnb", "16384", number)
	kept("kernel/msgmni", "32000", number)
	k.corePattern = kept("kernel/core_pattern", "core", text)
	k.coreUsesPID = kept("kernel/core_uses_pid", "0", number)
	kept("kernel/printk", "4\t4\t1\t7", number)
	kept("kernel/randomize_va_space", "2", number)
	kept("kernel/dmesg_restrict", "0", number)
	kept("kernel/kptr_restrict", "1", number)
	kept("kernel/perf_event_paranoid", "3", number)
	kept("kernel/unprivileged_bpf_disabled", "2", number)
	kept("kernel/sched_rt_runtime_us", "950000", number)
	kept("kernel/sched_rt_period_us", "1000000", number)
	kept("kernel/sched_child_runs_first", "0", number)
	kept("kernel/sysrq", "0", number)
	kept("kernel/panic", "0", number)
	kept("kernel/numa_balancing", "0", number)
	fixed("kernel/seccomp/actions_avail", actionNames())
	logged := newLoggedActions()
	f := show("kernel/seccomp/actions_logged", logged.String)
	f.Mode, f.Write = 0o644, logged.write
	fixed("kernel/keys/maxkeys", "200")

	kept("vm/overcommit_memory", "0", number)
	kept("vm/overcommit_ratio", "50", number)
	kept("vm/overcommit_kbytes", "0", number)
	kept("vm/max_map_count", "65530", number)
	kept("vm/swappiness", "60", number)
	kept("vm/min_free_kbytes", "67584", number)
	kept("vm/mmap_min_addr", "65536", number)
	kept("vm/dirty_ratio", "20", number)
	kept("vm/dirty_background_ratio", "10", number)
	kept("vm/vfs_cache_pressure", "100", number)
	kept("vm/panic_on_oom", "0", number)
	kept("vm/nr_hugepages", "0", number)
	kept("vm/legacy_va_layout", "0", number)
	drop, base := dir("vm/drop_caches")
	f = drop.Const(base, "0\n")
	f.Mode = 0o200
	f.Write = func(_ vfs.Context, p []byte) error {
		if !number(strings.TrimRight(string(p), "\n")) {
			return unix.EINVAL
		}
		k.ns.System().DropCaches()
		return nil
	}

	kept("fs/file-max", "9223372036854775807", number)
	fixed("fs/nr_open", "1048576")
	show("fs/file-nr", func() string { return fmt.Sprintf("%d\t0\t9223372036854775807", k.openFiles()) })
	fixed("fs/inode-nr", "0\t0")
	fixed("fs/dentry-state", "0\t0\t45\t0\t0\t0")
	kept("fs/pipe-max-size", "1048576", number)
	kept("fs/pipe-user-pages-soft", "16384", number)
	kept("fs/pipe-user-pages-hard", "0", number)
	kept("fs/aio-max-nr", "65536", number)
	fixed("fs/aio-nr", "0")
	kept("fs/lease-break-time", "45", number)
	kept("fs/leases-enable", "1", number)
	kept("fs/suid_dumpable", "0", number)
	kept("fs/protected_symlinks", "0", number)
	kept("fs/protected_fifos", "1", number)
	kept("fs/protected_regular", "1", number)
	hard := show("fs/protected_hardlinks", func() string {
		if k.ns.System().ProtectedHardlinks {
			return "1"
		}
		return "0"
	})
	hard.Mode = 0o644
	hard.Write = func(_ vfs.Context, p []byte) error {
		k.ns.System().ProtectedHardlinks = strings.TrimSpace(string(p)) != "0"
		return nil
	}
	kept("fs/inotify/max_queued_events", "16384", number)
	kept("fs/inotify/max_user_instances", "128", number)
	kept("fs/inotify/max_user_watches", "65536", number)
	kept("fs/epoll/max_user_watches", "1048576", number)
	kept("fs/mqueue/msg_max", "10", number)
	kept("fs/mqueue/msg_default", "10", number)
	kept("fs/mqueue/msgsize_max", "8192", number)
	kept("fs/mqueue/msgsize_default", "8192", number)
	kept("fs/mqueue/queues_max", "256", number)

	kept("net/core/somaxconn", "4096", number)
	kept("net/core/rmem_default", "212992", number)
	kept("net/core/rmem_max", "212992", number)
	kept("net/core/wmem_default", "212992", number)
	kept("net/core/wmem_max", "212992", number)
	kept("net/core/netdev_max_backlog", "1000", number)
	kept("net/unix/max_dgram_qlen", "10", number)
	kept("net/ipv4/ip_local_port_range", "32768\t60999", number)
	kept("net/ipv4/ip_unprivileged_port_start", "1024", number)
	kept("net/ipv4/ip_forward", "0", number)
	kept("net/ipv4/ping_group_range", "1\t0", number)
	kept("net/ipv4/tcp_rmem", "4096\t131072\t6291456", number)
	kept("net/ipv4/tcp_wmem", "4096\t16384\t4194304", number)
	kept("net/ipv4/tcp_max_syn_backlog", "1024", number)
	kept("net/ipv4/tcp_keepalive_time", "7200", number)
	kept("net/ipv4/tcp_syncookies", "1", number)
	kept("net/ipv4/tcp_congestion_control", "cubic", text)
	kept("net/ipv6/conf/all/disable_ipv6", "0", number)
	kept("net/ipv6/bindv6only", "0", number)
	fixed("user/max_user_namespaces", "0")
}

// uuid makes a random UUID.
func (k *Kernel) uuid() string {
	var b [16]byte
	io.ReadFull(k.random, b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	s := hex.EncodeToString(b[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// openFiles is how many descriptors are open; shared tables count once.
func (k *Kernel) openFiles() int {
	n := 0
	seen := map[*vfs.FDTable]bool{}
	for _, t := range k.pids.tasks {
		if t.files == nil || seen[t.files] {
			continue
		}
		seen[t.files] = true
		for fd := t.files.Next(0); fd >= 0; fd = t.files.Next(fd + 1) {
			n++
		}
	}
	return n
}
