package fault

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// Action is something that a rule does to a call. The zero Action does nothing.
type Action struct {
	kind  kind
	errno unix.Errno
	value uint64 // of retval; a signal's number
	size  Size
	from  Size // of a torn write
	wait  time.Duration
	call  *abi.Call
	pokes []poke
	do    func(c *sysemu.Call, next sysemu.Handler) (uint64, error)
}

// Size is a number of bytes, or a part of what a call asks for.
type Size struct {
	N    int64
	Part float64 // 0 to 1; N is then not looked at
}

// Bytes is n bytes.
func Bytes(n int64) Size { return Size{N: n} }

// Part is a part, 0 to 1, of what a call asks for: of a byte or more never less than one.
func Part(f float64) Size { return Size{Part: f} }

// of is how much of n bytes that is.
func (s Size) of(n int64) int64 {
	if s.Part == 0 {
		return min(s.N, n)
	}
	if n == 0 {
		return 0
	}
	return max(int64(s.Part*float64(n)), 1)
}

func (s Size) String() string {
	if s.Part != 0 {
		return strconv.FormatFloat(s.Part*100, 'g', -1, 64) + "%"
	}
	return strconv.FormatInt(s.N, 10)
}

type poke struct {
	arg  int // 0 to 5
	data []byte
}

type kind uint8

const (
	nothing kind = iota
	setErrno
	setResult
	replaceCall
	raise
	delayEnter
	delayExit
	pokeEnter
	pokeExit
	shorten
	tear
	limitSpace
	jumpClock
	loseSync
	crashNow
	custom
)

// kindNames are the names of actions in rules, and what results they decide.
var kindNames = [...]struct {
	name    string
	decides bool
}{
	nothing: {"nothing", false}, setErrno: {"error", true}, setResult: {"retval", true}, replaceCall: {"syscall", false}, raise: {"signal", false},
	delayEnter: {"delay_enter", false}, delayExit: {"delay_exit", false}, pokeEnter: {"poke_enter", false}, pokeExit: {"poke_exit", false},
	shorten: {"short", true}, tear: {"torn", true}, limitSpace: {"space", true}, jumpClock: {"clock", false},
	loseSync: {"lost", true}, crashNow: {"crash", true}, custom: {"func", false},
}

func (a Action) name() string { return kindNames[a.kind].name }

// decides reports whether it decides how the call ends, so that a rule can have one of it.
func (a Action) decides() bool { return kindNames[a.kind].decides }

// Errno makes the call fail with an error, 1 to 4095, without being made.
func Errno(e unix.Errno) Action { return Action{kind: setErrno, errno: e} }

// Return makes the call succeed with a result, without being made.
func Return(v uint64) Action { return Action{kind: setResult, value: v} }

// Signal sends the calling thread a signal as it enters the call: what sleeps is interrupted.
func Signal(s unix.Signal) Action { return Action{kind: raise, value: uint64(s)} }

// DelayEnter has the thread sleep before the call is made, and DelayExit after it, on the machine's clock and without
// keeping the CPU. A signal ends neither.
func DelayEnter(d time.Duration) Action { return Action{kind: delayEnter, wait: d} }
func DelayExit(d time.Duration) Action  { return Action{kind: delayExit, wait: d} }

// PokeEnter writes data where argument arg, 1 to 6, points to, before the call is made, and PokeExit after it. What
// cannot be written is left as it is.
func PokeEnter(arg int, data []byte) Action {
	return Action{kind: pokeEnter, pokes: []poke{{arg - 1, data}}}
}
func PokeExit(arg int, data []byte) Action {
	return Action{kind: pokeExit, pokes: []poke{{arg - 1, data}}}
}

// Short has a call that reads or writes move no more than that. It does nothing to other calls, nor when the call asks for
// no more. See docs/faults.md for which calls there are.
func Short(s Size) Action { return Action{kind: shorten, size: s} }

