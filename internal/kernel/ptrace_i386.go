package kernel

import "github.com/sysemu/sysemu/abi"

func init() {
	addFamily386(calls{
		"ptrace": r4(func(t *Task, request, pid int32, addr, data uint32) (uint64, error) {
			return t.ptrace(ptrace32, int(request), pid, uint64(addr), uint64(data))
		}),
	})
}

// ptrace32 is what differs for tracers on i386.
var ptrace32 = &ptraceABI{
	word: 4, user: &user32, fpregs: &fpregs32, fpxregs: &fpregs64,
	info: func(i *sigInfo) []byte {
		v := convert[abi.Siginfo, abi.Siginfo32](i.abi())
		return asBytes(&v)
	},
	setInfo: func(b []byte) sigInfo {
		var v abi.Siginfo32
		copy(asBytes(&v), b)
		return infoOf(get[abi.Siginfo](&v))
	},
	infoLen: 128,
}
