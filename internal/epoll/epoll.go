// Package epoll has the epoll instance, epoll(7): a set of open file
// descriptions that are watched, and the list of those found ready.
//
// Contract: guarded by the kernel lock. An instance holds no reference to
// what it watches; a description that ends takes its items along. An item is
// known by its description and the descriptor it was added under. An item on
// the ready list may be ready: that is found out when the events are fetched,
// so the cost of a wait is that of what is ready, and nothing is allocated.
package epoll

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// Event is what epoll_wait(2) tells.
type Event struct {
	Events uint32
	Data   uint64
}

// The flags of an item beside its events; a oneshot item that fired keeps
// them alone.
const private = unix.EPOLLWAKEUP | unix.EPOLLONESHOT | unix.EPOLLET | unix.EPOLLEXCLUSIVE

const (
	// maxNests is how deep instances may watch each other.
	maxNests = 4
	// maxPaths bounds the ways from one instance up to the outermost ones: one
	// event travels them all.
	maxPaths = 500
)

// MaxWatches bounds the items of one instance, as
// /proc/sys/fs/epoll/max_user_watches bounds a user's.
const MaxWatches = 1 << 20

// Epoll is an epoll instance. It implements vfs.Impl.
type Epoll struct {
	items  map[key]*item
	ready  list
	queue  wait.Queue // tasks in Wait
	polled wait.Queue // who polls the instance itself
	inner  []*item    // items that are instances themselves
	outer  []*item    // items of other instances that watch this one
}

type key struct {
	f  *vfs.File
	fd int
}

// item is one watched description.
type item struct {
	key
	ep     *Epoll
	inner  *Epoll // what f is, if it is an instance itself
	poller vfs.Poller
	events uint32
	data   uint64
	entry  wait.Entry
	queue  *wait.Queue
	hook   vfs.ReleaseHook

	linked     bool // on the ready list
	prev, next *item
}

// list is the ready list, in the order items became ready.
type list struct {
	head, tail *item
	n          int
}

func (l *list) push(it *item) {
	if it.linked {
		return
	}
	it.linked, it.prev, it.next = true, l.tail, nil
	if l.tail != nil {
		l.tail.next = it
	} else {
		l.head = it
	}
	l.tail = it
	l.n++
}

func (l *list) remove(it *item) {
	if !it.linked {
		return
	}
	if it.prev != nil {
		it.prev.next = it.next
	} else {
		l.head = it.next
	}
	if it.next != nil {
		it.next.prev = it.prev
	} else {
		l.tail = it.prev
	}
	it.linked, it.prev, it.next = false, nil, nil
	l.n--
}

// New returns the description of a new instance.
func New() *vfs.File {
	return vfs.NewFile(vfs.Path{}, vfs.Anon("anon_inode:[eventpoll]"), &Epoll{items: make(map[key]*item)}, unix.O_RDWR)
}

// Of returns the instance behind a description, EINVAL if it is none.
func Of(f *vfs.File) (*Epoll, error) {
	if ep, ok := f.Impl.(*Epoll); ok {
		return ep, nil
	}
	return nil, unix.EINVAL
}

// Ctl is epoll_ctl(2): f is what descriptor fd leads to.
func (ep *Epoll) Ctl(ctx vfs.Context, op int, f *vfs.File, fd int, ev Event) error {
	poller, ok := f.Impl.(vfs.Poller)
	if !ok {
		return unix.EPERM
	}
	inner, _ := f.Impl.(*Epoll)
	if inner == ep {
		return unix.EINVAL
	}
	ev.Events &^= unix.EPOLLWAKEUP
	if op != unix.EPOLL_CTL_DEL && ev.Events&unix.EPOLLEXCLUSIVE != 0 {
		const allowed = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLERR | unix.EPOLLHUP | unix.EPOLLET | unix.EPOLLEXCLUSIVE
		if op == unix.EPOLL_CTL_MOD || inner != nil || ev.Events&^allowed != 0 {
			return unix.EINVAL
		}
	}
	k := key{f, fd}
	it := ep.items[k]
	switch op {
	case unix.EPOLL_CTL_ADD:
		if inner != nil {
			if err := ep.mayNest(inner); err != nil {
				return err
			}
		}
		if it != nil {
			return unix.EEXIST
		}
		if len(ep.items) >= MaxWatches {
			return unix.ENOSPC
		}
		ep.add(ctx, k, poller, inner, ev)
	case unix.EPOLL_CTL_DEL:
		if it == nil {
			return unix.ENOENT
		}
		it.remove()
	case unix.EPOLL_CTL_MOD:
		if it == nil {
			return unix.ENOENT
		}
		if it.events&unix.EPOLLEXCLUSIVE != 0 {
			return unix.EINVAL
		}
		it.events, it.data = ev.Events|unix.EPOLLERR|unix.EPOLLHUP, ev.Data
		it.entry.SetMask(wait.Events(it.events &^ private))
		ep.check(ctx, it)
	default:
		return unix.EINVAL
	}
	return nil
}

func (ep *Epoll) add(ctx vfs.Context, k key, poller vfs.Poller, inner *Epoll, ev Event) {
	it := &item{key: k, ep: ep, inner: inner, poller: poller, events: ev.Events | unix.EPOLLERR | unix.EPOLLHUP, data: ev.Data}
	it.hook.Func = it.remove
	it.entry.Notify = it.notify
	it.entry.Exclusive = ev.Events&unix.EPOLLEXCLUSIVE != 0
	ep.items[k] = it
	k.f.OnRelease(&it.hook)
	if inner != nil {
		ep.inner = append(ep.inner, it)
		inner.outer = append(inner.outer, it)
	}
	if _, it.queue = poller.Poll(ctx, k.f); it.queue != nil {
		it.queue.Add(&it.entry, wait.Events(it.events&^private))
	}
	ep.check(ctx, it)
}

