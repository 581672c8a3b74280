package policy

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// Decision is what the function of WithAsk decides: Allow (as its zero value does), Kill, or Deny with an errno. Any other denies with
// EPERM.
type Decision struct {
	Action Action
	Errno  syscall.Errno // of Deny; 0 is EPERM
}

// Event is something that a Policy has decided, or that a log rule has told.
type Event struct {
	Rule   *Rule // nil: the default
	Action Action
	Errno  syscall.Errno // of Deny
	Call   string        // its name, that of the purpose for socketcall and ipc
	PID    int
	Path   string // of the file; "": it was not about one
	Mode   Mode   // what was to be done with the file
	Addr   string // of a socket, as addr= has it; "": it was not about one
}

func (e *Event) String() string {
	s := fmt.Sprintf("pid %d: %s", e.PID, e.Call)
	if e.Path != "" {
		s += fmt.Sprintf(" path=%s mode=%s", quote(e.Path), e.Mode)
	}
	if e.Addr != "" {
		s += " addr=" + quote(e.Addr)
	}
	s += ": " + e.Action.String()
	if e.Action == Deny {
		s += " " + errnoName(e.Errno)
	}
	if e.Rule != nil {
		return s + " (" + e.Rule.String() + ")"
	}
	return s + " (default)"
}

// Option is an option of Middleware.
type Option func(*options)

type options struct {
	ask func(*sysemu.Call, *sysemu.Access) Decision
	log func(*Event)
}

// WithAsk sets the function that decides where a rule says ask. The Access is nil if the rule is about the call alone.
// It may block: the program waits, the machine goes on, and [sysemu.Call.Context] ends when the call is to. It is asked once of
// each file that one call uses. Without it such calls are denied.
func WithAsk(f func(*sysemu.Call, *sysemu.Access) Decision) Option {
	return func(o *options) { o.ask = f }
}

// WithLog has f told of what log rules match and of every call that is denied or ends its process.
func WithLog(f func(*Event)) Option { return func(o *options) { o.log = f } }

// Middleware applies p to the calls that programs make. It sees only the calls that rules name, if the default is to
// allow. A p that Check does not take is an error; later changes of p have no effect.
//
// Calls without which no program ends or returns from a signal (exit, exit_group, rt_sigreturn, sigreturn and
// restart_syscall) are not subject to the default.
func Middleware(p *Policy, opts ...Option) (sysemu.Middleware, error) {
	own := *p
	own.Rules = append([]Rule(nil), p.Rules...)
	k, err := own.compile()
	if err != nil {
		return nil, err
	}
	e := &enforcer{k: k}
	for _, o := range opts {
		o(&e.options)
	}
	mw := func(next sysemu.Handler) sysemu.Handler {
		return sysemu.HandlerFunc(func(c *sysemu.Call) (uint64, error) { return e.serve(c, next) })
	}
	if names, enough := k.callNames(); enough {
		return sysemu.Only(mw, names...), nil
	}
	return mw, nil
}

// enforcer is a policy in force.
type enforcer struct {
	k *compiled
	options
}

// attempt is a call on its way through the rules.
type attempt struct {
	e     *enforcer
	c     *sysemu.Call
	nr    int
	pid   int
	name  string    // of the call, or of what socketcall or ipc stands for
	sub   *abi.Call // what they stand for; nil: neither of them
	args  []uint64  // of sub, once the kernel has read them; nil: not yet
	rules []*rule   // that match if what the call uses does, in order
	final *rule     // decides if none of them matches; nil: the default

	mu struct { // the kernel's lock guards these while the call is made
		events  []Event
		kill    bool
		asked   *sysemu.Access // nil: there is nothing to be asked
		asking  *rule
		answers map[string]Decision
	}
}

func (e *enforcer) serve(c *sysemu.Call, next sysemu.Handler) (uint64, error) {
	a := attempt{e: e, c: c, nr: c.Number(), name: c.Name()}
	if e.log != nil {
		a.pid = c.PID()
	}
	list := e.k.other
	if uint(a.nr) <= abi.MaxNumber {
		if list = e.k.by[0][a.nr]; c.Arch() == abi.I386 {
			list = e.k.by[1][a.nr]
		}
	}
	if s := abi.Subcall(a.name, c.Arg(0)); s != "" {
		a.sub, a.name = abi.ByName(s), s
	}
rules:
	for _, r := range list {
		switch a.matches(r) {
		case no:
		case maybe:
			a.rules = append(a.rules, r)
		case yes:
			if r.Action != Log {
				a.final = r
				break rules
			}
			a.note(r, Log, 0, nil)
		}
	}
	if len(a.rules) == 0 {
		return a.conclude(a.final, next)
	}
	if c.Native() {
		return a.native(next)
	}
	return a.watch(next)
}

type answer uint8

