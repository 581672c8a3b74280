package real

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sysemu/sysemu/internal/compare"
	"github.com/sysemu/sysemu/internal/hostcan"
)

// i386Root is where test/i386/fetch has put programs of Debian's i386
// packages.
func i386Root(t *testing.T) string {
	compare.Enabled(t)
	hostcan.Need(t, hostcan.Run32)
	out, err := exec.Command("../i386/fetch").Output()
	root := strings.TrimSpace(string(out))
	if _, bad := os.Stat(filepath.Join(root, "complete")); err != nil || bad != nil {
		t.Fatalf("test/i386/fetch: %v, %v", err, bad)
	}
	return root
}

// TestI386 runs 32-bit programs of Debian, their libraries beside them. Those
// that a script finds in /usr/bin are 64-bit programs.
func TestI386(t *testing.T) {
	root := i386Root(t)
	env := []string{
		"R=" + root,
		"LD_LIBRARY_PATH=" + root + "/lib/i386-linux-gnu:" + root + "/usr/lib/i386-linux-gnu",
		"PYTHONHOME=" + root + "/usr",
		"PERL5LIB=" + root + "/usr/lib/i386-linux-gnu/perl-base",
	}
	for _, c := range []compare.Case{
		{Name: "bash", Script: `for i in 1 2 3; do echo $i | cat; done; echo $((2**40)) $MACHTYPE; (exit 3); echo $?
			trap 'echo usr1' USR1; kill -USR1 $$; x=$(ls -d /usr /bin); echo $x; sleep 0.01 & wait; uname -m; (exit 6) & wait $!; echo $?
			echo through | { read y; echo $y; }; cat <<< here; [[ abc =~ b(.) ]] && echo ${BASH_REMATCH[1]}; echo {a..e} $(( (1 << 62) / 3 ))`},
		{Name: "coreutils", Script: `PATH=$R/bin:$R/usr/bin; seq 1000 | sort -rn | head -3; seq 100000 | sha256sum; head -c 1000000 /dev/zero | wc -c
			mkdir d; cp $R/bin/ls d; cmp d/ls $R/bin/ls; ls -l d | wc -l; stat -c %s d/ls; touch -d @100 f; date -u -r f; ln -s f l; readlink l; mkfifo p
			(echo x > p) & cat p; dd if=/dev/zero bs=4k count=100 2>/dev/null | md5sum; rm -r d; timeout 0.1 sleep 5; echo $?; id -u; tac < /etc/passwd | tail -1
			truncate -s 5G big; stat -c %s big; tail -c 3 big | od -An -tx1; rm big; df . > /dev/null; echo $?; chmod 640 f; stat -c %a f; du -b f; mktemp -u | wc -c`},
		{Name: "perl", Files: map[string]string{"p.pl": `print 2**20, " ", join(",", map {$_*2} 1..5), "\n";
			$| = 1; $x = fork; exit 7 if !$x; waitpid($x, 0); print $? >> 8, "\n";
			$SIG{ALRM} = sub { die "alarm\n" }; eval { alarm 1; select(undef, undef, undef, 20) }; print $@;
			open F, "<", "/etc/passwd"; $n = () = <F>; print $n > 5, "\n"; print length(qx(echo hi)), "\n";
			pipe(R, W); syswrite W, "q"; sysread R, $b, 1; print "$b\n"; printf "%.3f\n", atan2(1, 1) * 4; print -s "/etc/passwd" > 0, "\n"`},
			Script: `$R/usr/bin/perl p.pl`},
		{Name: "python", Files: map[string]string{"p.py": `
import hashlib, json, mmap, os, select, signal, socket, subprocess, sys, threading, time
print(sys.maxsize, os.uname().machine)
l = []
t = [threading.Thread(target=lambda i=i: l.append(i * i)) for i in range(5)]
[x.start() for x in t]; [x.join() for x in t]
print(sorted(l))
print(subprocess.run(["echo", "x"], capture_output=True).stdout)
a, b = socket.socketpair(); a.send(b"pair"); print(b.recv(10))
print(hashlib.sha256(b"x").hexdigest(), json.dumps({"a": [1, 2.5]}))
print(os.stat("/etc/passwd").st_mtime_ns > 0)
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen()
c = socket.create_connection(s.getsockname()); d, _ = s.accept(); c.sendall(b"tcp"); print(d.recv(9))
m = mmap.mmap(-1, 8192); m[0:3] = b"abc"; print(m[0:4])
signal.signal(signal.SIGUSR1, lambda *a: print("usr1")); os.kill(os.getpid(), signal.SIGUSR1)
print(select.select([], [], [], 0.01), select.poll().poll(1), time.time() > 1e9)
e = select.epoll(); e.register(d, select.EPOLLIN); c.send(b"q"); print([x[1] for x in e.poll(1)])
with open("big", "wb") as f: f.seek(5 << 30); f.write(b"end")
print(os.stat("big").st_size); os.unlink("big")
`}, Script: `$R/usr/bin/python3.11 p.py`},
		{Name: "hand-off", Script: `echo 'echo $MACHTYPE $((1 << 40)); n=$1; shift; [[ $n ]] && exec $n step "$@"' > step
			chmod +x step; exec /bin/bash step $R/bin/bash /bin/bash $R/bin/bash /bin/bash`},
	} {
		t.Run(c.Name, func(t *testing.T) {
			c.Env = env
			c.Args, c.Script = []string{root + "/bin/bash", "-c", c.Script}, ""
			compare.Run(t, c)
		})
	}
}
