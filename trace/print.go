package trace

import (
	"encoding/binary"
	"strconv"
	"strings"
	"time"

	"github.com/sysemu/sysemu/abi"
	"golang.org/x/sys/unix"
)

// memory is a program's memory.
type memory interface {
	ReadMem(addr uint64, p []byte) error
}

// style is how values are written: strace's flags of the same letters.
type style struct {
	strings int  // -s: bytes of a string
	hex     int  // -x, -xx: 1 for strings that are not ASCII text, 2 for all
	verbose bool // -v: structs in full
	fds     bool // -y: what descriptors lead to
}

// printer writes the arguments and the result of one call. It is used for one call after another; nothing in it
// is allocated per call.
type printer struct {
	style
	b       []byte
	mem     memory
	nameOf  func(fd int) string // what a descriptor leads to; nil with -y off
	resumed string              // the call that restart_syscall goes on with
	arch    abi.Arch
	desc    *abi.Call // nil: a number without a name
	list    []abi.Arg
	args    [6]uint64

	next    int // the argument to go on with at exit
	leaving bool
	ret     uint64
	errno   unix.Errno
	aux     []byte // what follows the result in parentheses
	radix   byte   // of the result: 'd', 'x', 'o', 'u', 'f' for a descriptor
	saved   uint64 // what entry tells exit

	scratch []byte
}

// failed reports whether the call has: what it was to write is not there.
func (p *printer) failed() bool { return p.errno != 0 }

func (p *printer) s(s string)      { p.b = append(p.b, s...) }
func (p *printer) c(c byte)        { p.b = append(p.b, c) }
func (p *printer) dec(v int64)     { p.b = strconv.AppendInt(p.b, v, 10) }
func (p *printer) int(v uint64)    { p.dec(int64(int32(v))) }
func (p *printer) uint(v uint64)   { p.b = strconv.AppendUint(p.b, uint64(uint32(v)), 10) }
func (p *printer) ulong(v uint64)  { p.b = strconv.AppendUint(p.b, v, 10) }
func (p *printer) octal(v uint64)  { p.b = appendOctal(p.b, v) }
func (p *printer) hexNum(v uint64) { p.b = appendHex(p.b, v) }

// addr writes an address.
func (p *printer) addr(v uint64) {
	if v == 0 {
		p.s("NULL")
		return
	}
	p.hexNum(v)
}

func appendHex(b []byte, v uint64) []byte {
	if v == 0 {
		return append(b, '0')
	}
	return strconv.AppendUint(append(b, "0x"...), v, 16)
}

func appendOctal(b []byte, v uint64) []byte {
	if v == 0 {
		return append(b, '0')
	}
	return strconv.AppendUint(append(b, '0'), v, 8)
}

// mode writes permission bits: three digits at least.
func (p *printer) mode(v uint64) {
	if v < 0o100 {
		p.b = append(p.b, '0', '0'+byte(v>>3), '0'+byte(v&7))
		return
	}
	p.octal(v)
}

// long writes a signed word.
func (p *printer) long(v uint64) {
	if p.arch == abi.I386 {
		v = uint64(int64(int32(v)))
	}
	p.dec(int64(v))
}

// id writes a user or group: -1 means "leave as it is".
func (p *printer) id(v uint64) {
	if uint32(v) == ^uint32(0) {
		p.s("-1")
		return
	}
	p.uint(v)
}

func (p *printer) fd(v uint64) {
	n := int(int32(v))
	p.dec(int64(n))
	p.fdName(n)
}

// fdName writes what a descriptor leads to, with -y.
func (p *printer) fdName(n int) {
	if p.nameOf == nil {
		return
	}
	if s := p.nameOf(n); s != "" {
		s, deleted := strings.CutSuffix(s, " (deleted)")
		p.c('<')
		p.b = appendEscaped(p.b, s, "<>\n")
		p.c('>')
		if deleted {
			p.s("(deleted)")
		}
	}
}

func (p *printer) dirFD(v uint64) {
	if int32(v) == unix.AT_FDCWD {
		p.s("AT_FDCWD")
		p.fdName(unix.AT_FDCWD)
		return
	}
	p.fd(v)
}

// appendEscaped appends s with octal escapes for the bytes of special and what cannot be printed.
func appendEscaped(b []byte, s, special string) []byte {
	for i := range len(s) {
		c := s[i]
		esc := c < ' ' || c >= 0x7f
		for j := range len(special) {
			esc = esc || c == special[j]
		}
		if esc {
			b = appendOctalEscape(b, c, i+1 < len(s) && s[i+1] >= '0' && s[i+1] <= '7')
			continue
		}
		b = append(b, c)
	}
	return b
}

func appendOctalEscape(b []byte, c byte, full bool) []byte {
	b = append(b, '\\')
	if full || c >= 0o100 {
		b = append(b, '0'+c>>6)
	}
	if full || c >= 0o10 {
		b = append(b, '0'+c>>3&7)
	}
	return append(b, '0'+c&7)
}

const hexDigits = "0123456789abcdef"

// plainByte says which bytes stand for themselves between quotes.
var plainByte = func() (t [256]bool) {
	for c := ' '; c < 0x7f; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return
}()

