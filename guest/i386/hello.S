/* i386 without a C library: writes, and exits with what the kernel put on the stack. */
	.globl _start
_start:
	mov $4,%eax
	mov $1,%ebx
	mov $text,%ecx
	mov $6,%edx
	int $0x80
	mov (%esp),%ebx		/* argc */
	mov $1,%eax
	int $0x80
	hlt
text:	.ascii "hello\n"
	.section .note.GNU-stack,"",@progbits
