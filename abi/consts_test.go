package abi

import (
	"bytes"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every constant with a C name has the value that it has in the headers, as far as those know it.
func TestConstants(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	cName := regexp.MustCompile(`^[A-Z][A-Z0-9]*(_[A-Z0-9]+)+$|^SHM|^SEM|^MSG|^POLL[A-Z]+$`)
	values := map[string]uint64{}
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), f, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok || len(v.Names) != 1 || len(v.Values) != 1 || !cName.MatchString(v.Names[0].Name) {
				return true
			}
			x, negative := v.Values[0], false
			if u, ok := x.(*ast.UnaryExpr); ok && u.Op == token.SUB {
				x, negative = u.X, true
			}
			if lit, ok := x.(*ast.BasicLit); ok {
				i, _ := constant.Uint64Val(constant.MakeFromLiteral(lit.Value, lit.Kind, 0))
				if negative {
					i = -i
				}
				values[v.Names[0].Name] = i
			}
			return true
		})
	}
	if len(values) < 300 {
		t.Fatalf("found only %d constants", len(values))
	}
	var missing map[string]bool
	source := func() string {
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
	missing = undeclared(t, source())
	if len(missing) > len(values)/4 {
		t.Errorf("the headers lack %d of %d constants", len(missing), len(values))
	}
	for name, n := range compile(t, AMD64, source()) {
		// A header writes 0x80000000 as an int or as unsigned.
		if v := values[name]; n != v && !(uint32(n) == uint32(v) && (n>>32 == 0 || n>>32 == 0xffffffff) && v>>32 == 0) {
			t.Errorf("%s is %#x in the headers, %#x here", name, n, v)
		}
	}
}

// undeclared are the names in C source c that gcc does not know.
func undeclared(t *testing.T, c string) map[string]bool {
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip(err)
	}
	cmd := exec.Command("gcc", "-w", "-fsyntax-only", "-fmax-errors=0", "-fdiagnostics-color=never", "-xc", "-")
	cmd.Env = append(cmd.Environ(), "LC_ALL=C")
	cmd.Stdin = strings.NewReader(c)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.Run() // fails where a name is missing
	names := map[string]bool{}
	for _, m := range regexp.MustCompile(`error: '(\w+)' undeclared`).FindAllStringSubmatch(stderr.String(), -1) {
		names[m[1]] = true
	}
	return names
}

const constHeaders = `
#include <limits.h>
#include <asm/signal.h>
#include <asm/siginfo.h>
#include <asm/sigcontext.h>
#include <asm/ucontext.h>
#include <asm/prctl.h>
#include <asm/poll.h>
#include <asm/termios.h>
#include <linux/aio_abi.h>
#include <linux/auxvec.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/eventpoll.h>
#include <linux/fadvise.h>
#include <linux/falloc.h>
#include <linux/fanotify.h>
#include <linux/fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/inotify.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/io_uring.h>
#include <linux/ioprio.h>
#include <linux/ipc.h>
#include <linux/kcmp.h>
#include <linux/kexec.h>
#include <linux/keyctl.h>
#include <linux/landlock.h>
#include <linux/magic.h>
#include <linux/membarrier.h>
#include <linux/memfd.h>
#include <linux/mempolicy.h>
#include <linux/mman.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/msg.h>
#include <linux/net.h>
#include <linux/netlink.h>
#include <linux/openat2.h>
#include <linux/perf_event.h>
#include <linux/personality.h>
#include <linux/pidfd.h>
#include <linux/prctl.h>
#include <linux/ptrace.h>
#include <linux/quota.h>
#include <linux/random.h>
#include <linux/reboot.h>
#include <linux/resource.h>
#include <linux/rseq.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/sem.h>
#include <linux/shm.h>
#include <linux/signalfd.h>
#include <linux/sockios.h>
#include <linux/stat.h>
#include <linux/swab.h>
#include <linux/tcp.h>
#include <linux/tiocl.h>
#include <linux/time.h>
#include <linux/timerfd.h>
#include <linux/timex.h>
#include <linux/udp.h>
#include <linux/userfaultfd.h>
#include <linux/wait.h>
#include <linux/xattr.h>
`
