package fstest

import (
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/fsys"
)

// sysStat reads what a FileInfo's Sys says.
func sysStat(info fs.FileInfo) (*fsys.Stat, bool) {
	switch s := info.Sys().(type) {
	case *fsys.Stat:
		return s, s != nil
	case *syscall.Stat_t:
		return &fsys.Stat{Ino: s.Ino, Nlink: s.Nlink, UID: s.Uid, GID: s.Gid, Rdev: s.Rdev,
			Atime: time.Unix(s.Atim.Unix()), Ctime: time.Unix(s.Ctim.Unix())}, true
	}
	return nil, false
}

// ability is what a script needs of a file system.
type ability uint

const (
	mkdirs ability = 1 << iota
	removes
	renames
	symlinks
	links
	chmods
	chtimes
	truncates
	mknods
)

func abilities(f fsys.FS) (a ability) {
	has := func(ok bool, b ability) {
		if ok {
			a |= b
		}
	}
	_, ok := f.(fsys.MkdirFS)
	has(ok, mkdirs)
	_, ok = f.(fsys.RemoveFS)
	has(ok, removes)
	_, ok = f.(fsys.RenameFS)
	has(ok, renames)
	_, ok = f.(fsys.SymlinkFS)
	has(ok, symlinks)
	_, ok = f.(fsys.LinkFS)
	has(ok, links)
	_, ok = f.(fsys.ChmodFS)
	has(ok, chmods)
	_, ok = f.(fsys.ChtimesFS)
	has(ok, chtimes)
	_, ok = f.(fsys.TruncateFS)
	has(ok, truncates)
	_, ok = f.(fsys.MknodFS)
	has(ok, mknods)
	return a
}

// scripts are run on the file system and on a tmpfs, each in an empty
// directory or, where there are none, one after another in the root.
var scripts = []struct {
	name   string
	needs  ability
	script string
}{
	{"write and append", 0, `echo one > wa; echo two >> wa; cat wa; wc -c < wa; : > wa; wc -c < wa`},
	{"exclusive", 0, `set -C; echo a > ex; echo b > ex; cat ex`},
	{"holes", 0, `printf x | dd of=ho bs=1 seek=70000 conv=notrunc 2>/dev/null; wc -c < ho; od -c ho | head -4; tail -c 1 ho`},
	{"overwrite", 0, `echo 0123456789 > ov; printf AB | dd of=ov bs=1 seek=3 conv=notrunc 2>/dev/null; cat ov`},
	{"listing", 0, `echo > ls2; echo > ls1; echo > ls3; ls ls*; cat none; ls none`},
	{"modes", 0, `umask 027; echo > mo; stat -c '%a %F %h %s' mo; umask 0; echo > mo2; stat -c %a mo2`},
	{"tree", mkdirs, `mkdir -p a/b/c; echo x > a/b/c/f; find a | sort; stat -c '%F %a' a/b; cd a/b; pwd -P | sed 's/.*x/x/'; cat ../b/c/f`},
	{"mkdir errors", mkdirs, `mkdir d d; mkdir none/d; echo > f; mkdir f f/d; mkdir d/.`},
	{"remove", mkdirs | removes, `mkdir d; echo > d/f; rmdir d; rm d/f; rmdir d; ls; rm none; rmdir none; echo x > f; rmdir f; unlink f; ls`},
	{"removed while open", removes, `exec 3<>op; echo text >&3; rm op; cat /proc/self/fd/3; stat -L -c '%h %s' /proc/self/fd/3; echo more >&3; stat -L -c %s /proc/self/fd/3`},
	{"rename", mkdirs | removes | renames, `mkdir d e; echo A > a; echo B > b; mv a b; cat b; mv b d; mv d e/; find e | sort; mv e/d/b e/c; cat e/c; mv e e/c; mv e e/in; ls -R e; mv -T e/d x; ls`},
	{"rename open", removes | renames, `echo A > ra; exec 3< ra; mv ra rb; echo B > ra; cat <&3; cat ra rb`},
	{"symlinks", symlinks | mkdirs, `mkdir d; echo x > d/f; ln -s d l; cat l/f; ln -s d/f m; cat m; readlink l m; ln -s loop loop; cat loop; stat -c '%F %s' m; echo y > m; cat d/f; ln -s none n; echo z > n; cat none`},
	{"hard links", links | removes, `echo x > ha; ln ha hb; stat -c %h ha hb; echo y > hb; cat ha; rm ha; stat -c %h hb; cat hb; ln hb hb; [ hb -ef hb ] && echo same`},
	{"chmod", chmods, `echo > ch; chmod 640 ch; stat -c %a ch; chmod u+x ch; stat -c %a ch; chmod 4755 ch; stat -c %a ch`},
	{"execute", chmods, `printf '#!/bin/sh\necho ran $1\n' > ru; ./ru; chmod +x ru; ./ru well`},
	{"run a binary", chmods, `cat /bin/echo > bi; chmod +x bi; ./bi this is it`},
	{"times", chtimes, `echo > ti; touch -d @981173106 ti; stat -c '%X %Y' ti; touch -a -d @1000 ti; stat -c '%X %Y' ti; touch -r ti tj; stat -c '%Y' tj`},
	{"truncate", truncates, `echo 0123456789 > tr; truncate -s 4 tr; cat tr; echo; truncate -s 8 tr; od -c tr; truncate -s +1 tr; wc -c < tr`},
	{"fifo", mknods | removes, `mkfifo ff; (echo through > ff) & cat ff; wait; stat -c %F ff; rm ff`},
	{"copy a tree", mkdirs | symlinks | chmods | chtimes | removes, `mkdir -p s/d; echo 1 > s/a; echo 2 > s/d/b; ln -s a s/l; chmod 600 s/a; touch -d @5000 s/a s/d; cp -a s t; find t | sort | xargs stat -c '%n %F %a'; readlink t/l; stat -c %Y t/a t/d; diff -r s t && echo equal; tar cf - t | tar tvf - | wc -l; rm -r s; ls`},
}

