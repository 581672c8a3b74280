package fault

import (
	"encoding/binary"

	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// transfer is how a call that moves bytes says how many.
type transfer struct {
	buf    int  // the argument with the buffer or the iovecs, -1: there is none in memory
	length int  // the argument with the number of bytes, or of iovecs
	vector bool // it is a number of iovecs
	writes bool // into what a descriptor leads to
}

// transfers are the calls that may move less than they are asked to.
var transfers = map[string]transfer{
	"read":     {1, 2, false, false},
	"pread64":  {1, 2, false, false},
	"recvfrom": {1, 2, false, false},
	"recv":     {1, 2, false, false},

	"getrandom": {0, 1, false, false},

	"readv":   {1, 2, true, false},
	"preadv":  {1, 2, true, false},
	"preadv2": {1, 2, true, false},

	"write":    {1, 2, false, true},
	"pwrite64": {1, 2, false, true},
	"sendto":   {1, 2, false, true},
	"send":     {1, 2, false, true},
	"writev":   {1, 2, true, true},
	"pwritev":  {1, 2, true, true},
	"pwritev2": {1, 2, true, true},
	"vmsplice": {1, 2, true, true},

	"sendfile":        {-1, 3, false, true},
	"sendfile64":      {-1, 3, false, true},
	"copy_file_range": {-1, 4, false, true},
	"splice":          {-1, 4, false, true},
	"tee":             {-1, 3, false, true},
}

const maxIO = 1<<31 - 1<<12 // what Linux moves by one call

// asked is how many bytes a call asks for; false when it moves none, or cannot be read.
func (t transfer) asked(c *sysemu.Call) (int64, bool) {
	if !t.vector {
		return int64(min(c.Arg(t.length), maxIO)), true
	}
	b, err := c.Buffer(t.buf)
	if err != nil {
		return 0, false
	}
	return int64(b.Len()), true
}

// cut has the call ask for its first n bytes.
func (t transfer) cut(c *sysemu.Call, n int64) error {
	if !t.vector {
		c.SetArg(t.length, uint64(n))
		return nil
	}
	word := 8
	if c.Arch() == abi.I386 {
		word = 4
	}
	count := c.Arg(t.length)
	if count > 1024 { // UIO_MAXIOV: the kernel refuses it
		return unix.EINVAL
	}
	iov := make([]byte, int(count)*2*word)
	if err := c.ReadMem(c.Arg(t.buf), iov); err != nil {
		return err
	}
	get := func(b []byte) int64 {
		if word == 4 {
			return int64(binary.LittleEndian.Uint32(b))
		}
		return int64(binary.LittleEndian.Uint64(b))
	}
	used := 0
	for ; used < len(iov) && n > 0; used += 2 * word {
		length := iov[used+word:][:word]
		m := min(get(length), n)
		if m < 0 {
			return unix.EINVAL
		}
		if word == 4 {
			binary.LittleEndian.PutUint32(length, uint32(m))
		} else {
			binary.LittleEndian.PutUint64(length, uint64(m))
		}
		n -= m
	}
	at, err := c.Lend(iov[:used])
	if err != nil {
		return err
	}
	c.SetArg(t.buf, at)
	c.SetArg(t.length, uint64(used/(2*word)))
	return nil
}

func (a Action) planShort(s *shot) (step, bool) {
	t, ok := transfers[s.c.Name()]
	if !ok {
		return nil, false
	}
	n, ok := t.asked(s.c)
	m := a.size.of(n)
	if !ok || m >= n {
		return nil, false
	}
	return func(s *shot, rest sysemu.Handler) (uint64, error) {
		if err := t.cut(s.c, m); err != nil {
			return 0, err
		}
		return rest.ServeCall(s.c)
	}, true
}

// planSpace counts what is written. What a call asks for is taken at once, and what it did not write given back after it, so
// that calls at the same time do not write more together.
func (a Action) planSpace(s *shot) (step, bool) {
	used := &s.in.space[s.rule]
	t, ok := transfers[s.c.Name()]
	var asked int64
	if ok && t.writes {
		if asked, ok = t.asked(s.c); !ok {
			return nil, false // an error of its own
		}
	}
	s.in.mu.Lock()
	left := max(a.size.N-*used, 0)
	take := min(asked, left)
	*used += take
	s.in.mu.Unlock()
	full := func(*shot, sysemu.Handler) (uint64, error) {
		s.note(a)
		return 0, unix.ENOSPC
	}
	switch {
	case !t.writes:
		return full, left == 0
	case asked > 0 && left == 0:
		return full, true
	}
	write := func(s *shot, rest sysemu.Handler) (v uint64, err error) {
		if take < asked {
			err = t.cut(s.c, take)
		}
		if err == nil {
			v, err = rest.ServeCall(s.c)
		}
		if err != nil {
			v = 0
		} else if take < asked && int64(v) == take {
			s.note(a)
		}
		s.in.mu.Lock()
		*used -= take - min(int64(v), take)
		s.in.mu.Unlock()
		return v, err
	}
	return write, true
}