// check puts an item that is ready on the list.
func (ep *Epoll) check(ctx vfs.Context, it *item) {
	if it.poll(ctx) != 0 && !it.linked {
		ep.ready.push(it)
		ep.wake()
	}
}

// poll returns the item's events that are there now.
func (it *item) poll(ctx vfs.Context) uint32 {
	if it.events&^private == 0 {
		return 0
	}
	ev, _ := it.poller.Poll(ctx, it.f)
	return uint32(ev) & it.events &^ private
}

// remove forgets the item.
func (it *item) remove() {
	ep := it.ep
	it.entry.Remove()
	it.hook.Remove()
	ep.ready.remove(it)
	delete(ep.items, it.key)
	if it.inner != nil {
		same := func(o *item) bool { return o == it }
		ep.inner = slices.DeleteFunc(ep.inner, same)
		it.inner.outer = slices.DeleteFunc(it.inner.outer, same)
	}
}

// notify is called when something happens to the item's file. An exclusive
// wake-up is consumed only if it woke someone who wants just that.
func (it *item) notify(_ *wait.Entry, ev wait.Events) bool {
	ep := it.ep
	if it.events&^private == 0 {
		return false // a oneshot that fired
	}
	if it.linked && ep.queue.Empty() && ep.polled.Empty() {
		return !it.entry.Exclusive
	}
	ep.ready.push(it)
	woken := !ep.queue.Empty()
	ep.wake()
	if !it.entry.Exclusive {
		return true
	}
	switch ev & (wait.In | wait.Out) {
	case wait.In:
		return woken && it.events&unix.EPOLLIN != 0
	case wait.Out:
		return woken && it.events&unix.EPOLLOUT != 0
	case 0:
		return woken
	}
	return false
}

// wake tells one waiter, and all who poll the instance, that there is
// something on the ready list.
func (ep *Epoll) wake() {
	ep.queue.Wake(wait.In)
	ep.polled.Wake(wait.Readable)
}

// Wait is epoll_wait(2): it fills out with up to len(out) events, of which
// there is at least one unless the deadline (monotonic ns; 0 = none, below 0 =
// do not wait) passes. A signal makes it EINTR, always.
func (ep *Epoll) Wait(ctx vfs.Context, out []Event, deadline int64) (int, error) {
	if len(out) == 0 {
		return 0, unix.EINVAL
	}
	if n := ep.fetch(ctx, out); n > 0 || deadline < 0 {
		return n, nil
	}
	w := sleepers.Get().(*sleeper)
	w.task = ctx
	defer w.done()
	for {
		if !w.entry.Queued() {
			ep.queue.Add(&w.entry, wait.In)
		}
		err := ctx.Sleep(deadline)
		if n := ep.fetch(ctx, out); n > 0 {
			return n, nil
		}
		switch err {
		case nil:
		case wait.ErrTimedOut:
			return 0, nil
		default:
			return 0, unix.EINTR
		}
	}
}

// fetch takes the events of what is ready, the longest ready first. Items
// that are level-triggered go to the end of the list again.
func (ep *Epoll) fetch(ctx vfs.Context, out []Event) int {
	n := 0
	for left := ep.ready.n; left > 0 && n < len(out); left-- {
		it := ep.ready.head
		if it == nil {
			break
		}
		ep.ready.remove(it)
		ev := it.poll(ctx)
		if ev == 0 {
			continue
		}
		out[n] = Event{ev, it.data}
		n++
		switch {
		case it.events&unix.EPOLLONESHOT != 0:
			it.events &= private
		case it.events&unix.EPOLLET == 0:
			ep.ready.push(it)
		}
	}
	if ep.ready.n > 0 {
		ep.queue.Wake(wait.In) // the next one may take the rest
	}
	return n
}

// Poll implements vfs.Poller: an instance is readable when something in it is
// ready.
func (ep *Epoll) Poll(ctx vfs.Context, _ *vfs.File) (wait.Events, *wait.Queue) {
	for it := ep.ready.head; it != nil; it = ep.ready.head {
		if it.poll(ctx) != 0 {
			return wait.Readable, &ep.polled
		}
		ep.ready.remove(it)
	}
	return 0, &ep.polled
}

// Release implements vfs.Impl.
func (ep *Epoll) Release(vfs.Context) {
	for _, it := range ep.items {
		it.remove()
	}
}

// Len is how many descriptions are watched.
func (ep *Epoll) Len() int { return len(ep.items) }

// FDInfo implements vfs.FDInfoer.
func (ep *Epoll) FDInfo(*vfs.File) string {
	items := make([]*item, 0, len(ep.items))
	for _, it := range ep.items {
		items = append(items, it)
	}
	slices.SortFunc(items, func(a, b *item) int { return cmp.Compare(a.fd, b.fd) })
	var b strings.Builder
	for _, it := range items {
		fmt.Fprintf(&b, "tfd: %8d events: %8x data: %16x  pos:%d ino:0 sdev:0\n", it.fd, it.events, it.data, it.f.Pos)
	}
	return b.String()
}
