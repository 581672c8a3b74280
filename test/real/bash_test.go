package real

import (
	"testing"

	"github.com/sysemu/sysemu/internal/compare"
)

// pidMask hides process numbers in what bash says about jobs.
var pidMask = compare.Mask{
	Pattern: `(?m)(line \d+:) +\d+ `, Replace: "${1} PID ",
	Why: "process numbers differ from run to run, and bash pads them",
}

func TestBash(t *testing.T) {
	compare.Table(t, []compare.Case{
		{Name: "hello", Script: `echo hello`},
		{Name: "exit-status", Script: `exit 42`},
		{Name: "exit-status-wraps", Script: `exit 300`},
		{Name: "false", Args: []string{"/bin/false"}},
		{Name: "arguments", Args: []string{"/bin/bash", "-c", `printf '<%s>' "$0" "$@"; echo $#`, "zero", "a b", "", "c\nd"}},
		{Name: "environment", Script: `env | sort | grep -v '^_='; echo "[$SHLVL]"`, Env: []string{"GREETING=good day", "EMPTY="}},
		{Name: "environment-cleared", Script: `env -i A=1 B=2 /usr/bin/env | sort`},
		{Name: "stdin", Script: `read a; echo "first: $a"; cat; echo end`, Stdin: "one\ntwo\nthree\n"},
		{Name: "stdin-null", Script: `cat; readlink /proc/self/fd/0; echo $?`},
		{Name: "not-found", Script: `no-such-program; echo $?; /no/such/path; echo $?; /etc; echo $?; ./plain; echo $?`, Files: map[string]string{"plain": "echo hi\n"}},
		{Name: "stderr", Script: `echo out; echo err >&2; ls /nonexistent; ls /nonexistent/x 2>&1`},
		{Name: "loop", Script: `for i in $(seq 1 40); do /bin/true || echo failed; done; echo done`},
		{Name: "subshells", Script: `x=1; (x=2; echo $x; (x=3; echo $x; exit 7); echo $?); echo $x`},
		{Name: "command-substitution", Script: `echo "$(echo "$(echo "$(echo deep)")")" $(printf 'a\nb\n\n\n')`},
		{Name: "pipeline", Script: `seq 1 1000 | grep 7 | sort -rn | head -5 | tr '\n' ' '; echo`},
		{Name: "pipeline-long", Script: `seq 1 20000 | cat | cat | cat | cat | cat | cat | md5sum`},
		{Name: "pipestatus", Script: `true | false | exit 3 | true; echo "${PIPESTATUS[@]}"; set -o pipefail; exit 4 | true; echo $?`},
		{Name: "sigpipe", Script: `yes | head -1; echo "${PIPESTATUS[@]}"; (trap '' PIPE; yes 2>&1; echo "yes $?" >&2) | head -1`},
		{Name: "here-document", Script: "cat <<EOF\nhome $((6*7))\n\ttab\nEOF\ncat <<'EOF'\nraw $((6*7))\nEOF\ncat <<-EOF\n\t\tno tabs\n\tEOF\n"},
		{Name: "here-document-big", Script: `x=$(head -c 200000 /dev/zero | tr '\0' x); cat <<EOF | wc -c` + "\n$x\nEOF\n"},
		{Name: "here-string", Script: `read -r a b c <<< "one two three four"; echo "$c|$b|$a"; wc -c <<< ""`},
		{Name: "process-substitution", Script: `diff <(seq 1 5) <(seq 2 6); paste <(echo a) <(echo b); seq 3 | tee >(cat >&2) > /dev/null; sleep 0.2`},
		{Name: "redirections", Script: `echo a > f; echo b >> f; cat < f; echo c 1<> f; cat f; exec 5>g; echo five >&5; exec 5>&-; cat g; echo x >&5; { echo 1; echo 2 >&2; } > both 2>&1; cat both`},
		{Name: "noclobber", Script: `set -C; echo a > f; echo b > f; echo $?; echo c >| f; cat f`},
		{Name: "descriptors", Script: `exec 3< <(seq 3); read -u 3 a; read -u 3 b; echo $a$b; exec 3<&-; ls -l /proc/self/fd | awk '{print $9}' | grep -v '^$' | head -3; exec {fd}>out; echo $((fd >= 10)); exec {fd}>&-`},
		{Name: "wait-status", Script: `(exit 3) & wait $!; echo $?; (exit 4) & p=$!; (exit 5) & wait; echo $?; wait $p; echo $?; wait 999999 2>/dev/null; echo $?`, Masks: []compare.Mask{{Pattern: `pid \d+`, Replace: "pid N", Why: "process numbers differ"}}},
		{Name: "wait-n", Script: `(sleep 0.3; exit 3) & (sleep 0.1; exit 4) & wait -n; echo $?; wait -n; echo $?; wait -n; echo $?`},
		{Name: "background-pipeline", Script: `seq 5 | (sleep 0.1; cat) & wait; echo after`},
		{Name: "kill-job", Script: `set -m; sleep 60 & kill %1; wait %1; echo $?`, Masks: []compare.Mask{pidMask}},
		{Name: "kill-signals", Script: `for s in HUP INT QUIT KILL USR1 USR2 TERM ALRM PIPE; do bash -c "ulimit -c 0; kill -$s \$\$; sleep 1"; echo $s $?; done`, Masks: []compare.Mask{pidMask}},
		{Name: "kill-core-signals", Script: `ulimit -c 0; for s in ILL TRAP ABRT BUS FPE SEGV SYS XCPU XFSZ; do bash -c "kill -$s \$\$; sleep 1"; echo $s $?; done`, Masks: []compare.Mask{pidMask}},
		{Name: "ignored-signals", Script: `bash -c 'kill -CHLD $$; kill -URG $$; kill -WINCH $$; kill -CONT $$; echo alive'; kill -0 $$; echo $?; kill -0 999999; echo $?`},
		{Name: "kill-list", Script: `kill -l; kill -l 9; kill -l 143`},
		{Name: "trap-exit", Script: `trap 'echo bye $?' EXIT; echo hi; exit 5`},
		{Name: "trap-signals", Script: `trap 'echo got usr1' USR1; trap 'echo got term' TERM; kill -USR1 $$; kill -TERM $$; trap - TERM; trap; echo end`},
		{Name: "trap-err-debug", Script: `trap 'echo err $? line $LINENO' ERR; false; (exit 3); true; echo end`},
		{Name: "trap-during-wait", Script: `trap 'echo usr1' USR1; (sleep 0.2; kill -USR1 $$) & sleep 1 & wait $!; echo $?; wait; echo $?`},
		{Name: "trap-inherit", Script: `trap '' INT; trap 'echo mine' TERM; bash -c 'kill -INT $$; echo survived int; kill -TERM $$; echo no'; echo $?`, Masks: []compare.Mask{pidMask}},
		{Name: "trap-chld", Script: `set -m; trap 'echo child' CHLD; sleep 0.1; true; echo end`},
		{Name: "signal-sleeping-child", Script: `sleep 30 & p=$!; sleep 0.1; kill -TERM $p; wait $p; echo $?; sleep 30 & p=$!; kill -STOP $p; kill -CONT $p; kill -KILL $p; wait $p; echo $?`, Masks: []compare.Mask{pidMask}},
		{Name: "stop-and-continue", Script: `set -m; (sleep 0.4; echo slept) & p=$!; kill -STOP $p; sleep 0.2; jobs | tr -s ' ' | cut -c1-10; ps -o stat= -p $p | cut -c1; fg > /dev/null; echo $?`, Need: []string{"ps"}},
		{Name: "jobs", Script: `set -m; sleep 5 & sleep 6 & jobs; kill %2; wait %2; kill %1; wait %1; jobs; echo end`, Masks: []compare.Mask{pidMask}},
		{Name: "foreground", Script: `set -m; (sleep 0.1; exit 6) & fg %1; echo $?`},
		{Name: "disown", Script: `sleep 0.1 & disown; jobs; wait; echo end`},
		{Name: "coproc", Script: `coproc tr a-z A-Z; echo hello >&${COPROC[1]}; p=${COPROC[1]}; exec {p}>&-; cat <&${COPROC[0]}; wait; echo $?`},
		{Name: "select-and-case", Script: `for a in x.c y.h z; do case $a in *.c) echo source;; *.h) echo header;; *) echo other;; esac; done`},
		{Name: "arithmetic", Script: `echo $((2**62)) $((7/2)) $((-7%3)) $((1<<4|3)) $((0x1f)) $((2#101)) $RANDOM | cut -d' ' -f1-6; ((0)); echo $?; let 'x=3*4'; echo $x; (( x > 11 && x < 13 )) && echo twelve; echo $((1/0)); echo $?`},
		{Name: "arrays", Script: `a=(one two three); a[7]=eight; echo ${#a[@]} ${!a[@]} ${a[-1]}; declare -A m=([k]=v [z]=w); for k in $(echo ${!m[@]} | tr ' ' '\n' | sort); do echo $k=${m[$k]}; done; mapfile -t l < <(seq 3); echo ${l[@]/2/two}`},
		{Name: "expansions", Script: `p=/usr/lib/x.tar.gz; echo ${p##*/} ${p%.*} ${p%%.*} ${p/lib/LIB} ${#p} ${p:5:3} ${p^^} ${unset:-default} ${q:=set} $q; echo {1..5} {a..e..2} {x,y}{1,2}`},
		{Name: "globs", Script: `touch a.c b.c .hidden 'sp ace'; mkdir d; touch d/e.c; echo *; echo .h*; echo ?.c [!a].c; shopt -s globstar nullglob dotglob; echo ** nothing*; printf '<%s>\n' *`},
		{Name: "functions", Script: `f() { local x=$1; ((x<=1)) && { echo 1; return; }; echo $((x * $(f $((x-1))))); }; f 6; g() { return 9; }; g; echo $?`},
		{Name: "set-e", Script: `set -e; echo a; (false; echo b) || echo c; false; echo never`},
		{Name: "set-u", Script: `set -u; echo ${x-unset}; echo $x; echo never`},
		{Name: "set-x", Script: `set -x; a=1; x=$(echo $a; false); [ $a -eq 1 ] && : yes`},
		{Name: "eval-source", Script: `echo 'v=sourced; echo "in $BASH_SOURCE $1"' > lib.sh; . ./lib.sh arg; echo $v; eval 'echo $v' twice; . ./missing.sh; echo $?`},
		{Name: "read", Script: `printf 'a:b:c\n' | { IFS=: read x y z; echo $z$y$x; }; printf abc | { read -n 2 v; echo $v; }; read -t 0.1 v < <(sleep 0.5); echo $?; printf 'a\0b\0' | while IFS= read -r -d '' w; do echo "<$w>"; done`},
		{Name: "printf", Script: `printf '%5d|%-5s|%05.1f|%x|%o|%e|%q|%b\n' 42 ab 3.14159 255 8 12345.678 "it's" 'a\tb'; printf '%s\n' a b c; printf -v v %03d 7; echo $v`},
		{Name: "test-operators", Script: `
mkdir d; touch e; echo x > f; ln -s f l; ln -s gone b; mkfifo p; chmod 000 e; touch -d @1 old
for t in "-e f" "-f f" "-d d" "-L l" "-h b" "-e b" "-p p" "-s e" "-s f" "-r f" "-w f" "-x d" "-x f" "-O f" "-G f" "-S f" "-b f" "-c /dev/null" "-u f" "-g f" "-k /tmp" "-t 0" "-N f" "-z x" "-n x" "f -nt old" "f -ot old" "f -ef l" "f -ef e" "a = a" "a != a" "1 -lt 2" "2 -ge 3" "! -e f" "-e f -a -d d" "-e gone -o -d d"; do test $t; echo "$t: $?"; done
[[ abc == a* ]] && echo glob; [[ abc =~ ^a(.)c$ ]] && echo ${BASH_REMATCH[1]}; [ 1 -eq x ]; echo $?`},
		{Name: "umask", Script: `umask; umask 077; touch a; mkdir b; umask 0; touch c; mkdir d; umask -S; stat -c '%n %a' a b c d; umask 022; umask u=rwx,g=,o=; umask`},
		{Name: "ulimit", Script: `ulimit -n 64; ulimit -n; ulimit -c 0; ulimit -c; ulimit -S -f 100; ulimit -f; bash -c 'ulimit -n; ulimit -f'; for i in $(seq 1 80); do eval "exec {v$i}</dev/null" || { echo failed near $((i/20)); break; }; done 2>&1 | sed 's/[0-9]*: //' | tail -2`},
		{Name: "ulimit-file-size", Script: `ulimit -f 2; bash -c 'head -c 10000 /dev/zero > big'; echo $?; stat -c %s big; trap '' XFSZ; head -c 10000 /dev/zero > big2; echo $?`, Masks: []compare.Mask{pidMask}},
		{Name: "ulimit-stack", Script: `ulimit -s 256; ulimit -s; bash -c 'ulimit -s'; /bin/true; echo $?`},
		{Name: "cpu-limit", Script: `bash -c 'ulimit -t 1; while :; do :; done'; echo $?`, Masks: []compare.Mask{pidMask}},
		{Name: "exec", Script: `(exec echo replaced); exec -a zero bash -c 'echo $0'`},
		{Name: "exec-redirect", Script: `exec > out 2>&1; echo hidden; ls /nonexistent; exec >/dev/null; exit 3`},
		{Name: "shebang", Script: `./s one 'two three'; ./nested x; ./missing; echo $?; ./deep; echo $?; ./self; echo $?`,
			Files: map[string]string{
				"s*":       "#!/bin/bash -e\necho \"$0 $# $2\"\n",
				"nested*":  "#!./s inner\n",
				"missing*": "#!/no/such/interpreter\n",
				"deep*":    "#!/bin/sh\necho no newline at the end of the file",
				"self*":    "#!./self\n",
			}},
		{Name: "script-without-shebang", Script: `./s; echo $?`, Files: map[string]string{"s*": "echo plain $0\n"}},
		{Name: "directories", Script: `mkdir -p a/b/c; cd a/b; pwd; cd -; cd a/../a/b/c && pwd; pushd /usr > /dev/null; dirs | sed "s:$HOME:~:"; popd >/dev/null; cd /nonexistent; echo $?; ln -s a/b link; cd "$HOME/link"; pwd; pwd -P; cd ..; pwd`},
		{Name: "removed-directory", Script: `mkdir gone; cd gone; rmdir ../gone; /bin/pwd; echo $?; ls; touch x; echo $?; cd ..; pwd`},
		{Name: "times", Script: `times | wc -l; TIMEFORMAT='%0R'; time sleep 0.01`},
		{Name: "seconds", Script: `SECONDS=0; sleep 1.1; echo $((SECONDS >= 1 && SECONDS <= 2))`},
		{Name: "fork-many", Script: `for i in $(seq 1 30); do (echo $i) & done | sort -n | tr '\n' ' '; wait; echo`},
		{Name: "deep-subshells", Script: `f() { if [ $1 -gt 0 ]; then ( f $(($1-1)) ); else echo bottom $BASH_SUBSHELL; fi; }; f 20`},
		{Name: "dev-fd", Script: `echo through | cat /dev/fd/0; echo x | cat /dev/stdin -; cat /proc/self/comm; echo err > /dev/stderr; echo out > /dev/stdout`},
		{Name: "tcp-refused", Script: `exec 3<>/dev/tcp/127.0.0.1/1; echo $?`},
		{Name: "locale", Script: `x=žluťoučký; echo ${#x} ${x^^}; LC_ALL=C; echo ${#x}`},
		{Name: "history-expansion-off", Script: `echo "hi!"; echo '!!'`},
		{Name: "kill-group", Script: `set -m; (sleep 20 & sleep 20 & wait) & kill -TERM -- -$!; wait $!; echo $?`, Masks: []compare.Mask{pidMask}},
		{Name: "large-output", Script: `seq 1 200000`},
		{Name: "large-input", Script: `md5sum; `, Stdin: bigText(1 << 20)},
		{Name: "closed-streams", Script: `(echo a >&-; echo $? >&2); cat <&-; echo $?; bash -c 'echo x' >&-; echo $?`},
		{Name: "orphan", Script: `bash -c '(sleep 0.3; echo orphan: parent is $([ $PPID -ne 0 ] && echo alive)) &' ; echo parent gone; sleep 0.6`},
		{Name: "argument-limit", Script: `x=$(printf '%*s' 131072 ''); /bin/echo "$x" | wc -c; echo $?; x=$(printf '%*s' 131000 ''); /bin/echo "$x" | wc -c`},
		{Name: "many-arguments", Script: `/bin/echo $(seq 1 30000) | md5sum; /usr/bin/printf '%s\n' $(seq 1 20000) | tail -1`},
	})
}

