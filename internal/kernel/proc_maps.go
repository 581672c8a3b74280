package kernel

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/sysemu/sysemu/internal/machine"
	"github.com/sysemu/sysemu/internal/mm"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// mapping is a line of /proc/PID/maps.
type mapping struct {
	mm.VMA
	dev, ino uint64
	shown    string
}

// mappings returns the entry's, with the names its reader sees.
func (e procEntry) mappings(ctx vfs.Context) []mapping {
	s := e.space()
	if s == nil {
		return nil
	}
	var list []mapping
	s.All(func(v *mm.VMA) bool {
		if v.File != nil {
			v.File.Ref() // asking a file what it is may wait
		}
		list = append(list, mapping{VMA: *v})
		return true
	})
	for i := range list {
		m := &list[i]
		switch {
		case m.File != nil:
			if a, err := m.File.Inode.Attr(ctx); err == nil {
				m.dev, m.ino = a.Dev, a.Ino
			}
			m.shown = m.File.Name(ctx.(*Task).fs.root)
			m.File.Unref(ctx)
			m.File = nil
		case m.Name != "":
			m.shown = m.Name
		case m.Shared:
			m.dev, m.ino, m.shown = 1, m.Start>>12, "/dev/zero (deleted)"
		}
	}
	return list
}

// line writes the mapping as maps has it.
func (m *mapping) line(w *bytes.Buffer) {
	flag := func(on bool, c byte) byte {
		if on {
			return c
		}
		return '-'
	}
	sharing := byte('p')
	if m.Shared {
		sharing = 's'
	}
	off := m.Off
	if m.dev == 0 {
		off = 0
	}
	s := fmt.Sprintf("%08x-%08x %c%c%c%c %08x %02x:%02x %d ", m.Start, m.End, flag(m.Prot&unix.PROT_READ != 0, 'r'),
		flag(m.Prot&unix.PROT_WRITE != 0, 'w'), flag(m.Prot&unix.PROT_EXEC != 0, 'x'), sharing, off, unix.Major(m.dev), unix.Minor(m.dev), m.ino)
	if m.shown != "" {
		s = fmt.Sprintf("%-73s%s", s, strings.ReplaceAll(m.shown, "\n", `\012`))
	}
	w.WriteString(s + "\n")
}

func procMaps(ctx vfs.Context, e procEntry, w *bytes.Buffer) error {
	for _, m := range e.mappings(ctx) {
		m.line(w)
	}
	return nil
}

// procSmaps tells of each mapping how much of it is in memory, as the host
// counts it. Where the host has several as one, they share that in proportion
// to their sizes. Debuggers take from it which mappings of files have been
// written to, for a core file.
func procSmaps(ctx vfs.Context, e procEntry, w *bytes.Buffer, rollup bool) error {
	list := e.mappings(ctx)
	if len(list) == 0 {
		return nil
	}
	u := e.memoryUse()
	var uses []machine.MappingUse
	if t := e.live(); !rollup && t != nil && t.th != nil {
		uses = t.th.MappingUses()
	}
	use := func(m *mapping) (rss, anonymous uint64) {
		for len(uses) > 0 && uses[0].End <= m.Start { // both in order
			uses = uses[1:]
		}
		for _, h := range uses {
			if h.Start >= m.End {
				break
			}
			of := func(n uint64) uint64 {
				part := float64(min(h.End, m.End)-max(h.Start, m.Start)) / float64(h.End-h.Start)
				return (uint64(float64(n)*part) + mm.PageSize - 1) &^ (mm.PageSize - 1)
			}
			rss += of(h.RSS)
			anonymous += of(h.Anonymous)
		}
		rss = min(rss, m.Size())
		return rss, min(anonymous, rss)
	}
	kb := func(name string, n uint64) { fmt.Fprintf(w, "%-15s %8d kB\n", name+":", n>>10) }
	counts := func(rss, dirty uint64, shared bool) {
		clean, sh := rss-dirty, uint64(0)
		if shared {
			clean, dirty, sh = 0, 0, rss
		}
		kb("Rss", rss)
		kb("Pss", rss)
		kb("Pss_Dirty", dirty)
		if rollup {
			kb("Pss_Anon", dirty)
			kb("Pss_File", clean)
			kb("Pss_Shmem", sh)
		}
		kb("Shared_Clean", sh)
		kb("Shared_Dirty", 0)
		kb("Private_Clean", clean)
		kb("Private_Dirty", dirty)
		kb("Referenced", rss)
		kb("Anonymous", dirty)
		for _, n := range []string{"KSM", "LazyFree", "AnonHugePages", "ShmemPmdMapped", "FilePmdMapped", "Shared_Hugetlb", "Private_Hugetlb", "Swap", "SwapPss"} {
			kb(n, 0)
		}
		kb("Locked", 0)
	}
	if rollup {
		fmt.Fprintf(w, "%-73s[rollup]\n", fmt.Sprintf("%08x-%08x ---p 00000000 00:00 0 ", list[0].Start, list[len(list)-1].End))
		counts(u.rss, u.rss, false)
		return nil
	}
	for i, m := range list {
		m.line(w)
		kb("Size", m.Size())
		kb("KernelPageSize", mm.PageSize)
		kb("MMUPageSize", mm.PageSize)
		rss, anonymous := use(&list[i])
		counts(rss, anonymous, m.Shared)
		fmt.Fprintf(w, "THPeligible:    %8d\n", 0)
		w.WriteString("VmFlags:")
		for _, f := range []struct {
			on   bool
			name string
		}{
			{m.Prot&unix.PROT_READ != 0, "rd"}, {m.Prot&unix.PROT_WRITE != 0, "wr"}, {m.Prot&unix.PROT_EXEC != 0, "ex"}, {m.Shared, "sh"},
			{true, "mr"}, {m.MayWrite || !m.Shared, "mw"}, {true, "me"}, {m.GrowsDown, "gd"}, {m.Locked, "lo"}, {m.DontFork, "dc"}, {m.NoReserve, "nr"}, {m.WipeOnFork, "wf"},
		} {
			if f.on {
				w.WriteString(" " + f.name)
			}
		}
		w.WriteString(" \n")
	}
	return nil
}
