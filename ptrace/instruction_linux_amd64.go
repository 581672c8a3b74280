package ptrace

// maxInstruction is the longest instruction of the processor, in bytes.
const maxInstruction = 15

// isCall tells whether code begins with an instruction that enters the kernel
// for a system call: syscall, int $0x80 or sysenter, whatever prefixes it has.
// In 64-bit code the REX prefixes are among those.
func isCall(code []byte, bits64 bool) bool {
	for i, b := range code {
		switch b {
		case 0x66, 0x67, 0xf2, 0xf3, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65:
			continue
		}
		if bits64 && b&0xf0 == 0x40 {
			continue
		}
		if i+1 == len(code) {
			return false
		}
		switch next := code[i+1]; b {
		case 0x0f:
			return next == 0x05 || next == 0x34
		case 0xcd:
			return next == 0x80
		}
		return false
	}
	return false
}
