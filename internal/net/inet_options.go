package net

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// The options of IP, IPv6 and TCP have nothing to act on here but IPV6_V6ONLY;
// they are taken and given back.

// Options of UDP-Lite: how much of a packet its checksum covers.
const (
	udpliteSendCscov = 10
	udpliteRecvCscov = 11
)

// intDefaults has the options that hold a number, and what it is at first.
var intDefaults = map[option]int32{
	{unix.IPPROTO_TCP, unix.TCP_NODELAY}:            0,
	{unix.IPPROTO_TCP, unix.TCP_MAXSEG}:             536,
	{unix.IPPROTO_TCP, unix.TCP_CORK}:               0,
	{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE}:           7200,
	{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL}:          75,
	{unix.IPPROTO_TCP, unix.TCP_KEEPCNT}:            9,
	{unix.IPPROTO_TCP, unix.TCP_SYNCNT}:             6,
	{unix.IPPROTO_TCP, unix.TCP_LINGER2}:            60,
	{unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT}:       0,
	{unix.IPPROTO_TCP, unix.TCP_WINDOW_CLAMP}:       0,
	{unix.IPPROTO_TCP, unix.TCP_QUICKACK}:           1,
	{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT}:       0,
	{unix.IPPROTO_TCP, unix.TCP_FASTOPEN}:           0,
	{unix.IPPROTO_TCP, unix.TCP_FASTOPEN_CONNECT}:   0,
	{unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT}:      0,
	{unix.IPPROTO_UDPLITE, udpliteSendCscov}:        0,
	{unix.IPPROTO_UDPLITE, udpliteRecvCscov}:        0,
	{unix.IPPROTO_IP, unix.IP_TOS}:                  0,
	{unix.IPPROTO_IP, unix.IP_TTL}:                  64,
	{unix.IPPROTO_IP, unix.IP_MTU_DISCOVER}:         unix.IP_PMTUDISC_WANT,
	{unix.IPPROTO_IP, unix.IP_RECVERR}:              0,
	{unix.IPPROTO_IP, unix.IP_PKTINFO}:              0,
	{unix.IPPROTO_IP, unix.IP_RECVTTL}:              0,
	{unix.IPPROTO_IP, unix.IP_RECVTOS}:              0,
	{unix.IPPROTO_IP, unix.IP_FREEBIND}:             0,
	{unix.IPPROTO_IP, unix.IP_MULTICAST_TTL}:        1,
	{unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP}:       1,
	{unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT}: 0,
	{unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS}:     64,
	{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS}:   1,
	{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP}:   1,
	{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF}:     0,
	{unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO}:      0,
	{unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT}:     0,
	{unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS}:       0,
	{unix.IPPROTO_IPV6, unix.IPV6_TCLASS}:           0,
	{unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER}:     unix.IPV6_PMTUDISC_WANT,
	{unix.IPPROTO_IPV6, unix.IPV6_RECVERR}:          0,
	{unix.IPPROTO_IPV6, unix.IPV6_AUTOFLOWLABEL}:    1,
	{unix.IPPROTO_IPV6, unix.IPV6_ADDR_PREFERENCES}: 0,
}

// intLimits has the least and the most that some of them take.
var intLimits = map[option][2]int32{
	{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE}:         {1, 32767},
	{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL}:        {1, 32767},
	{unix.IPPROTO_TCP, unix.TCP_KEEPCNT}:          {1, 127},
	{unix.IPPROTO_TCP, unix.TCP_SYNCNT}:           {1, 127},
	{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT}:     {0, 1<<31 - 1},
	{unix.IPPROTO_IP, unix.IP_TTL}:                {1, 255},
	{unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS}:   {0, 255},
	{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS}: {0, 255},
	{unix.IPPROTO_IPV6, unix.IPV6_TCLASS}:         {0, 255},
}

// flags has those that are on or off.
var flags = map[option]bool{
	{unix.IPPROTO_TCP, unix.TCP_NODELAY}:            true,
	{unix.IPPROTO_TCP, unix.TCP_CORK}:               true,
	{unix.IPPROTO_IP, unix.IP_RECVERR}:              true,
	{unix.IPPROTO_IP, unix.IP_PKTINFO}:              true,
	{unix.IPPROTO_IP, unix.IP_RECVTTL}:              true,
	{unix.IPPROTO_IP, unix.IP_RECVTOS}:              true,
	{unix.IPPROTO_IP, unix.IP_FREEBIND}:             true,
	{unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP}:       true,
	{unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT}: true,
	{unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO}:      true,
	{unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT}:     true,
	{unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS}:       true,
	{unix.IPPROTO_IPV6, unix.IPV6_RECVERR}:          true,
	{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP}:   true,
}

const loopbackMTU = 65536

// int returns the value of an option that holds a number.
func (s *inetSock) int(o option) int32 {
	if n, ok := s.ints[o]; ok {
		return n
	}
	return intDefaults[o]
}