const (
	no answer = iota
	maybe
	yes
	partly // the rule is about some of what is in a directory
)

// matches says whether a rule matches the call, as far as that can be told before it is made. Where it can never be told, a
// rule that allows does not match and any other does.
func (a *attempt) matches(r *rule) answer {
	unknown := yes
	if r.Action == Allow {
		unknown = no
	}
	if len(r.Users) > 0 {
		uid, ok := a.c.UID()
		if !ok {
			return unknown
		}
		if !slices.Contains(r.Users, uid) {
			return no
		}
	}
	on, own := a.c.Desc(), r.set.Has(a.c.Arch(), a.c.Number())
	result := yes
	if !own { // then it names what the call stands for
		if on = a.sub; on == nil || !r.has(on) || !r.applies(on) {
			return no
		}
	}
	if len(r.args) > 0 {
		switch {
		case !own && a.c.Name() == "socketcall":
			result = maybe
		case !own:
			return unknown // ipc mixes arguments and what lies in memory
		default:
			switch a.argsHold(r, on.ArgsOn(a.c.Arch()), a.c.Int) {
			case no:
				return no
			case maybe:
				return unknown
			}
		}
	}
	if r.onFiles() || len(r.addrs) > 0 {
		result = maybe
	}
	return result
}

// argsHold compares arguments; maybe says that the call has no argument that a condition speaks of.
func (a *attempt) argsHold(r *rule, args []abi.Arg, value func(int) int64) answer {
	for i := range r.args {
		c := &r.args[i]
		n, mask, num, err := c.resolve(args)
		if err != nil {
			return maybe
		}
		if !c.holds(value(n), mask, num) {
			return no
		}
	}
	return yes
}

// conclude does what a rule says of the call as a whole.
func (a *attempt) conclude(r *rule, next sysemu.Handler) (uint64, error) {
	action, errno := a.actionOf(r)
	if action == Ask {
		d, err := a.e.decide(a.c, nil)
		if err != nil {
			return 0, err
		}
		action, errno = d.Action, d.Errno
	}
	switch action {
	case Allow:
		a.flush()
		return next.ServeCall(a.c)
	case Kill:
		a.c.Kill()
	}
	a.note(r, action, errno, nil)
	a.flush()
	return 0, errno
}

// actionOf is what a rule, or the default, says.
func (a *attempt) actionOf(r *rule) (Action, syscall.Errno) {
	action, errno := a.e.k.Default, a.e.k.Errno
	if r != nil {
		action, errno = r.Action, r.Errno
	} else {
		switch a.name {
		case "exit", "exit_group", "rt_sigreturn", "sigreturn", "restart_syscall":
			action = Allow
		}
	}
	if errno == 0 {
		errno = unix.EPERM
	}
	return action, errno
}

// native decides about a call of which nobody can tell what it will use.
func (a *attempt) native(next sysemu.Handler) (uint64, error) {
	for _, r := range a.rules {
		switch r.Action {
		case Allow:
		case Log:
			a.note(r, Log, 0, nil)
		default:
			return a.conclude(r, next)
		}
	}
	return a.conclude(a.final, next)
}

// maxQuestions bounds how often one call may be asked about.
const maxQuestions = 64

// watch makes the call, and has the kernel ask about what it uses. What is to be asked outside ends the call before it has
// done anything; then it is made again.
func (a *attempt) watch(next sysemu.Handler) (uint64, error) {
	a.c.Guard(a.use)
	for range maxQuestions {
		a.mu.asked, a.mu.events, a.args = nil, nil, nil
		v, err := next.ServeCall(a.c)
		if asked := a.mu.asked; asked != nil && err != nil && !a.mu.kill {
			if a.mu.answers == nil {
				a.mu.answers = map[string]Decision{}
			}
			d, err := a.e.decide(a.c, asked)
			if err != nil {
				return 0, err
			}
			a.mu.answers[key(asked)] = d
			continue
		}
		if a.mu.kill {
			a.c.Kill()
		}
		a.flush()
		return v, err
	}
	return 0, unix.EPERM // the names it uses change all the time
}

// use is asked by the kernel.
func (a *attempt) use(x *sysemu.Access) error {
	if x.Sub != "" {
		a.args = append([]uint64{}, x.Args...)
	}
	for _, r := range a.rules {
		answer := a.usedBy(r, x)
		switch answer {
		case no:
			continue
		case maybe: // only what socketcall will use tells
			return nil
		}
		if r.Action == Log {
			a.note(r, Log, 0, x)
			continue
		}
		if answer == partly {
			// Who moves things goes on with one after the other then.
			a.note(r, Deny, unix.EXDEV, x)
			return unix.EXDEV
		}
		return a.act(r, x)
	}
	return a.act(a.final, x)
}

