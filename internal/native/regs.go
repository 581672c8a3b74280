package native

import "github.com/sysemu/sysemu/ptrace"

// Regs are the thread's registers at the call's entry.
func (c *Call) Regs() ptrace.Regs { return c.regs }
