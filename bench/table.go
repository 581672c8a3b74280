package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// table is what is printed: per peer the minimum and the median, and the
// ratio of its median to native's.
type table struct {
	peers    []peer
	rows     [][]string
	failures []string
}

func newTable(peers []peer) *table {
	t := &table{peers: peers}
	head := []string{"benchmark"}
	for i, p := range peers {
		head = append(head, p.name+" min", "median")
		if i > 0 {
			head = append(head, "ratio")
		}
		if p.name == "sysemu" {
			head = append(head, "wanted")
		}
	}
	t.rows = append(t.rows, head)
	return t
}

func (t *table) add(bm benchmark, results []result) {
	row := []string{bm.name}
	native := 0.0
	for i, r := range results {
		least, median, ratio := "failed", "", ""
		if r.err == nil {
			lo, mid := slices.Min(r.values), middle(r.values)
			least, median = format(lo, bm.bytes), format(mid, bm.bytes)
			if i == 0 {
				native = mid
			} else if native > 0 {
				ratio = fmt.Sprintf("%.2f", mid/native)
			}
		} else {
			t.failures = append(t.failures, fmt.Sprintf("%s, %s: %v", bm.name, t.peers[i].name, r.err))
		}
		row = append(row, least, median)
		if i > 0 {
			row = append(row, ratio)
		}
		if t.peers[i].name == "sysemu" {
			row = append(row, bm.target)
		}
	}
	t.rows = append(t.rows, row)
}

func middle(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

// format writes nanoseconds or bytes to three digits.
func format(v float64, bytes bool) string {
	units := []string{" ns", " µs", " ms", " s"}
	if bytes {
		units = []string{" B", " kB", " MB", " GB"}
	}
	i := 0
	for v >= 999.5 && i < len(units)-1 {
		v /= 1000
		i++
	}
	digits := 0
	if v < 9.995 {
		digits = 2
	} else if v < 99.95 {
		digits = 1
	}
	return strconv.FormatFloat(v, 'f', digits, 64) + units[i]
}

func (t *table) print(w io.Writer, markdown bool) {
	width := make([]int, len(t.rows[0]))
	for _, row := range t.rows {
		for i, c := range row {
			width[i] = max(width[i], utf8.RuneCountInString(c))
		}
	}
	for n, row := range t.rows {
		var line []string
		for i, c := range row {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(c))
			if i == 0 {
				line = append(line, c+pad)
			} else {
				line = append(line, pad+c)
			}
		}
		if markdown {
			fmt.Fprintf(w, "| %s |\n", strings.Join(line, " | "))
		} else {
			fmt.Fprintln(w, strings.TrimRight(strings.Join(line, "  "), " "))
		}
		if n == 0 && markdown {
			fmt.Fprintf(w, "|---%s|\n", strings.Repeat("|---:", len(row)-1))
		}
	}
	if len(t.failures) > 0 {
		fmt.Fprintln(w)
	}
	for _, f := range t.failures {
		if markdown {
			fmt.Fprintf(w, "- failed: %s\n", f)
		} else {
			fmt.Fprintf(w, "failed: %s\n", f)
		}
	}
}
