package kernel

// taskAttrs are settings that are kept to be read back, or that matter to one
// call only.
type taskAttrs struct {
	personality uint32
	nice        int
	policy      int
	rtPriority  int
	affinity    []byte // nil = all
	timerSlack  uint64
	ioprio      int
	barriers    int32 // MEMBARRIER_CMD_REGISTER_* done
}

// fork is what a child has of them.
func (a taskAttrs) fork() taskAttrs {
	const resetOnFork = 0x40000000
	if a.policy&resetOnFork != 0 {
		a.policy, a.rtPriority, a.nice = 0, 0, max(a.nice, 0)
	}
	return a
}
