package vfs

// Leaver is a Context that need not wait for ever for what it has others do:
// for code that is not ours and may never return.
type Leaver interface {
	// OffloadLeaving is Offload whose wait a fatal signal ends, or if must,
	// the end of the machine alone. It reports true when f has returned. If
	// not, f goes on by itself, and nobody waits for it: what it writes must
	// not be read any more.
	OffloadLeaving(must bool, f func()) (done bool)
}

// MapSyncer is an Impl whose mappings are of a copy: SyncMap writes back what
// programs have written through them, for msync(2).
type MapSyncer interface {
	SyncMap(ctx Context, f *File) error
}
