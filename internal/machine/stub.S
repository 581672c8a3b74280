/* The stub page: the only code of ours in a guest's address space. It is run
   only when machine points rip here while the thread is stopped; a guest that
   jumps here of its own meets a syscall stop or a breakpoint, as anywhere. */
.text
	/* 0: a thread with nothing to do stops at once */
idle:	int3
	jmp idle
.org 16	/* one call, registers as set by machine */
one:	syscall
	int3
.org 32	/* a list of calls at r15: nr, six arguments, 8 bytes unused; nr -1 ends it */
list:	mov (%r15),%rax
	cmp $-1,%rax
	je 8f
	mov 8(%r15),%rdi
	mov 16(%r15),%rsi
	mov 24(%r15),%rdx
	mov 32(%r15),%r10
	mov 40(%r15),%r8
	mov 48(%r15),%r9
	syscall
	cmp $-4095,%rax
	jae 9f
	add $64,%r15
	jmp list
8:	xor %eax,%eax
9:	int3
.org 128 /* host signal handler for reading a fault's error code: stopped on its first instruction */
sig:	int3
.org 144
	/* compare and swap: rdi address, eax old, ecx new; eax gets what was there */
.org 160
cas:	lock cmpxchg %ecx,(%rdi)
	int3
.org 176 /* where a thread waits while no tracer has it: for a message on descriptor 3 that never comes.
            The end of the stream does, when the program that has the other end is gone; then the
            thread has no stack for a signal frame and ends too */
park:	mov $47,%eax
	mov $3,%edi
	lea none(%rip),%rsi
	xor %edx,%edx
	syscall
	int3
.org 208 /* an empty struct msghdr */
none:
.org 272 /* to find out whether the host runs 32-bit code: see i386.go */
	nop
	int $0x80
.org 288
