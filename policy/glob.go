package policy

import (
	"fmt"
	"path"
	"strings"
)

// glob is a pattern for names of files.
type glob struct {
	parts []string // between slashes; "**" is any number of names
	plain string   // not "": a pattern for what has no name in the tree
	none  bool     // matches nothing
}

func parseGlob(s string) (g glob, err error) {
	if s == "none" {
		return glob{none: true}, nil
	}
	if _, err := path.Match(s, ""); err != nil {
		return g, fmt.Errorf("%q is not a pattern", s)
	}
	if strings.HasPrefix(s, "anonymous:") {
		return glob{plain: s}, nil
	}
	if !strings.HasPrefix(s, "/") {
		return g, fmt.Errorf("%q does not begin with /", s)
	}
	if s == "/" {
		return g, nil
	}
	g.parts = strings.Split(s[1:], "/")
	for _, p := range g.parts {
		switch {
		case p == "" || p == "." || p == "..":
			return g, fmt.Errorf("%q is not a clean name: no file is called so", s)
		case p != "**" && strings.Contains(p, "**"):
			return g, fmt.Errorf("in %q, ** is not a name of its own", s)
		}
	}
	return g, nil
}

// names are the parts of an absolute name; false: it is none.
func names(name string) ([]string, bool) {
	if name == "/" {
		return nil, true
	}
	if !strings.HasPrefix(name, "/") {
		return nil, false
	}
	return strings.Split(name[1:], "/"), true
}

func (g *glob) match(name string) bool {
	if g.none {
		return false
	}
	if g.plain != "" {
		// What follows is no path: slashes are letters there.
		ok, _ := path.Match(strings.ReplaceAll(g.plain, "/", "\x00"), strings.ReplaceAll(name, "/", "\x00"))
		return ok
	}
	n, ok := names(name)
	return ok && matchParts(g.parts, n)
}

// matchParts matches as one does with * in a string: of the ** only the last that was met can have to take more.
func matchParts(pattern, n []string) bool {
	i, j := 0, 0
	star, mark := -1, 0
	for j < len(n) {
		switch {
		case i < len(pattern) && pattern[i] == "**":
			star, mark = i, j
			i++
		case i < len(pattern) && matchPart(pattern[i], n[j]):
			i++
			j++
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(pattern) && pattern[i] == "**" {
		i++
	}
	return i == len(pattern)
}

func matchPart(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}

// covers reports whether the pattern matches a directory and all that can be below it: it may be false where that is so.
func (g *glob) covers(dir string) bool {
	n, ok := names(dir)
	k := len(g.parts)
	if !ok || g.none || k == 0 || g.parts[k-1] != "**" {
		return false
	}
	for i := 0; i <= len(n); i++ {
		if matchParts(g.parts[:k-1], n[:i]) {
			return true
		}
	}
	return false
}

// touches reports whether the pattern may match a directory or something below it: it may be true where that cannot be.
func (g *glob) touches(dir string) bool {
	n, ok := names(dir)
	if !ok || g.none || g.plain != "" {
		return false
	}
	for i, name := range n {
		if i >= len(g.parts) {
			return false
		}
		if g.parts[i] == "**" {
			return true
		}
		if !matchPart(g.parts[i], name) {
			return false
		}
	}
	return true
}
