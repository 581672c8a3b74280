package hostcan

import (
	"debug/elf"
	"testing"
)

// The probes' programs are well made: what is skipped for want of a facility must not be skipped for a fault of the probe.
func TestPrograms(t *testing.T) {
	if err := exits42(program(false, exit64)); err != nil {
		t.Error("a 64-bit program: ", err)
	}
	err := withFile(program(true, exit80), func(name string) error {
		f, err := elf.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		if f.Class != elf.ELFCLASS32 || f.Machine != elf.EM_386 || len(f.Progs) != 1 || f.Progs[0].Type != elf.PT_LOAD ||
			f.Entry != base+52+32 || f.Progs[0].Vaddr != base || f.Progs[0].Filesz != uint64(52+32+len(exit80)) {
			t.Errorf("%+v, segments %+v", f.FileHeader, f.Progs[0].ProgHeader)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	for _, f := range []*Facility{Run32, Int80, DebugRegisters} {
		t.Logf("%s: %v", f.name, f.Lacks())
	}
}
