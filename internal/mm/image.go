package mm

import (
	"github.com/sysemu/sysemu/internal/loader"
	"github.com/sysemu/sysemu/internal/machine"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// Room finds a place for size bytes where mmap would put them.
func (s *Space) Room(size, align uint64) (uint64, error) {
	return s.findRoom((size+PageSize-1)&^(PageSize-1), max(align, PageSize))
}

// MapImage maps a placed program.
func (s *Space) MapImage(ctx vfs.Context, th *machine.Thread, file *vfs.File, im *loader.Placed) error {
	m, ok := file.Impl.(vfs.Mmapper)
	if !ok {
		return unix.ENODEV
	}
	host, key, err := m.HostFile(ctx, file, false)
	if err != nil {
		return err
	}
	fd, err := th.CPU().Import(host, key)
	if err != nil {
		return err
	}
	ops := make([]machine.Op, len(im.Mappings))
	for i := range im.Mappings {
		g := &im.Mappings[i]
		g.Prot = s.implied(g.Prot, file)
		if g.Anonymous {
			ops[i] = machine.Mmap(g.Addr, g.Len, g.Prot, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_FIXED, machine.NoFile, 0)
		} else {
			ops[i] = machine.Mmap(g.Addr, g.Len, g.Prot, unix.MAP_PRIVATE|unix.MAP_FIXED, fd, uint64(g.Off))
		}
	}
	done, err := th.Do(ops...)
	for _, g := range im.Mappings[:done] {
		v := VMA{Start: g.Addr, End: g.Addr + g.Len, Prot: g.Prot, MayWrite: true}
		if !g.Anonymous {
			v.File, v.Off = file, uint64(g.Off)
			v.hold(ctx)
		}
		gone := s.remove(ctx, v.Start, v.End)
		s.add(ctx, v)
		drop(ctx, gone)
	}
	if err != nil {
		return err
	}
	for _, z := range im.Zero {
		if _, err := th.WriteMem(z.Addr, make([]byte, z.Len)); err != nil {
			return err
		}
	}
	return nil
}

// initialStack is how much of the stack is mapped at once; more comes as it
// is touched.
const initialStack = 256 << 10

// MapStack maps the stack that ends at top, with room for used bytes and some.
func (s *Space) MapStack(ctx vfs.Context, th *machine.Thread, top, used uint64, exec bool) error {
	size := (used+initialStack)&^(PageSize-1) + PageSize
	prot := s.implied(unix.PROT_READ|unix.PROT_WRITE, nil)
	if exec {
		prot |= unix.PROT_EXEC
	}
	start := top - size
	if s.overlaps(start, top) {
		return unix.ENOMEM
	}
	if _, err := th.Do(machine.Mmap(start, size, prot, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_FIXED|unix.MAP_NORESERVE, machine.NoFile, 0)); err != nil {
		return err
	}
	s.add(ctx, VMA{Start: start, End: top, Prot: prot, MayWrite: true, GrowsDown: true})
	return nil
}
