package net

import (
	"encoding/binary"
	"math"

	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// options are those of SOL_SOCKET, socket(7).
type options struct {
	sndbuf, rcvbuf, rcvlowat int
	sndtimeo, rcvtimeo       int64 // ns, 0 = none
	passcred                 bool
	reuseaddr, reuseport     bool
	keepalive, broadcast     bool
	oobinline, dontroute     bool
	timestamp                int // the SO_TIMESTAMP* option that is on
	linger                   bool
	lingerTime               int32
	priority, mark           int32
}

// intOption returns the number that most options have.
func intOption(v []byte) (int32, error) {
	if len(v) < 4 {
		return 0, unix.EINVAL
	}
	return int32(binary.NativeEndian.Uint32(v)), nil
}

func intBytes(n int) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(n)) }

func boolBytes(b bool) []byte {
	if b {
		return intBytes(1)
	}
	return intBytes(0)
}

// timeout reads a struct timeval: 0 is none.
func timeout(v []byte) (int64, error) {
	if len(v) < 16 {
		return 0, unix.EINVAL
	}
	sec, usec := int64(binary.NativeEndian.Uint64(v)), int64(binary.NativeEndian.Uint64(v[8:]))
	switch {
	case usec < 0 || usec >= 1e6:
		return 0, unix.EDOM
	case sec < 0:
		return 1, nil // does not wait
	case sec > 1<<32:
		return 0, nil
	}
	return sec*1e9 + usec*1e3, nil
}

func timeval(ns int64) []byte {
	b := binary.NativeEndian.AppendUint64(nil, uint64(ns/1e9))
	return binary.NativeEndian.AppendUint64(b, uint64(ns%1e9/1e3))
}

// setOption is setsockopt(2) for SOL_SOCKET.
func (s *sock) setOption(ctx Context, name int, v []byte) error {
	o := &s.opt
	n, err := intOption(v)
	if err != nil {
		return err
	}
	admin := ctx.Cred().Has(unix.CAP_NET_ADMIN)
	switch name {
	case unix.SO_REUSEADDR:
		o.reuseaddr = n != 0
	case unix.SO_REUSEPORT:
		if s.family == unix.AF_UNIX {
			return unix.EOPNOTSUPP
		}
		o.reuseport = n != 0
	case unix.SO_KEEPALIVE:
		o.keepalive = n != 0
	case unix.SO_BROADCAST:
		o.broadcast = n != 0
	case unix.SO_OOBINLINE:
		o.oobinline = n != 0
	case unix.SO_DONTROUTE:
		o.dontroute = n != 0
	case unix.SO_TIMESTAMP, unix.SO_TIMESTAMPNS, unix.SO_TIMESTAMP_NEW, unix.SO_TIMESTAMPNS_NEW:
		o.timestamp = 0
		if n != 0 {
			o.timestamp = name
		}
	case unix.SO_SNDBUF, unix.SO_SNDBUFFORCE:
		if name == unix.SO_SNDBUFFORCE {
			if !admin {
				return unix.EPERM
			}
			n = min(max(n, 0), 64<<20) // there is no more to be had for it
		} else {
			n = int32(min(uint32(n), maxBuffer))
		}
		o.sndbuf = max(2*int(n), minSndbuf)
		s.queue.Wake(wait.Writable)
	case unix.SO_RCVBUF, unix.SO_RCVBUFFORCE:
		if name == unix.SO_RCVBUFFORCE {
			if !admin {
				return unix.EPERM
			}
			n = min(max(n, 0), 64<<20)
		} else {
			n = int32(min(uint32(n), maxBuffer))
		}
		o.rcvbuf = max(2*int(n), minRcvbuf)
	case unix.SO_RCVLOWAT:
		if n < 0 {
			n = math.MaxInt32
		}
		o.rcvlowat = max(int(n), 1)
	case unix.SO_SNDTIMEO, unix.SO_SNDTIMEO_NEW:
		o.sndtimeo, err = timeout(v)
		return err
	case unix.SO_RCVTIMEO, unix.SO_RCVTIMEO_NEW:
		o.rcvtimeo, err = timeout(v)
		return err
	case unix.SO_LINGER:
		if len(v) < 8 {
			return unix.EINVAL
		}
		o.linger, o.lingerTime = n != 0, int32(binary.NativeEndian.Uint32(v[4:]))
	case unix.SO_PASSCRED:
		if s.family != unix.AF_UNIX && s.family != unix.AF_NETLINK {
			return unix.EOPNOTSUPP
		}
		o.passcred = n != 0
	case unix.SO_PRIORITY:
		if (n < 0 || n > 6) && !admin {
			return unix.EPERM
		}
		o.priority = n
	case unix.SO_MARK:
		if !admin {
			return unix.EPERM
		}
		o.mark = n
	case unix.SO_NO_CHECK, unix.SO_BUSY_POLL, unix.SO_RXQ_OVFL, unix.SO_INCOMING_CPU:
		// Of no consequence on a loopback.
	default:
		return unix.ENOPROTOOPT
	}
	return nil
}

