package real

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sysemu/sysemu/internal/compare"
)

// prompt makes an interactive bash quiet and its prompt recognizable.
var prompt = []string{"PS1=@\\$ ", "HISTFILE=/dev/null", "INPUTRC=/dev/null", "BASH_SILENCE_DEPRECATION_WARNING=1"}

// shellMasks hide what interactive shells print that differs between runs.
var shellMasks = []compare.Mask{
	{Pattern: `\[(\d+)\] \d+`, Replace: "[$1] PID", Why: "process numbers differ"},
	{Pattern: `/dev/pts/\d+`, Replace: "/dev/pts/N", Why: "terminals are numbered as they come"},
}

func shell(name string, keys ...compare.Key) compare.Case {
	return compare.Case{Name: name, Args: []string{"/bin/bash", "--norc", "--noprofile", "-i"}, Env: prompt, Keys: keys, Masks: shellMasks}
}

func at(send string) compare.Key { return compare.Key{Expect: `@[$#] $`, Send: send} }

func TestTerminal(t *testing.T) {
	compare.Table(t, []compare.Case{
		{Name: "streams", Script: `for i in 0 1 2; do test -t $i; echo $?; done; tty; stty size; stty -a; ps -o tpgid=,pgid= -p $$ | awk '{print $1==$2}'`, Keys: []compare.Key{}, Masks: shellMasks},
		{Name: "cooked-line", Script: `read -r l; echo "got <$l>"; read -r l; echo "got <$l>"; cat`, Keys: []compare.Key{{Send: "abc\x7f\x7fd\n"}, {Expect: `got <ad>`, Send: "one two\x17three\x15four\n"}, {Expect: `got <four>`, Send: "to cat\n"}, {Expect: `to cat\r\nto cat`, Send: "\x04"}}},
		{Name: "raw-and-echo", Script: `stty -echo; read -r l; echo "hidden: $l"; stty echo; stty raw; dd bs=1 count=3 status=none | od -An -c; stty sane; echo end`, Keys: []compare.Key{{Send: "secret\n"}, {Expect: "hidden: secret", Send: ""}, {Send: "\x03\r\x04"}}},
		{Name: "interrupt", Script: `trap 'echo caught; exit 5' INT; echo ready; sleep 20 & wait`, Keys: []compare.Key{{Expect: "ready", Send: "\x03"}}},
		{Name: "interrupt-default", Args: []string{"sleep", "20"}, Keys: []compare.Key{{Send: "\x03"}}},
		{Name: "quit", Script: `ulimit -c 0; trap 'echo quit' QUIT; echo ready; sleep 20; echo $?`, Keys: []compare.Key{{Expect: "ready", Send: ""}, {Send: "\x1c"}}, Masks: []compare.Mask{pidMask}},
		{Name: "end-of-file", Script: `cat; echo $?`, Keys: []compare.Key{{Send: "partial\x04"}, {Expect: "partialpartial", Send: "\x04"}}},
		{Name: "resize", Script: `trap 'stty size; exit' WINCH; stty size; while :; do sleep 0.1; done`, Keys: []compare.Key{{Expect: "24 80", Resize: &unix.Winsize{Row: 30, Col: 100}}}},
		{Name: "flow-control", Script: `echo ready; read l; echo $l; read l; echo end`, Keys: []compare.Key{{Expect: "ready", Send: "\x13a\n\x11"}, {Expect: `a\r\na`, Send: "\n"}}},
		shell("shell", at("echo $((6*7)); tty; stty size\n"), at("false\n"), at("echo $?\n"), at("exit 3\n")),
		shell("shell-edit", at("echo abXc\x1b[D\x1b[D\x1b[3~\x01\x05d\n"), at("ech\t \"tab\"\n"), at("\x1b[A\n"), at("\x04")),
		shell("shell-interrupt", at("sleep 20\n"), compare.Key{Send: "\x03"}, at("echo $?\n"), at("exit\n")),
		shell("shell-job-control", at("sleep 20\n"), compare.Key{Send: "\x1a"}, at("jobs\n"), at("bg\n"), at("jobs\n"), at("fg\n"), compare.Key{Expect: `l\r?sleep 20\r\n$`, Send: ""}, compare.Key{Send: "\x03"}, at("jobs; echo $?\n"), at("exit\n")),
		shell("shell-kill-job", at("sleep 20 &\n"), at("kill %1; sleep 0.2\n"), at("\n"), at("exit\n")),
		shell("shell-background-read", at("cat &\n"), at("sleep 0.3\n"), at("jobs\n"), at("fg\n"), compare.Key{Expect: `l\r?cat\r\n$`, Send: "line\n"}, compare.Key{Expect: "line\r\nline\r\n", Send: "\x04"}, at("exit\n")),
		shell("shell-pipeline-stop", at("sleep 20 | cat | cat\n"), compare.Key{Send: "\x1a"}, at("jobs | wc -l\n"), at("fg\n"), compare.Key{Expect: `l\r?sleep 20 \| cat \| cat\r\n$`, Send: ""}, compare.Key{Send: "\x03"}, at("echo $?\n"), at("exit\n")),
		shell("shell-hangup", at("sleep 20 &\n"), at("exec 2>/dev/null; kill -HUP $$\n")),
		{Name: "dash", Args: []string{"/bin/dash", "-i"}, Env: []string{"PS1=@$ "}, Keys: []compare.Key{at("echo $((1+1))\n"), at("sleep 20\n"), {Send: "\x03"}, at("exit 4\n")}},
		{Name: "script", Script: `script -qec 'tty | cut -c1-9; stty size; exit 6' /dev/null; echo $?`, Need: []string{"script"}, Keys: []compare.Key{}},
		{Name: "python-repl", Args: []string{python, "-q"}, Need: []string{python}, Keys: []compare.Key{{Expect: `>>> $`, Send: "1 + 1\n"}, {Expect: `2\r\n>>> $`, Send: "import os; os.isatty(0)\n"}, {Expect: `True\r\n>>> $`}, {Send: "\x03"}, {Expect: `>>> $`, Send: "\x04"}}, Env: []string{"PYTHONSTARTUP="}},
		{Name: "top-once", Script: `top -b -n 1 | head -1 | cut -c1-3`, Need: []string{"top"}, Keys: []compare.Key{}},
	})
}