// quote writes bytes as a C string, in hexadecimal if the style or forceHex says so.
func (p *printer) quote(v []byte, forceHex bool) {
	useHex := forceHex || p.hex > 1
	if p.hex == 1 && !useHex {
		for _, c := range v {
			if c >= 0x7f || c < ' ' && (c < '\t' || c > '\r') {
				useHex = true
				break
			}
		}
	}
	b := append(p.b, '"')
	if useHex {
		for _, c := range v {
			b = append(b, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
		}
		p.b = append(b, '"')
		return
	}
	for i := 0; i < len(v); i++ {
		c := v[i]
		if plainByte[c] {
			b = append(b, c)
			continue
		}
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\t':
			b = append(b, '\\', 't')
		case '\r':
			b = append(b, '\\', 'r')
		case '\f':
			b = append(b, '\\', 'f')
		case '\v':
			b = append(b, '\\', 'v')
		default:
			b = appendOctalEscape(b, c, i+1 < len(v) && v[i+1] >= '0' && v[i+1] <= '9')
		}
	}
	p.b = append(b, '"')
}

// bytes reads n bytes of memory; the slice is valid until the next read.
func (p *printer) bytes(addr uint64, n int) ([]byte, bool) {
	if cap(p.scratch) < n {
		p.scratch = make([]byte, max(n, 1024))
	}
	b := p.scratch[:n]
	return b, addr != 0 && p.mem.ReadMem(addr, b) == nil
}

// buf writes a buffer of n bytes, as far as the style goes.
func (p *printer) buf(addr uint64, n uint64, forceHex bool) {
	if addr == 0 {
		p.s("NULL")
		return
	}
	show := min(n, uint64(p.strings))
	if show == 0 && n == 0 {
		p.s(`""`)
		return
	}
	v, ok := p.bytes(addr, int(show))
	if !ok {
		p.addr(addr)
		return
	}
	p.quote(v, forceHex)
	if n > show {
		p.s("...")
	}
}

const maxPath = 4096

// cstring reads a string up to max bytes. full: its NUL was met.
func (p *printer) cstring(addr uint64, max int) (v []byte, full, ok bool) {
	if addr == 0 {
		return nil, false, false
	}
	if cap(p.scratch) < max+256 {
		p.scratch = make([]byte, max+1024)
	}
	b := p.scratch[:0]
	for len(b) < max {
		at := addr + uint64(len(b))
		n := min(4096-int(at&4095), 256, max-len(b))
		from := len(b)
		b = b[:from+n]
		if p.mem.ReadMem(at, b[from:]) != nil {
			return nil, false, false
		}
		for i, c := range b[from:] {
			if c == 0 {
				return b[:from+i], true, true
			}
		}
	}
	return b, false, true
}

// path writes a file name, always whole.
func (p *printer) path(addr uint64) {
	v, full, ok := p.cstring(addr, maxPath)
	if !ok {
		p.addr(addr)
		return
	}
	p.quote(v, false)
	if !full {
		p.s("...")
	}
}

// str writes a string as far as the style goes.
func (p *printer) str(addr uint64) {
	v, full, ok := p.cstring(addr, p.strings+1)
	if !ok {
		p.addr(addr)
		return
	}
	if len(v) > p.strings {
		v, full = v[:p.strings], false
	}
	p.quote(v, false)
	if !full {
		p.s("...")
	}
}

// named writes a number by its names.
func (p *printer) named(k abi.Kind, v uint64) { p.b = k.Names().Append(p.b, v) }

// words reads a struct's fields in turn. Words are of the call's architecture.
type words struct {
	b    []byte
	at   int
	wide bool
}

func (w *words) take(n int) []byte {
	if w.at+n > len(w.b) {
		return make([]byte, n)
	}
	v := w.b[w.at : w.at+n]
	w.at += n
	return v
}
func (w *words) u8() uint64  { return uint64(w.take(1)[0]) }
func (w *words) u16() uint64 { return uint64(binary.LittleEndian.Uint16(w.take(2))) }
func (w *words) u32() uint64 { return uint64(binary.LittleEndian.Uint32(w.take(4))) }
func (w *words) i32() int64  { return int64(int32(w.u32())) }
func (w *words) u64() uint64 { return binary.LittleEndian.Uint64(w.take(8)) }
func (w *words) i64() int64  { return int64(w.u64()) }
func (w *words) skip(n int)  { w.at += n }

// word is an unsigned long, sword a signed one.
func (w *words) word() uint64 {
	if w.wide {
		return w.u64()
	}
	return w.u32()
}
func (w *words) sword() int64 {
	if w.wide {
		return w.i64()
	}
	return w.i32()
}

// words reads a struct of n bytes on x86-64 and n32 on i386.
func (p *printer) words(addr uint64, n, n32 int) (words, bool) {
	w := words{wide: p.arch != abi.I386}
	if !w.wide {
		n = n32
	}
	var ok bool
	w.b, ok = p.bytes(addr, n)
	return w, ok
}

// wide reads a struct that is the same on both.
func (p *printer) wide(addr uint64, n int) (words, bool) {
	b, ok := p.bytes(addr, n)
	return words{b: b, wide: true}, ok
}

func (p *printer) wordSize() uint64 { return uint64(p.arch.WordSize()) }

// timeComment writes when a time of a file is, as strace does behind some.
func (p *printer) timeComment(sec, nsec int64, digits int) {
	if sec == 0 && nsec == 0 {
		return
	}
	p.s(" /* ")
	p.b = appendTime(p.b, sec, nsec, digits)
	p.s(" */")
}

func appendTime(b []byte, sec, nsec int64, digits int) []byte {
	t := time.Unix(sec, 0)
	b = t.AppendFormat(b, "2006-01-02T15:04:05")
	if digits > 0 {
		b = append(b, '.')
		b = appendPadded(b, nsec, digits)
	}
	return t.AppendFormat(b, "-0700")
}

// appendPadded appends v with leading zeros.
func appendPadded(b []byte, v int64, digits int) []byte {
	var tmp [20]byte
	d := strconv.AppendInt(tmp[:0], v, 10)
	for i := len(d); i < digits; i++ {
		b = append(b, '0')
	}
	return append(b, d...)
}
