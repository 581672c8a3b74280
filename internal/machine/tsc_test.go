package machine

import (
	"bytes"
	"testing"

	"github.com/sysemu/sysemu/internal/hostcan"
)

// Reading the time-stamp counter, also with prefixes that mean nothing to it,
// comes to us when time is to be hidden.
func TestTSC(t *testing.T) {
	hostcan.Need(t, hostcan.TrapTSC)
	code := []byte{0x0f, 0x31, 0x0f, 0x01, 0xf9, 0x48, 0x0f, 0x31, 0x90, 0xcc}
	onHiddenCPU(t, func(c *CPU) {
		th := load(t, c, code)
		defer th.Destroy()
		for i, at := range []uint64{2, 5, 8} {
			want := uint64(0x1234567890abcdef) + uint64(i)
			th.EditRegs().Rcx = 77
			if ev := th.Run(); ev.Kind != ReadTSC || th.Regs().Rip != codeAddr+at {
				t.Fatalf("event %+v at %#x", ev, th.Regs().Rip)
			}
			if rcx := th.Regs().Rcx; (i == 1) != (rcx == 0) {
				t.Errorf("the number of the CPU in rcx: %d", rcx)
			}
			th.SetTSC(want)
			if r := th.Regs(); r.Rax != want&0xffffffff || r.Rdx != want>>32 {
				t.Errorf("%#x in %#x:%#x", want, r.Rdx, r.Rax)
			}
		}
		if ev := th.Run(); ev.Kind != Fault || th.Regs().Rip != codeAddr+10 {
			t.Errorf("the int3 behind: %+v at %#x", ev, th.Regs().Rip)
		}
	})
}

// Where time is hidden there is no vDSO, on any host.
func TestHiddenVDSO(t *testing.T) {
	onHiddenCPU(t, func(c *CPU) {
		if header, _, hi := c.m.VDSO(); header != 0 || hi != 0 {
			t.Errorf("a vDSO at %#x, up to %#x", header, hi)
		}
		th := load(t, c, []byte{0xcc})
		defer th.Destroy()
		maps, err := th.HostMaps()
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"[vdso]", "[vvar"} {
			if i := bytes.Index(maps, []byte(name)); i >= 0 {
				t.Errorf("%s is mapped:\n%s", name, maps)
			}
		}
	})
}
