package pseudofs

import (
	"math"

	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// File is a regular file whose text is made when it is read from its start.
type File struct {
	Node
	// Check, if not nil, is asked at open, after the permission bits.
	Check func(ctx vfs.Context, flags int) error
	// Read returns the text; nil if the file cannot be read.
	Read func(ctx vfs.Context) ([]byte, error)
	// Write takes what one write(2) writes, wherever; nil if it cannot be
	// written.
	Write func(ctx vfs.Context, p []byte) error
	// OpenAs, if not nil, opens a file that is not like this at all.
	OpenAs func(ctx vfs.Context, flags int) (vfs.Impl, error)
}

// Attr implements vfs.Inode.
func (f *File) Attr(vfs.Context) (vfs.Attr, error) { return f.attr(unix.S_IFREG) }

// PermFor implements vfs.CallerPermer.
func (f *File) PermFor(vfs.Context) (mode, uid, gid uint32) { return f.perm(unix.S_IFREG) }

// SetAttr implements vfs.AttrSetter: truncation, which a shell's ">" asks for,
// changes nothing; mode and owner are not to be changed.
func (f *File) SetAttr(_ vfs.Context, set vfs.AttrMask, _ vfs.Attr) error {
	if set&(vfs.SetMode|vfs.SetUID|vfs.SetGID) != 0 {
		return unix.EPERM
	}
	return nil
}

// Open implements vfs.Opener.
func (f *File) Open(ctx vfs.Context, _ vfs.Path, flags int) (vfs.Impl, error) {
	if f.Check != nil {
		if err := f.Check(ctx, flags); err != nil {
			return nil, err
		}
	}
	if f.OpenAs != nil {
		return f.OpenAs(ctx, flags)
	}
	return f.Reading(f.Read), nil
}

// Reading is an open file like f that reads what read makes: for an OpenAs
// that fixes at open what the text is about.
func (f *File) Reading(read func(ctx vfs.Context) ([]byte, error)) vfs.Impl {
	return &openFile{file: f, read: read}
}

// openFile is an open File. The text is made by a read at offset 0 and kept
// for those that follow it, so that a reader sees one state.
type openFile struct {
	file *File
	read func(ctx vfs.Context) ([]byte, error)
	made bool
	text []byte
}

// Release implements vfs.Impl.
func (o *openFile) Release(vfs.Context) {}

// Read implements vfs.Reader.
func (o *openFile) Read(ctx vfs.Context, _ *vfs.File, p []byte, off int64) (int, error) {
	if o.read == nil {
		return 0, unix.EINVAL
	}
	if off == 0 || !o.made {
		text, err := o.read(ctx)
		if err != nil {
			return 0, err
		}
		o.text, o.made = text, true
	}
	if off >= int64(len(o.text)) {
		return 0, nil
	}
	return copy(p, o.text[off:]), nil
}

// Write implements vfs.Writer.
func (o *openFile) Write(ctx vfs.Context, _ *vfs.File, p []byte, _ int64) (int, error) {
	if o.file.Write == nil {
		return 0, unix.EINVAL
	}
	if len(p) > blockSize {
		p = p[:blockSize]
	}
	if err := o.file.Write(ctx, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Seek implements vfs.Seeker. The end is not known.
func (o *openFile) Seek(_ vfs.Context, f *vfs.File, off int64, whence int) (int64, error) {
	if whence != unix.SEEK_SET && whence != unix.SEEK_CUR {
		return 0, unix.EINVAL
	}
	return vfs.SeekTo(f, off, whence, math.MaxInt64)
}
