package abi

import (
	"strings"
)

// Subcall is the name of the call that one of i386's two calls of many purposes, socketcall and ipc, stands for, given
// its first argument: "connect" of a socketcall of SYS_CONNECT. It is "" for every other call, and where there is no
// such purpose.
func Subcall(name string, first uint64) string {
	switch name {
	case "socketcall":
		switch op := uint32(first); op {
		case SYS_SEND: // calls of their own are on other architectures only
			return "sendto"
		case SYS_RECV:
			return "recvfrom"
		default:
			return strings.ToLower(strings.TrimPrefix(SocketcallOp.Names().Lookup(uint64(op)), "SYS_"))
		}
	case "ipc":
		return strings.ToLower(IpcOp.Names().Lookup(first & 0xffff)) // the rest is a version
	}
	return ""
}
