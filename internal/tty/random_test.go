package tty_test

import (
	"fmt"
	"math/rand"
	"testing"

	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// randomScript types and prints bytes that mean something under random
// settings.
func randomScript(rng *rand.Rand) []step {
	const keys = "ab1_ \t\n\r\x7f\x15\x17\x16\x12\x04\x03\x1a\x11\x13\x01\x00\xff\xc3\xa4\x80zx"
	text := func() string {
		b := make([]byte, 1+rng.Intn(12))
		for i := range b {
			b[i] = keys[rng.Intn(len(keys))]
		}
		return string(b)
	}
	some := func(flags ...uint32) (set uint32) {
		for _, f := range flags {
			if rng.Intn(3) == 0 {
				set |= f
			}
		}
		return set
	}
	var script []step
	add := func(name string, s step) {
		script = append(script, func(p pty) string { return name + ": " + s(p) })
	}
	for range 12 {
		switch rng.Intn(10) {
		case 0, 1:
			i := some(unix.IGNCR, unix.INLCR, unix.ISTRIP, unix.IUCLC, unix.IXANY, unix.IUTF8, unix.IUTF8, unix.PARMRK)
			i |= some(unix.ICRNL, unix.IXON) ^ unix.ICRNL ^ unix.IXON
			o := some(unix.OLCUC, unix.OCRNL, unix.ONOCR, unix.ONLRET, unix.XTABS)
			o |= some(unix.OPOST, unix.ONLCR) ^ unix.OPOST ^ unix.ONLCR
			l := some(unix.ECHOPRT, unix.ECHONL, unix.NOFLSH)
			const usual = unix.ICANON | unix.ECHO | unix.ISIG | unix.IEXTEN | unix.ECHOE | unix.ECHOK | unix.ECHOKE | unix.ECHOCTL
			l |= some(unix.ICANON, unix.ISIG, unix.IEXTEN, unix.ECHOE, unix.ECHOK, unix.ECHOKE, unix.ECHOCTL) ^ usual
			if rng.Intn(6) == 0 {
				l &^= unix.ECHO
			}
			eol := keys[rng.Intn(len(keys))]
			add(fmt.Sprintf("set %#x %#x %#x %q", i, o, l, eol), set(func(t *abi.Termios) {
				t.Iflag, t.Oflag, t.Lflag = i, o, l
				t.Cc[unix.VEOL] = eol
			}))
		case 2:
			s := text()
			add(fmt.Sprintf("print %q", s), printed(s))
		case 3:
			n := 1 + rng.Intn(9)
			add(fmt.Sprintf("get %d", n), get(n))
		case 4:
			add("poll", polls)
		case 5:
			add("count", counts)
		case 6:
			add("screen", screen)
		default:
			s := text()
			add(fmt.Sprintf("type %q", s), typed(s))
		}
	}
	add("screen", screen)
	return append(script, get(100), get(100), get(100))
}

func TestRandom(t *testing.T) {
	n := 100
	if testing.Short() {
		n = 10
	}
	for seed := range n {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			same(t, randomScript(rand.New(rand.NewSource(int64(seed))))...)
		})
	}
}