// Torn has a write report all of its bytes as written when only those from from up to to are: the first of them, if from
// is 0. The rest of the place it was for keeps what it held; where the file ended before, it grows, and reads as zeros. Of
// a pipe or a socket the rest is lost. It does nothing to calls that do not write.
func Torn(from, to Size) Action { return Action{kind: tear, from: from, size: to} }

// Space has the device be full, ENOSPC, when the rule's calls have written that many bytes. The write that comes to the
// end is short. Of calls that write nothing all fail from then on.
func Space(n int64) Action { return Action{kind: limitSpace, size: Bytes(n)} }

// Clock has the machine's time of day jump, forward or back, just before the call is made: for all programs, and for all that
// they can tell it by. The monotonic clocks go on as they were. It takes a machine whose clock can be set: see
// [Injector.Options].
func Clock(d time.Duration) Action { return Action{kind: jumpClock, wait: d} }

// Lost has a sync lie: fsync, fdatasync, syncfs, sync, sync_file_range and msync succeed, and make nothing durable. It does
// nothing to other calls, nor on a descriptor that is not open.
func Lost() Action { return Action{kind: loseSync} }

// Crash undoes, before the call is made, what has been written to regular files since they were last synced, and kills the
// calling process, as [sysemu.Call.Crash] does. It takes a machine that can: see [Injector.Options].
func Crash() Action { return Action{kind: crashNow} }

// Func is any other fault: f serves the call in place of next, or with it.
func Func(f func(c *sysemu.Call, next sysemu.Handler) (uint64, error)) Action {
	return Action{kind: custom, do: f}
}

// check answers why an action is none.
func (a Action) check() string {
	for _, s := range []Size{a.from, a.size} {
		if s.N < 0 || !(s.Part >= 0 && s.Part <= 1) {
			return fmt.Sprintf("%v is not a number of bytes, nor a part", s)
		}
	}
	switch a.kind {
	case setErrno:
		if a.errno < 1 || a.errno > 4095 {
			return fmt.Sprintf("%d is not an error: they are 1 to 4095", int(a.errno))
		}
	case raise:
		if a.value < 1 || a.value > abi.NSIG {
			return fmt.Sprintf("no such signal: %d", a.value)
		}
	case delayEnter, delayExit:
		if a.wait < 0 {
			return "a delay is not negative"
		}
	case pokeEnter, pokeExit:
		for _, p := range a.pokes {
			if p.arg < 0 || p.arg > 5 {
				return fmt.Sprintf("no such argument: arg%d", p.arg+1)
			}
		}
	case custom:
		if a.do == nil {
			return "the function is nil"
		}
	}
	return ""
}

// String is the action as rules have it.
func (a Action) String() string {
	s := a.name()
	switch a.kind {
	case setErrno:
		return s + "=" + errnoName(a.errno)
	case setResult:
		return s + "=" + strconv.FormatUint(a.value, 10)
	case replaceCall:
		return s + "=" + a.call.Name
	case raise:
		return s + "=" + abi.SignalName(int(a.value))
	case jumpClock:
		if a.wait >= 0 {
			return s + "=+" + a.wait.String()
		}
		return s + "=" + a.wait.String()
	case delayEnter, delayExit:
		return s + "=" + a.wait.String()
	case pokeEnter, pokeExit:
		var list []string
		for _, p := range a.pokes {
			list = append(list, fmt.Sprintf("@arg%d=%s", p.arg+1, hex.EncodeToString(p.data)))
		}
		return s + "=" + strings.Join(list, ",")
	case tear:
		if a.from != (Size{}) {
			return s + "=" + a.from.String() + ".." + a.size.String()
		}
		return s + "=" + a.size.String()
	case shorten, limitSpace:
		return s + "=" + a.size.String()
	case custom:
		return s + "=<func>"
	}
	return s
}

func errnoName(e unix.Errno) string {
	if s := abi.ErrnoName(e); s != "" {
		return s
	}
	return strconv.Itoa(int(e))
}
