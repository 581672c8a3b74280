package pipe

import (
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// What splice(2), tee(2) and vmsplice(2) need. All of them wait for the first
// byte or segment unless nonblock (SPLICE_F_NONBLOCK, or O_NONBLOCK of a pipe
// involved), and return what they moved; 0 is the end of the source. vmsplice
// is Read and Write on the caller's memory.

// SpliceTo gives up to n bytes of the pipe to sink, run by run, and takes from
// the pipe what sink took: a short count or an error loses nothing. sink may
// wait; meanwhile the run is not in the pipe. It ends when the pipe is empty
// or sink takes less than it was given.
func (p *Pipe) SpliceTo(t wait.Task, n int, nonblock bool, sink func(b []byte) (int, error)) (int, error) {
	if n <= 0 {
		return 0, nil
	}
	slept, err := p.awaitData(t, nonblock)
	if err != nil {
		return 0, err
	}
	wasFull := p.full()
	done := 0
	for done < n && !p.empty() && err == nil {
		s := *p.at(p.tail)
		p.at(p.tail).page = nil
		p.tail++
		b := s.bytes()
		if len(b) > n-done {
			b = b[:n-done]
		}
		var c int
		c, err = sink(b)
		c = max(0, min(c, len(b)))
		s.take(c)
		done += c
		if s.len > 0 {
			p.pushFront(s)
		} else {
			p.freePage(&s)
		}
		if c < len(b) {
			break
		}
		if wasFull && !p.full() {
			p.q.Wake(wait.Writable) // sink may wait for long
			wasFull = false
		}
	}
	if p.readers == 0 && p.writers == 0 {
		p.discard()
	}
	p.wakeAfterTaking(wasFull, slept)
	if done > 0 {
		return done, nil
	}
	return 0, err
}

// SpliceFrom fills up to n bytes' worth of free segments from source, which
// may wait and returns 0 at its end. It ends when the pipe is full or source
// gives less than there was room for.
func (p *Pipe) SpliceFrom(t wait.Task, n int, nonblock bool, source func(b []byte) (int, error)) (int, error) {
	if n <= 0 {
		return 0, nil
	}
	slept, err := p.awaitRoom(t, nonblock)
	if err != nil {
		return 0, err
	}
	done := 0
	for done < n && (done == 0 || !p.full()) && err == nil && p.readers > 0 {
		g := p.newPage()
		b := g[:min(n-done, pageSize)]
		var c int
		c, err = source(b)
		c = max(0, min(c, len(b)))
		s := segment{page: g, len: uint16(c)}
		if c == 0 || p.readers == 0 {
			if c > 0 {
				err = unix.EPIPE
			}
			p.freePage(&s)
			break
		}
		p.push(s)
		done += c
		p.q.Wake(wait.Readable)
		if c < len(b) {
			break
		}
	}
	p.wakeAfterPutting(false, slept)
	if done > 0 {
		return done, nil
	}
	return 0, err
}

// Splice moves up to n bytes from src to dst without copying whole segments.
// EINVAL when they are the same pipe.
func Splice(t wait.Task, dst, src *Pipe, n int, nonblock bool) (int, error) {
	return transfer(t, dst, src, n, nonblock, true)
}

// Tee is Splice that leaves the bytes in src.
func Tee(t wait.Task, dst, src *Pipe, n int, nonblock bool) (int, error) {
	return transfer(t, dst, src, n, nonblock, false)
}

func transfer(t wait.Task, dst, src *Pipe, n int, nonblock, move bool) (int, error) {
	if dst == src {
		return 0, unix.EINVAL
	}
	if n <= 0 {
		return 0, nil
	}
	srcSlept, dstSlept := false, false
	// Room may go while we wait for data, and data while we wait for room.
	for src.empty() || dst.full() || dst.readers == 0 {
		slept, err := src.awaitData(t, nonblock)
		if err != nil {
			return 0, err
		}
		srcSlept = srcSlept || slept
		if src.empty() {
			return 0, nil
		}
		slept, err = dst.awaitRoom(t, nonblock)
		if err != nil {
			src.wakeAfterTaking(false, srcSlept)
			return 0, err
		}
		dstSlept = dstSlept || slept
	}
	wasFull := src.full()
	done := 0
	for i := src.tail; done < n && i != src.head && !dst.full(); i++ {
		from := src.at(i)
		c := min(int(from.len), n-done)
		s := *from
		s.merge = false
		if move && c == int(from.len) {
			from.page = nil
			src.tail++
		} else {
			from.shared, s.shared = true, true
			s.len = uint16(c)
			if move {
				from.take(c)
			}
		}
		dst.push(s)
		done += c
	}
	src.wakeAfterTaking(wasFull, srcSlept)
	dst.wakeAfterPutting(true, dstSlept)
	return done, nil
}