func TestDash(t *testing.T) {
	compare.Table(t, []compare.Case{
		{Name: "hello", Args: []string{"/bin/dash", "-c", `echo hello; echo $0 $#`}},
		{Name: "stdin-script", Args: []string{"/bin/dash"}, Stdin: "echo from stdin\nexit 3\n"},
		{Name: "pipes", Args: []string{"/bin/dash", "-c", `seq 100 | while read x; do test $((x % 17)) -eq 0 && echo $x; done; ls /nonexistent | wc -l`}},
		{Name: "traps", Args: []string{"/bin/dash", "-c", `trap 'echo exit' EXIT; trap 'echo usr1' USR1; kill -USR1 $$; (kill -TERM $$) ; sleep 1; echo no`}},
		{Name: "wait", Args: []string{"/bin/dash", "-c", `(exit 3) & wait $!; echo $?; sleep 0.1 & wait; echo $?`}},
		{Name: "here-document", Args: []string{"/bin/dash", "-c", "cat <<E\na $(echo b)\nE\n"}},
		{Name: "not-found", Args: []string{"/bin/dash", "-c", `nope; echo $?; /etc/passwd; echo $?`}},
		{Name: "loops", Args: []string{"/bin/dash", "-c", `i=0; while [ $i -lt 200 ]; do i=$((i+1)); done; echo $i; for f in /etc/pa*d; do echo $f; done`}},
		{Name: "redirect", Args: []string{"/bin/dash", "-c", `exec 3>f; echo x >&3; exec 3>&-; cat f; set -C; echo y > f; echo $?`}},
		{Name: "background-kill", Args: []string{"/bin/dash", "-c", `sleep 30 & kill $!; wait $!; echo $?`}},
		{Name: "umask-times-ulimit", Args: []string{"/bin/dash", "-c", `umask 027; umask; touch f; stat -c %a f; ulimit -n 100; ulimit -n`}},
	})
}

func bigText(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('a' + i*7%26)
		if i%64 == 63 {
			b[i] = '\n'
		}
	}
	return string(b)
}