// testPrograms compares what programs see on the file system with what they see
// on tmpfs.
func testPrograms(t *testing.T, newFS func(t *testing.T) fsys.FS) {
	f := newFS(t)
	m, err := sysemu.New(sysemu.WithFS(f, "/mnt/x"), sysemu.WithTmpfs("/ref/x"), sysemu.WithUser(0, 0), sysemu.WithCPUs(1), log(t))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	can := abilities(f)
	// Busybox has it all in one program that need not be linked.
	shell := ""
	if m.Command("busybox", "true").Run() == nil {
		shell = "busybox"
	}
	run := func(dir, script string) string {
		cmd := m.Command("sh", "-c", script)
		if shell != "" {
			cmd = m.Command(shell, "sh", "-c", script)
		}
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			return string(out) + err.Error()
		}
		return string(out)
	}
	const mark = "--- done: "
	var all strings.Builder
	var parts []int
	for i, c := range scripts {
		if c.needs&^can != 0 {
			continue
		}
		parts = append(parts, i)
		dir := "."
		if can&mkdirs != 0 {
			dir = fmt.Sprintf("dir%d", i)
			fmt.Fprintf(&all, "mkdir %s\n", dir)
		}
		fmt.Fprintf(&all, "(cd %s || exit\n%s\n) 2>&1\necho '%s'\n", dir, c.script, mark)
	}
	got, want := run("/mnt/x", all.String()), run("/ref/x", all.String())
	gots, wants := strings.Split(got, mark+"\n"), strings.Split(want, mark+"\n")
	if len(wants) != len(parts)+1 || len(gots) != len(wants) {
		t.Fatalf("a program ended early: it has\n%s\nand on tmpfs\n%s", got, want)
	}
	for j, i := range parts {
		if g, w := strings.ReplaceAll(gots[j], "/mnt/x", "/ref/x"), wants[j]; g != w {
			t.Errorf("%s: a program has\n%s\nand on tmpfs\n%s\nby %s", scripts[i].name, g, w, scripts[i].script)
		}
	}
	// What programs left is what the file system has.
	run("/mnt/x", "echo from inside > host-side")
	contents(t, f, "host-side", "from inside\n")
	write(t, f, "host-side", "from outside\n")
	write(t, f, "host-new", "and this\n")
	if got := run("/mnt/x", "cat host-side host-new"); got != "from outside\nand this\n" {
		t.Errorf("what was written outside reads %q inside", got)
	}
}
