package trace

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/callset"
)

// FilterError says what is wrong with an expression of Options.Filter, and where.
type FilterError struct {
	Expr   string
	Offset int // in bytes, of what is wrong
	Reason string
}

func (e *FilterError) Error() string {
	return fmt.Sprintf("filter %q, at %d: %s", e.Expr, e.Offset, e.Reason)
}

// filter says what is shown.
type filter struct {
	calls   callset.Set
	signals signalSet
	status  status // 0: any
}

type signalSet struct{ none [abi.NSIG + 1]bool }

func (s *signalSet) has(n int) bool { return n < 0 || n > abi.NSIG || !s.none[n] }

// status is how calls end.
type status uint8

const (
	successful status = 1 << iota
	failed
	unfinished
	unavailable
	detached
)

// wants reports whether a call is to be looked at.
func (f *filter) wants(arch abi.Arch, nr int) bool { return f.calls.Has(arch, nr) }

// shows reports whether a call that has ended is to be shown.
func (f *filter) shows(p *printer) bool {
	if f.status == 0 {
		return true
	}
	switch {
	case p.radix == '?':
		return f.status&unfinished != 0
	case p.errno != 0:
		return f.status&failed != 0
	}
	return f.status&successful != 0
}

// parseFilter reads expressions as strace -e takes them. A later one of a kind replaces an earlier one.
func parseFilter(exprs []string) (filter, error) {
	f := filter{calls: callset.All()}
	for _, expr := range exprs {
		kind, set, ok := strings.Cut(expr, "=")
		at := len(kind) + 1
		if !ok {
			kind, set, at = "trace", expr, 0
		}
		var err error
		switch kind {
		case "trace", "t":
			err = f.parseTrace(expr, set, at)
		case "signal", "signals", "s":
			err = f.parseSignals(expr, set, at)
		case "status":
			err = f.parseStatus(expr, set, at)
		case "abbrev", "a", "verbose", "v", "raw", "x", "read", "reads", "r", "write", "writes", "w", "fault", "inject", "kvm", "quiet", "q", "silent", "decode-fds", "decode-fd":
			err = &FilterError{expr, 0, "-e " + kind + "= is strace's and not here"}
		default:
			err = &FilterError{expr, 0, fmt.Sprintf("no such kind of filter: %q (there are trace, signal and status)", kind)}
		}
		if err != nil {
			return f, err
		}
	}
	return f, nil
}

// parseTrace reads which calls are shown.
func (f *filter) parseTrace(expr, set string, at int) error {
	calls, err := callset.Parse(set)
	if e := (*callset.Error)(nil); errors.As(err, &e) {
		return &FilterError{expr, at + e.Offset, e.Reason}
	}
	f.calls = calls
	return err
}

func (f *filter) parseSignals(expr, set string, at int) error {
	var chosen [abi.NSIG + 1]bool
	negated, err := callset.Elements(set, at, func(s string, at int) error {
		switch s {
		case "all":
			for n := range chosen {
				chosen[n] = true
			}
			return nil
		case "none":
			return nil
		}
		name := strings.ToUpper(s)
		for n := 1; n <= abi.NSIG; n++ {
			if name == signalNames[n] || name == shortNames[n] || s == strconv.Itoa(n) {
				chosen[n] = true
				return nil
			}
		}
		return &FilterError{expr, at, fmt.Sprintf("no such signal: %q", s)}
	})
	if err != nil {
		return err
	}
	for n := range chosen {
		f.signals.none[n] = chosen[n] == negated
	}
	return nil
}

func (f *filter) parseStatus(expr, set string, at int) error {
	const any = successful | failed | unfinished | unavailable | detached
	f.status = 0
	negated, err := callset.Elements(set, at, func(s string, at int) error {
		switch s {
		case "all":
			f.status |= any
		case "none":
		case "successful":
			f.status |= successful
		case "failed":
			f.status |= failed
		case "unfinished":
			f.status |= unfinished
		case "unavailable":
			f.status |= unavailable
		case "detached":
			f.status |= detached
		default:
			return &FilterError{expr, at, fmt.Sprintf("no such status: %q (there are successful, failed, unfinished, unavailable and detached)", s)}
		}
		return nil
	})
	if negated {
		f.status ^= any
	}
	if f.status == any {
		f.status = 0
	} else if f.status == 0 && err == nil {
		f.status = 1 << 7 // none
	}
	return err
}