// usedBy says whether a rule matches what the call is about to use.
func (a *attempt) usedBy(r *rule, x *sysemu.Access) answer {
	if len(r.args) > 0 && a.sub != nil && !r.set.Has(abi.I386, a.nr) {
		switch a.argsHold(r, a.sub.ArgsOn(abi.I386), a.subArg) {
		case no:
			return no
		case maybe:
			if r.Action == Allow {
				return no
			}
		}
	}
	switch {
	case x.Sub != "":
		if r.onFiles() || len(r.addrs) > 0 {
			return maybe
		}
		return yes
	case x.Addr != nil:
		if r.onFiles() {
			return no
		}
		if len(r.addrs) == 0 || slices.ContainsFunc(r.addrs, func(p addrPattern) bool { return p.match(x.Addr, a.name == "bind") }) {
			return yes
		}
		return no
	}
	u := Mode(x.Use) & anyMode
	for i := range r.addrs { // a socket in the file system
		p := &r.addrs[i]
		if p.unix != nil && p.unix.match(x.Path) || p.family == unix.AF_UNIX && p.unix == nil && !p.isName && !p.none {
			return yes
		}
	}
	if len(r.addrs) > 0 {
		return no
	}
	if r.onFiles() && (r.Action == Allow && u&^r.mode != 0 || u&r.mode == 0) {
		return no
	}
	if len(r.paths) == 0 {
		return yes
	}
	for i := range r.paths {
		g := &r.paths[i]
		if x.Use&sysemu.UseTree == 0 && g.match(x.Path) || x.Use&sysemu.UseTree != 0 && g.covers(x.Path) {
			return yes
		}
	}
	if x.Use&sysemu.UseTree != 0 && r.Action != Allow {
		for i := range r.paths {
			if r.paths[i].touches(x.Path) {
				return partly
			}
		}
	}
	return no
}

// subArg is an argument of the call that socketcall stands for.
func (a *attempt) subArg(i int) int64 {
	if i >= len(a.args) {
		return 0
	}
	switch a.sub.ArgsOn(abi.I386)[i].Kind.Base() {
	case abi.Int, abi.FD, abi.Long:
		return int64(int32(a.args[i]))
	}
	return int64(uint32(a.args[i]))
}

// act does what a rule says of what the call is about to use.
func (a *attempt) act(r *rule, x *sysemu.Access) error {
	action, errno := a.actionOf(r)
	if action == Ask {
		d, ok := a.mu.answers[key(x)]
		if !ok {
			a.mu.asked = x
			return unix.EPERM
		}
		action, errno = d.Action, d.Errno
	}
	switch action {
	case Allow:
		return nil
	case Kill:
		a.mu.kill = true
	}
	a.note(r, action, errno, x)
	return errno
}

// decide asks outside; the program waits meanwhile, and others run. The error is the call's: a signal came first, or the end.
func (e *enforcer) decide(c *sysemu.Call, x *sysemu.Access) (Decision, error) {
	answers := make(chan Decision, 1)
	answers <- Decision{Action: Deny}
	if e.ask != nil {
		<-answers
		err := c.Block(func(ctx context.Context) error {
			d := e.ask(c, x)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			answers <- d
			return nil
		})
		if err != nil {
			return Decision{}, err
		}
	}
	d := <-answers
	if d.Action != Allow && d.Action != Kill {
		d.Action = Deny
	}
	if d.Errno == 0 || d.Action != Deny {
		d.Errno = unix.EPERM
	}
	return d, nil
}

// key is what one question differs in from another.
func key(x *sysemu.Access) string {
	if x.Addr != nil {
		return "addr " + string(x.Addr.Raw)
	}
	return fmt.Sprint(x.Use, x.Sub, x.Args, " ", x.Path)
}

// note remembers what is to be told.
func (a *attempt) note(r *rule, action Action, errno syscall.Errno, x *sysemu.Access) {
	if a.e.log == nil {
		return
	}
	e := Event{Action: action, Call: a.name, PID: a.pid}
	if action == Deny {
		e.Errno = errno
	}
	if r != nil {
		e.Rule = r.Rule
	}
	if x != nil {
		e.Path, e.Mode = x.Path, Mode(x.Use)&anyMode
		if x.Addr != nil {
			e.Addr = addrString(x.Addr)
		}
	}
	a.mu.events = append(a.mu.events, e)
}

// flush tells it.
func (a *attempt) flush() {
	for i := range a.mu.events {
		a.e.log(&a.mu.events[i])
	}
	a.mu.events = nil
}

// addrString is an address as an addr= condition for it has it.
func addrString(a *sysemu.SockAddr) string {
	switch {
	case a.AddrPort.IsValid():
		return a.AddrPort.String()
	case a.Family == unix.AF_UNIX:
		return "unix:@" + strings.TrimRight(a.Abstract, "\x00")
	}
	for name, f := range families {
		if f == a.Family {
			return name
		}
	}
	return fmt.Sprintf("family %d", a.Family)
}
