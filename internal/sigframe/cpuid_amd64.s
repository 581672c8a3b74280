#include "textflag.h"

// func cpuidXState(n uint32) (eax, ebx uint32)
TEXT ·cpuidXState(SB), NOSPLIT, $0-16
	MOVL $0xd, AX
	MOVL n+0(FP), CX
	CPUID
	MOVL AX, eax+8(FP)
	MOVL BX, ebx+12(FP)
	RET