// option is getsockopt(2) for SOL_SOCKET.
func (s *sock) option(name int) ([]byte, error) {
	o := &s.opt
	switch name {
	case unix.SO_TYPE:
		return intBytes(s.typ), nil
	case unix.SO_DOMAIN:
		return intBytes(s.family), nil
	case unix.SO_PROTOCOL:
		return intBytes(s.proto), nil
	case unix.SO_ERROR:
		err := s.err
		s.err = 0
		return intBytes(int(err)), nil
	case unix.SO_ACCEPTCONN:
		return boolBytes(s.state == listening), nil
	case unix.SO_REUSEADDR:
		return boolBytes(o.reuseaddr), nil
	case unix.SO_REUSEPORT:
		return boolBytes(o.reuseport), nil
	case unix.SO_KEEPALIVE:
		return boolBytes(o.keepalive), nil
	case unix.SO_BROADCAST:
		return boolBytes(o.broadcast), nil
	case unix.SO_OOBINLINE:
		return boolBytes(o.oobinline), nil
	case unix.SO_DONTROUTE:
		return boolBytes(o.dontroute), nil
	case unix.SO_TIMESTAMP, unix.SO_TIMESTAMPNS, unix.SO_TIMESTAMP_NEW, unix.SO_TIMESTAMPNS_NEW:
		return boolBytes(o.timestamp == name), nil
	case unix.SO_SNDBUF:
		return intBytes(o.sndbuf), nil
	case unix.SO_RCVBUF:
		return intBytes(o.rcvbuf), nil
	case unix.SO_RCVLOWAT:
		return intBytes(o.rcvlowat), nil
	case unix.SO_SNDLOWAT:
		return intBytes(1), nil
	case unix.SO_SNDTIMEO, unix.SO_SNDTIMEO_NEW:
		return timeval(o.sndtimeo), nil
	case unix.SO_RCVTIMEO, unix.SO_RCVTIMEO_NEW:
		return timeval(o.rcvtimeo), nil
	case unix.SO_LINGER:
		return append(boolBytes(o.linger), intBytes(int(o.lingerTime))...), nil
	case unix.SO_PASSCRED:
		return boolBytes(o.passcred), nil
	case unix.SO_PRIORITY:
		return intBytes(int(o.priority)), nil
	case unix.SO_MARK:
		return intBytes(int(o.mark)), nil
	case unix.SO_PASSSEC, unix.SO_NO_CHECK, unix.SO_BUSY_POLL, unix.SO_RXQ_OVFL:
		return intBytes(0), nil
	case unix.SO_INCOMING_CPU:
		return intBytes(-1), nil
	case unix.SO_COOKIE:
		return binary.NativeEndian.AppendUint64(nil, s.inode.ino), nil
	}
	return nil, unix.ENOPROTOOPT
}