func TestVimAndLess(t *testing.T) {
	compare.Table(t, []compare.Case{
		{Name: "vim-edit", Script: `vim -u NONE -i NONE -n f; echo "status $?"; cat f`, Need: []string{"vim"}, Files: map[string]string{"f": "first line\nsecond line\n"},
			Keys: []compare.Key{{Expect: `f" 2 lines`}, {Send: "ihello "}, {Send: "\x1b"}, {Send: "jdd"}, {Send: ":%s/line/LINE/\r"}, {Send: ":wq\r"}}},
		{Name: "vim-shell-and-suspend", Script: `vim -u NONE -i NONE -n f; echo "status $?"`, Need: []string{"vim"}, Files: map[string]string{"f": "one\n"},
			Keys: []compare.Key{{Expect: `f" 1 line,`}, {Send: ":!echo from the shell\r"}, {Expect: "Press ENTER", Send: "\r"}, {Send: ":r !seq 3\r"}, {Send: ":q\r"}, {Expect: "No write since"}, {Send: ":cq\r"}}},
		{Name: "vim-script", Script: `vim -u NONE -i NONE -es -c '%s/a/b/g' -c 'wq' f; echo $?; cat f`, Need: []string{"vim"}, Files: map[string]string{"f": "aaa\n"}},
		{Name: "vim-resize", Script: `vim -u NONE -i NONE -n f; echo "status $?"`, Need: []string{"vim"}, Files: map[string]string{"f": "one\n"},
			Keys: []compare.Key{{Expect: `f" 1 line,`}, {Resize: &unix.Winsize{Row: 15, Col: 60}}, {Send: ":echo &lines &columns\r"}, {Send: ":q!\r"}}},
		{Name: "less", Args: []string{"less", "/usr/share/common-licenses/GPL-3"}, Need: []string{"less"},
			Keys: []compare.Key{{Expect: "GPL-3"}, {Send: " "}, {Send: "/warranty\r"}, {Send: "n"}, {Send: "G"}, {Expect: "END"}, {Send: "1g"}, {Send: "q"}}},
		{Name: "less-pipe", Script: `seq 1 500 | less; echo "status $?"`, Need: []string{"less"},
			Keys: []compare.Key{{Expect: ":"}, {Send: "G"}, {Expect: "END"}, {Send: "b"}, {Send: "q"}}},
		{Name: "less-interrupt", Script: `(seq 1 30; sleep 20) | less; echo "status $?"`, Need: []string{"less"},
			Keys: []compare.Key{{Expect: ":"}, {Send: "q"}, {Send: "\x03"}}},
	})
}
