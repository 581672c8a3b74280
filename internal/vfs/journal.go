package vfs

import (
	"cmp"
	"maps"
	"slices"

	"golang.org/x/sys/unix"
)

// Journal keeps what changes to regular files have replaced since the files were
// last synced, so that it can be lost, as by a machine whose power fails. It
// knows of the contents of files in the tree and of their sizes: names, modes
// and owners count as synced at once. What is written through a mapping, it
// does not see.
//
// The file's size and blocks are saved before they are first changed; a sync
// forgets them as it begins.
type Journal struct {
	files  map[Inode]*unsynced
	serial int
}

// Journaled is a Context that may have a Journal; nil: it has none.
type Journaled interface{ Journal() *Journal }

// unsynced is a file as it was.
type unsynced struct {
	path   Path // referenced
	serial int  // in the order in which they were first changed
	size   int64
	blocks map[int64][]byte // by number; the last may be short
}

const (
	journalBlock = 4096
	journalRun   = 256 // blocks that are read at once
)

// NewJournal returns a Journal that holds nothing.
func NewJournal() *Journal { return &Journal{files: map[Inode]*unsynced{}} }

func journalOf(ctx Context) *Journal {
	if c, ok := ctx.(Journaled); ok {
		return c.Journal()
	}
	return nil
}

// Changing tells the caller's journal that n bytes at off of a file are about to
// be written or cut off.
func Changing(ctx Context, p Path, ino Inode, off, n int64) error {
	j := journalOf(ctx)
	if j == nil || p.Dentry == nil || p.Mount == nil || p.Kind() != unix.S_IFREG {
		return nil
	}
	if _, ok := ino.(AttrSetter); !ok { // of /proc or the like
		return nil
	}
	u := j.files[ino]
	if u == nil {
		a, err := ino.Attr(ctx)
		if err != nil {
			return err
		}
		if u = j.files[ino]; u == nil { // nobody else was quicker
			j.serial++
			u = &unsynced{path: p.Ref(), serial: j.serial, size: a.Size, blocks: map[int64][]byte{}}
			j.files[ino] = u
		}
	}
	return u.save(ctx, p, ino, off, n)
}

// save reads the blocks of a range that are not saved yet.
func (u *unsynced) save(ctx Context, p Path, ino Inode, off, n int64) error {
	if off >= u.size || n <= 0 {
		return nil
	}
	last := (off + min(n, u.size-off) - 1) / journalBlock
	var f *File
	defer func() {
		if f != nil {
			f.Impl.Release(ctx)
		}
	}()
	for b := off / journalBlock; b <= last; {
		run := int64(0)
		for run < journalRun && b+run <= last && u.blocks[b+run] == nil {
			run++
		}
		if run == 0 {
			b++
			continue
		}
		if f == nil {
			var err error
			if f, err = openBehind(ctx, p, ino, unix.O_RDONLY); err != nil {
				return err
			}
		}
		data, err := f.readFull(ctx, b*journalBlock, min(run*journalBlock, u.size-b*journalBlock))
		if err != nil {
			return err
		}
		for ; run > 0; run, b = run-1, b+1 {
			k := min(journalBlock, len(data))
			if u.blocks[b] == nil { // else who was quicker has what was there before
				u.blocks[b] = append([]byte{}, data[:k]...)
			}
			data = data[k:]
		}
	}
	return nil
}

// openBehind opens a regular file for the kernel's own use: nobody is asked, or
// told. It is given back by Release of its Impl.
func openBehind(ctx Context, p Path, ino Inode, flags int) (*File, error) {
	o, ok := ino.(Opener)
	if !ok {
		return nil, unix.EIO
	}
	flags |= OLargefile
	impl, err := o.Open(ctx, p, flags)
	if err != nil {
		return nil, err
	}
	return &File{Path: p, Inode: ino, Impl: impl, Flags: flags, kind: unix.S_IFREG, extra: p.Dentry.extra, refs: 1}, nil
}

func (f *File) readFull(ctx Context, off, n int64) ([]byte, error) {
	r, err := f.reader()
	if err != nil {
		return nil, err
	}
	data := make([]byte, n)
	done := 0
	for done < len(data) {
		k, err := r.Read(ctx, f, data[done:], off+int64(done))
		if err != nil {
			return nil, err
		}
		if k == 0 {
			break
		}
		done += k
	}
	return data[:done], nil
}

// forget lets go of a file: it is as it should be.
func (j *Journal) forget(ino Inode) {
	if u := j.files[ino]; u != nil {
		delete(j.files, ino)
		u.path.Unref()
	}
}

// synced tells the caller's journal that the file is being synced.
func synced(ctx Context, ino Inode) {
	if j := journalOf(ctx); j != nil {
		j.forget(ino)
	}
}

// Sync forgets the files of a file system, or all when it is nil: what sync(2),
// syncfs(2) and unmounting make durable.
func (j *Journal) Sync(fs FileSystem) {
	if j == nil {
		return
	}
	for _, ino := range j.inodes() {
		if fs == nil || j.files[ino].path.Mount.FS() == fs {
			j.forget(ino)
		}
	}
}

// inodes are the files, in the order in which they were first changed.
func (j *Journal) inodes() []Inode {
	return slices.SortedFunc(maps.Keys(j.files), func(a, b Inode) int { return cmp.Compare(j.files[a].serial, j.files[b].serial) })
}

// Undo makes all files as they were when they were last synced. The error is the
// first of those that could not be; it goes on with the others.
func (j *Journal) Undo(ctx Context) error {
	var first error
	for _, ino := range j.inodes() {
		u := j.files[ino]
		if u == nil { // synced meanwhile
			continue
		}
		delete(j.files, ino)
		if err := u.undo(ctx, ino); err != nil && first == nil {
			first = err
		}
		u.path.Unref()
	}
	return first
}

func (u *unsynced) undo(ctx Context, ino Inode) error {
	if len(u.blocks) > 0 {
		f, err := openBehind(ctx, u.path, ino, unix.O_RDWR)
		if err != nil {
			return err
		}
		defer f.Impl.Release(ctx)
		w, err := f.writer()
		if err != nil {
			return err
		}
		for _, b := range slices.Sorted(maps.Keys(u.blocks)) {
			off := b * journalBlock
			for data := u.blocks[b]; len(data) > 0; {
				n, err := w.Write(ctx, f, data, off)
				if err != nil {
					return err
				}
				data, off = data[n:], off+int64(n)
			}
		}
	}
	now := ctx.Realtime()
	return ino.(AttrSetter).SetAttr(ctx, SetSize|SetMtime|SetCtime, Attr{Size: u.size, Mtime: now, Ctime: now})
}
