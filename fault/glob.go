package fault

import "strings"

// glob is a pattern: * and ? stop at slashes, ** does not, [set] is one of a set, \ takes the special meaning away.
// A pattern without a slash is for the last element of a path.
type glob struct {
	pattern string
	last    bool // matches the last element only
}

func newGlob(pattern string) *glob { return &glob{pattern, !strings.Contains(pattern, "/")} }

// match reports whether a name matches.
func (g *glob) match(name string) bool {
	if g.last {
		name = name[strings.LastIndexByte(name, '/')+1:]
	}
	p := g.pattern
	// Where to go on when what follows the last * or ** does not match. A * can be outgrown only by a ** before it.
	type retry struct {
		p, n int
		ok   bool
	}
	var star, stars retry
	i, j := 0, 0
	for i < len(p) || j < len(name) {
		if i < len(p) {
			if strings.HasPrefix(p[i:], "**") {
				i += 2
				stars, star = retry{i, j, true}, retry{}
				continue
			}
			if p[i] == '*' {
				i++
				star = retry{i, j, true}
				continue
			}
			if j < len(name) {
				if n, ok := matchOne(p[i:], name[j]); ok {
					i, j = i+n, j+1
					continue
				}
			}
		}
		if star.ok && star.n < len(name) && name[star.n] != '/' {
			star.n++
			i, j = star.p, star.n
			continue
		}
		if stars.ok && stars.n < len(name) {
			stars.n++
			i, j, star = stars.p, stars.n, retry{}
			continue
		}
		return false
	}
	return true
}

// matchOne reports whether the first element of p, of n bytes, is for c.
func matchOne(p string, c byte) (n int, ok bool) {
	switch p[0] {
	case '?':
		return 1, c != '/'
	case '\\':
		if len(p) > 1 {
			return 2, p[1] == c
		}
	case '[':
		not := len(p) > 1 && (p[1] == '!' || p[1] == '^')
		i := 1
		if not {
			i++
		}
		found := false
		for first := true; i < len(p); first = false {
			if p[i] == ']' && !first {
				return i + 1, found != not && c != '/'
			}
			lo, hi := p[i], p[i]
			if i+2 < len(p) && p[i+1] == '-' && p[i+2] != ']' {
				hi = p[i+2]
				i += 2
			}
			found = found || lo <= c && c <= hi
			i++
		}
	}
	return 1, p[0] == c // also a [ that nothing closes
}
