// Package ipc has System V's shared memory, semaphores and message queues
// (sysvipc(7)): what is in them, who may use them, and who waits for them.
// It knows neither guests' memory nor the call table.
//
// Contract: guarded by the kernel lock; what waits, waits through
// wait.Task. Permissions go by the caller's file-system identity, which is
// its effective one unless it called setfsuid.
package ipc

import (
	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/vfs"
	"golang.org/x/sys/unix"
)

// System is one machine's System V objects.
type System struct {
	shm table[*Segment]
	sem table[*Set]
	msg table[*Queue]

	shmPages uint64 // of all segments
	semCount int    // semaphores of all sets
	msgBytes uint64 // of all queues
	msgCount uint64

	// NewFile makes the memory of a segment.
	NewFile func(ctx vfs.Context, name string, size int64) (*vfs.File, error)
}

// idShift: an identifier is a place in the table, and above that a number
// that changes when the place is used again.
const (
	idShift  = 15
	maxPlace = 1<<idShift - 1
	maxSeq   = 1<<(31-idShift) - 1
	// places are used in turn, so that identifiers stay unused for long
	minCycle = 64
)

// object is what the three kinds have in common.
type object struct {
	id   int
	perm abi.IpcPerm
}

func (o *object) base() *object { return o }

type based interface {
	comparable
	base() *object
}

// table holds the objects of one kind, by place.
type table[T based] struct {
	places []T
	used   int
	next   int // after the place given last: where the search begins
	seq    int
}

// add gives o a place and an identifier; the caller has checked the limit.
func (t *table[T]) add(ctx vfs.Context, o T, key int32, mode uint32) int {
	place := t.free(t.next)
	if place >= max(t.used*3/2, minCycle) {
		place = t.free(0)
	}
	if place < t.next {
		t.seq = (t.seq + 1) & maxSeq
	}
	t.next = place + 1
	if place == len(t.places) {
		t.places = append(t.places, o)
	}
	t.places[place] = o
	t.used++
	c := ctx.Cred()
	b := o.base()
	b.id = t.seq<<idShift | place
	b.perm = abi.IpcPerm{Key: key, UID: c.UID, GID: c.GID, CUID: c.UID, CGID: c.GID, Mode: mode & 0o777, Seq: uint16(t.seq)}
	return b.id
}

// free returns the first place from on that nothing is in.
func (t *table[T]) free(from int) int {
	var none T
	for i := from; i < len(t.places); i++ {
		if t.places[i] == none {
			return i
		}
	}
	return len(t.places)
}

// get returns the object that id names: EINVAL.
func (t *table[T]) get(id int) (T, error) {
	var none T
	place := id & maxPlace
	if id < 0 || place >= len(t.places) || t.places[place] == none || t.places[place].base().id != id {
		return none, unix.EINVAL
	}
	return t.places[place], nil
}

// at returns the object at a place: EINVAL.
func (t *table[T]) at(place int) (T, error) {
	var none T
	if place < 0 || place&maxPlace >= len(t.places) || t.places[place&maxPlace] == none {
		return none, unix.EINVAL
	}
	return t.places[place&maxPlace], nil
}

func (t *table[T]) byKey(key int32) (T, bool) {
	var none T
	for _, o := range t.places {
		if o != none && o.base().perm.Key == key {
			return o, true
		}
	}
	return none, false
}

func (t *table[T]) remove(o T) {
	var none T
	t.places[o.base().id&maxPlace] = none
	t.used--
}

// top is the highest place in use, 0 when there is none.
func (t *table[T]) top() int {
	var none T
	for i := len(t.places) - 1; i > 0; i-- {
		if t.places[i] != none {
			return i
		}
	}
	return 0
}

// all calls f for every object.
func (t *table[T]) all(f func(o T)) {
	var none T
	for _, o := range t.places {
		if o != none {
			f(o)
		}
	}
}

// find is the common part of the get calls: the object with key, or a new one.
func find[T based](ctx vfs.Context, t *table[T], key int32, flags int, fits func(o T) bool, make func() (int, error)) (int, error) {
	if key == unix.IPC_PRIVATE {
		return make()
	}
	o, ok := t.byKey(key)
	switch {
	case !ok && flags&unix.IPC_CREAT == 0:
		return 0, unix.ENOENT
	case !ok:
		return make()
	case flags&(unix.IPC_CREAT|unix.IPC_EXCL) == unix.IPC_CREAT|unix.IPC_EXCL:
		return 0, unix.EEXIST
	case !fits(o):
		return 0, unix.EINVAL
	}
	return o.base().id, o.base().access(ctx, uint32(flags))
}

const (
	mayRead  = 0o444
	mayWrite = 0o222
)

// access checks the object's mode for the permissions in want, EACCES.
func (o *object) access(ctx vfs.Context, want uint32) error {
	c, p := ctx.Cred(), &o.perm
	want = want>>6 | want>>3 | want
	have := p.Mode
	switch {
	case c.UID == p.CUID || c.UID == p.UID:
		have >>= 6
	case c.InGroup(p.CGID) || c.InGroup(p.GID):
		have >>= 3
	}
	if want&^have&7 != 0 && !c.Has(unix.CAP_IPC_OWNER) {
		return unix.EACCES
	}
	return nil
}

// own checks that the caller may change or remove the object, EPERM.
func (o *object) own(ctx vfs.Context) error {
	c := ctx.Cred()
	if c.UID != o.perm.CUID && c.UID != o.perm.UID && !c.Has(unix.CAP_SYS_ADMIN) {
		return unix.EPERM
	}
	return nil
}

// set is IPC_SET's common part.
func (o *object) set(p *abi.IpcPerm) {
	o.perm.UID, o.perm.GID = p.UID, p.GID
	o.perm.Mode = o.perm.Mode&^0o777 | p.Mode&0o777
}

func seconds(ctx vfs.Context) int64 { return ctx.Realtime() / 1e9 }
