package kernel

import "golang.org/x/sys/unix"

// How a tracee goes on from a stop.

// Requests of ptrace(2) that let a tracee go on.
const (
	ptraceCont       = 7
	ptraceSingleStep = 9
	ptraceSyscall    = 24
	ptraceSysemu     = 31
	ptraceSysemuStep = 32
	ptraceStepBlock  = 33
)

// resumeWith is what each of them asks for around calls. It replaces what the
// one before it asked for: nothing lasts.
//
// A step to the next branch is a step to the next instruction here.
var resumeWith = map[int]around{
	ptraceCont:       0,
	ptraceSyscall:    aroundTrace,
	ptraceSysemu:     aroundEmulate,
	ptraceSingleStep: aroundStep,
	ptraceStepBlock:  aroundStep,
	ptraceSysemuStep: aroundEmulate | aroundStep,
}

// resume lets o go on. In a signal-delivery-stop sig takes the place of the
// signal, in a stop at a call it is sent.
func (t *Task) resumeTracee(o *Task, how around, sig uint64) error {
	if sig > numSignals {
		return unix.EIO
	}
	o.around = o.around&^(aroundTrace|aroundEmulate|aroundStep) | how
	o.join(t)
	o.goOn(int(sig))
	return nil
}

// goOn ends the stop.
func (o *Task) goOn(sig int) {
	o.tracee.code = sig
	o.tracee.stopped = false
	o.Wakeup()
}

// detach is PTRACE_DETACH.
func (t *Task) detach(o *Task, sig uint64) error {
	if sig > numSignals {
		return unix.EIO
	}
	o.tracee.code = int(sig)
	o.untrace()
	return nil
}

// interruptTracee is PTRACE_INTERRUPT: a seized tracee stops, if it is not in a
// stop already.
func (t *Task) interruptTracee(o *Task) error {
	x := o.tracee
	if !x.seized {
		return unix.EIO
	}
	o.trapSoon(&x.trapStop)
	return nil
}

// trapSoon sets one of the flags that make a tracee stop, and lets it see that.
func (o *Task) trapSoon(flag *bool) {
	x := o.tracee
	if x.fatal || o.exiting {
		return
	}
	*flag = true
	if x.listening {
		o.goOn(0)
		return
	}
	o.interrupt()
}

// listen is PTRACE_LISTEN: the tracee stays in its group-stop and the tracer is
// told of what ends it.
func (t *Task) listen(o *Task) error {
	x := o.tracee
	if !x.seized || x.info == nil || x.info.Code>>8 != eventStop {
		return unix.EIO
	}
	x.listening = true
	if x.notify {
		o.goOn(0)
	}
	return nil
}
