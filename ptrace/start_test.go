package ptrace

import (
	"testing"
)

// What a program is given to run while it is not traced ends by itself.
func TestSpinEnds(t *testing.T) {
	tr := newTracer(t, Config{})
	tee := start(t, tr, guest(t, forever))
	var r Regs
	if err := tee.GetRegs(&r); err != nil {
		t.Fatal(err)
	}
	loop := spin(&r)
	if _, err := tee.WriteAt(loop, int64(r.Rip)); err != nil {
		t.Fatal(err)
	}
	if r.Rcx < 1<<32 {
		t.Errorf("a loop of %d rounds is too short", r.Rcx)
	}
	r.Rcx = 1000
	if err := tee.SetRegs(&r); err != nil {
		t.Fatal(err)
	}
	want(t, next(t, tee, Cont), "exited 127")
}
