package sysemu

// Mode says how the host is kept from executing system calls that are served
// here. The numbers are those of User-Mode Linux's /proc/sysemu, and of a
// machine's.
type Mode int

const (
	// ModeNullify stops calls by PTRACE_SYSCALL and takes their numbers away. It
	// is what is done on a host without PTRACE_SYSEMU, and costs a second stop
	// for each call.
	ModeNullify Mode = iota
	// ModeSysemu stops them by PTRACE_SYSEMU.
	ModeSysemu
	// ModeStep steps by PTRACE_SYSEMU_SINGLESTEP, too.
	ModeStep
)

// WithMode sets the Mode to begin with; without it a machine begins with
// ModeStep.
func WithMode(mode Mode) Option { return func(o *options) { o.mode = mode } }

// Mode is how calls are kept from the host just now. It is lower than what was
// set if the host has less.
func (m *Machine) Mode() Mode { return Mode(m.k.SysemuMode()) }

// SetMode changes that, also while programs run, who can do the same by writing
// to /proc/sysemu. Values that are none are ignored.
func (m *Machine) SetMode(mode Mode) { m.k.SetSysemuMode(int(mode)) }
