package abi

import "unsafe"

// Bytes is the memory of *p, for copying to and from a guest. T must be a struct of this package or another fixed-size
// type without pointers and without implicit padding.
func Bytes[T any](p *T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(p)), unsafe.Sizeof(*p))
}
