package hostfs

import (
	"math"

	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// IDMap says that Count users (or groups) of the host from Host on are those
// of the guest from Guest on.
type IDMap struct{ Guest, Host, Count uint32 }

// nobody is shown for an owner that is not mapped.
const nobody = 65534

// toGuest returns the guest's number for an owner on the host.
func toGuest(maps []IDMap, id uint32) uint32 {
	if len(maps) == 0 {
		return id
	}
	for _, m := range maps {
		if id >= m.Host && id-m.Host < m.Count {
			return m.Guest + (id - m.Host)
		}
	}
	return nobody
}

// toHost returns the host's number for an owner that a guest names.
func toHost(maps []IDMap, id uint32) (uint32, error) {
	if len(maps) == 0 {
		return id, nil
	}
	for _, m := range maps {
		if id >= m.Guest && id-m.Guest < m.Count {
			return m.Host + (id - m.Guest), nil
		}
	}
	return 0, unix.EINVAL
}

// hostOwner converts the owner that set names; math.MaxUint32 leaves it.
func (fs *FS) hostOwner(set vfs.AttrMask, uid, gid uint32) (u, g uint32, err error) {
	u, g = math.MaxUint32, math.MaxUint32
	if set&vfs.SetUID != 0 {
		if u, err = toHost(fs.opts.UIDs, uid); err != nil {
			return 0, 0, err
		}
	}
	if set&vfs.SetGID != 0 {
		if g, err = toHost(fs.opts.GIDs, gid); err != nil {
			return 0, 0, err
		}
	}
	return u, g, nil
}
