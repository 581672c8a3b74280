package mm

import "github.com/sysemu/sysemu/internal/vfs"

// SyncFiles has the files whose copies are mapped in the range written back,
// for msync(2) with MS_SYNC, after Sync.
func (s *Space) SyncFiles(ctx vfs.Context, addr, size uint64) error {
	end, ok := s.Range(addr, size)
	if !ok {
		return nil
	}
	var files []*vfs.File
	for i := s.index(addr); i < len(s.vmas) && s.vmas[i].Start < end; i++ {
		v := &s.vmas[i]
		if v.File == nil || !v.Shared {
			continue
		}
		if _, ok := v.File.Impl.(vfs.MapSyncer); ok {
			files = append(files, v.File.Ref())
		}
	}
	var err error
	for _, f := range files {
		if e := f.Impl.(vfs.MapSyncer).SyncMap(ctx, f); err == nil {
			err = e
		}
		f.Unref(ctx)
	}
	return err
}