// belongs reports whether s has options of level.
func (s *inetSock) belongs(level int) bool {
	switch level {
	case unix.IPPROTO_TCP:
		return s.typ == unix.SOCK_STREAM
	case unix.IPPROTO_IP:
		return true // an IPv6 socket may speak IPv4
	case unix.IPPROTO_IPV6:
		return s.family == unix.AF_INET6
	case unix.IPPROTO_UDPLITE:
		return s.proto == unix.IPPROTO_UDPLITE
	}
	return false
}

// GetSockOpt implements Socket.
func (s *inetSock) GetSockOpt(_ Context, level, name, space int) ([]byte, error) {
	var v []byte
	var err error
	switch {
	case level == unix.SOL_SOCKET && name == unix.SO_PEERCRED:
		v = binary.NativeEndian.AppendUint32(nil, 0)
		v = binary.NativeEndian.AppendUint64(v, 1<<64-1)
	case level == unix.SOL_SOCKET:
		v, err = s.option(name)
	case !s.belongs(level):
		if level == unix.IPPROTO_TCP || level == unix.IPPROTO_IPV6 {
			err = unix.EOPNOTSUPP
		} else {
			err = unix.ENOPROTOOPT
		}
	case level == unix.IPPROTO_IPV6 && name == unix.IPV6_V6ONLY:
		v = boolBytes(s.v6only)
	case level == unix.IPPROTO_TCP && name == unix.TCP_CONGESTION:
		v = append([]byte("cubic"), make([]byte, 11)...)
	case level == unix.IPPROTO_TCP && name == unix.TCP_INFO:
		v = make([]byte, unix.SizeofTCPInfo)
		v[0] = s.linuxState()
	case level == unix.IPPROTO_IP && name == unix.IP_MTU, level == unix.IPPROTO_IPV6 && name == unix.IPV6_MTU:
		if s.state != established {
			err = unix.ENOTCONN
		}
		v = intBytes(loopbackMTU)
	case level == unix.IPPROTO_IP && name == unix.IP_OPTIONS:
	default:
		o := option{level, name}
		if _, ok := intDefaults[o]; !ok {
			err = unix.ENOPROTOOPT
		}
		v = intBytes(int(s.int(o)))
	}
	if err != nil {
		return nil, err
	}
	return v[:min(len(v), space)], nil
}

// SetSockOpt implements Socket.
func (s *inetSock) SetSockOpt(ctx Context, level, name int, v []byte) error {
	if level == unix.SOL_SOCKET {
		reuse := s.opt.reuseaddr
		err := s.setOption(ctx, name, v)
		if s.accepted && s.where != nil && reuse != s.opt.reuseaddr {
			if reuse {
				s.where.rigid++
			} else {
				s.where.rigid--
			}
		}
		return err
	}
	if !s.belongs(level) {
		return unix.ENOPROTOOPT
	}
	if level == unix.IPPROTO_TCP && name == unix.TCP_CONGESTION {
		for _, known := range []string{"cubic", "reno"} {
			if string(v) == known || string(v) == known+"\x00" {
				return nil
			}
		}
		return unix.ENOENT
	}
	var n int32
	var err error
	if len(v) == 1 && level == unix.IPPROTO_IP {
		n = int32(v[0])
	} else if n, err = intOption(v); err != nil {
		return err
	}
	if level == unix.IPPROTO_IPV6 && name == unix.IPV6_V6ONLY {
		if s.where != nil {
			return unix.EINVAL
		}
		s.v6only = n != 0
		return nil
	}
	o := option{level, name}
	if _, ok := intDefaults[o]; !ok {
		return unix.ENOPROTOOPT
	}
	if l, ok := intLimits[o]; ok {
		if n == -1 && level != unix.IPPROTO_TCP { // the default
			delete(s.ints, o)
			return nil
		}
		if n < l[0] || n > l[1] {
			return unix.EINVAL
		}
	}
	if flags[o] && n != 0 {
		n = 1
	}
	if o == (option{unix.IPPROTO_IP, unix.IP_TOS}) && s.typ == unix.SOCK_STREAM {
		n &^= 3 // those bits are the protocol's
	}
	if s.ints == nil {
		s.ints = make(map[option]int32)
	}
	s.ints[o] = n
	return nil
}

// linuxState is the connection's state as TCP_INFO has it.
func (s *inetSock) linuxState() byte {
	const (
		tcpEstablished = 1
		tcpSynSent     = 2
		tcpFinWait2    = 5
		tcpClose       = 7
		tcpCloseWait   = 8
		tcpListen      = 10
	)
	switch s.state {
	case established:
		switch s.shut {
		case shutRead:
			return tcpCloseWait
		case shutWrite:
			return tcpFinWait2
		case shutBoth:
			return tcpClose
		}
		return tcpEstablished
	case connecting:
		return tcpSynSent
	case listening:
		return tcpListen
	}
	return tcpClose
}
