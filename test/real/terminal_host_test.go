package real

import (
	"testing"

	"github.com/sysemu/sysemu/internal/compare"
)

// outer is a shell of the host that runs programs inside.
func outer(name string, keys ...compare.Key) compare.Case {
	c := shell(name, keys...)
	c.Outside = true
	return c
}

func expect(what, send string) compare.Key { return compare.Key{Expect: what, Send: send} }

// The host's terminal is shared by a shell of the host and programs inside: it must find it as it would after native ones,
// and job control goes through it.
func TestTerminalShared(t *testing.T) {
	const settings = "stty -a | md5sum\n"
	compare.Table(t, []compare.Case{
		outer("print", at("$IN echo hello\n"), at("$IN printf 'a\\nb\\n'\n"), at("$IN tty >/dev/null; echo $?\n"), at(settings), at("exit\n")),
		outer("read", at("$IN head -n 1\n"), expect("", "line\n"), at(settings), at("exit\n")),
		outer("type-ahead-for-the-shell", at("$IN sleep 1\n"), expect("", "echo $((6*7))\n"), expect(`42\r\n.*@[$#] $`, settings), at("exit\n")),
		outer("type-ahead", at("$IN bash -c 'sleep 1; read l; echo got $l; cat'\n"), expect("", "line\n"), expect("got line", "more\n"), expect("more\r\nmore", "\x04"), at(settings), at("exit\n")),
		outer("interrupt", at("$IN sleep 20\n"), expect("", "\x03"), at("echo $?\n"), at("$IN cat\n"), expect("", "\x03"), at("echo $?\n"), at(settings), at("exit\n")),
		outer("stop-what-prints", at("$IN sleep 20\n"), expect("", "\x1a"), at("jobs\n"), at(settings), at("fg\n"), expect("", "\x03"), at("echo $?\n"), at("exit\n")),
		outer("stop-what-reads", at("$IN cat\n"), expect("", "one\n"), expect("one\r\none\r\n", "\x1a"), at("jobs\n"), at(settings), at("fg\n"), expect("", "two\n"), expect("two\r\ntwo", "\x04"), at("echo $?\n"), at(settings), at("exit\n")),
		outer("stop-pipeline", at("$IN cat | cat\n"), expect("", "one\n"), expect("one\r\none\r\n", "\x1a"), at("jobs\n"), at("fg\n"), expect("", "\x04"), at("echo $?\n"), at(settings), at("exit\n")),
		outer("background", at("$IN sleep 0.5 &\n"), at("jobs\n"), at("wait; echo $?\n"), at("exit\n")),
		outer("background-reads", at("$IN cat &\n"), at("sleep 1\n"), at("jobs\n"), at("fg\n"), expect("", "line\n"), expect("line\r\nline", "\x04"), at(settings), at("exit\n")),
		outer("continue-in-background", at("$IN bash -c 'sleep 2; echo done'\n"), expect("", "\x1a"), at("bg\n"), at("wait; echo $?\n"), at(settings), at("exit\n")),
		outer("shell-inside", at("$IN bash --norc --noprofile -i; echo status $?\n"), at("sleep 20\n"), expect("", "\x1a"), at("jobs\n"), at("fg\n"), expect("", "\x03"), at("exit 4\n"), at(settings), at("exit\n")),
		outer("suspend-shell-inside", at("$IN bash --norc --noprofile -i; echo status $?\n"), at("echo inside\n"), at("suspend\n"), at("jobs\n"), at(settings), at("fg\n"), at("exit 4\n"), at(settings), at("exit\n")),
		outer("vim", at("$IN vim -u NONE -i NONE -n f\n"), expect(`New File`, "ione\x1b"), expect("", "\x1a"), at("jobs\n"), at(settings), at("fg\n"), expect("", "otwo\x1b"), expect("", ":q!\r"), at(settings), at("exit\n")),
		outer("less-outside", at("$IN seq 1 100 | less\n"), expect(":", "G"), expect("END", "q"), at(settings), at("exit\n")),
		outer("less-inside", at("seq 1 100 | $IN less\n"), expect(":", "G"), expect("END", "q"), at(settings), at("exit\n")),
		outer("file", at("$IN bash -c 'tty >&2; seq 3' >f 2>/dev/null; cat f\n"), at("$IN cat <f | cat\n"), at("exit\n")),
		outer("status", at("$IN bash -c 'exit 137'\n"), at("echo $?\n"), at("$IN bash -c 'read -s l; exit 7'\n"), expect("", "\n"), at("echo $?\n"), at(settings), at("exit\n")),
		outer("hidden", at("$IN bash -c 'read -s -p password: l; echo got $l'\n"), expect(`\rpassword:$`, "secret\n"), at(settings), at("exit\n")),
	})
}
