package fault

import "github.com/sysemu/sysemu"

// syncs are the calls that make durable what was written; true: of a descriptor's file.
var syncs = map[string]bool{"fsync": true, "fdatasync": true, "syncfs": true, "sync_file_range": true, "sync": false, "msync": false}

// planLost has a sync be none.
func (a Action) planLost(s *shot) (step, bool) {
	ofFile, ok := syncs[s.c.Name()]
	if !ok || ofFile && s.c.FileName(s.c.FD(0)) == "" {
		return nil, false
	}
	return func(*shot, sysemu.Handler) (uint64, error) { return 0, nil }, true
}
