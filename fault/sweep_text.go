package fault

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Write writes a report as text: the runs, the worst first, in lines, and how many there are of each verdict. Those that
// went well are only counted, unless all.
func (r *Report) Write(w io.Writer, all bool) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s; %d calls, of which %d may fail; %d failed, in %d runs\n",
		strings.Join(r.Args, " "), r.Status, r.Calls, r.Points, r.Tried, len(r.Runs))
	if len(r.Unstable) > 0 {
		fmt.Fprintf(&b, "not the same in two good runs, and not compared: %s\n", strings.Join(r.Unstable, ", "))
	}
	b.WriteString("\n")
	tw := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	for v := Crashed; v <= Unreached; v++ {
		if n := r.Count(v); n > 0 {
			fmt.Fprintf(tw, "%d\t%v\t%s\n", n, v, meanings[v])
		}
	}
	tw.Flush()
	head := false
	for _, x := range r.Runs {
		if !all && x.Verdict >= Reported {
			continue
		}
		if !head {
			fmt.Fprintf(tw, "\nverdict\terror\tcall\n")
			head = true
		}
		fmt.Fprintf(tw, "%v\t%s\t%s #%d of %s (%d)\n", x.Verdict, x.Error, printable(x.Text), x.N, printable(x.Comm), x.TID)
		how := x.Status
		if len(x.Differs) > 0 {
			how += "; differs: " + strings.Join(x.Differs, ", ")
		}
		if x.Message != "" {
			how += "; " + x.Message
		}
		fmt.Fprintf(tw, "\t\t    %s\n", printable(how))
	}
	tw.Flush()
	_, err := io.WriteString(w, b.String())
	return err
}

var meanings = [...]string{
	Crashed:   "a signal ended it",
	Hung:      "it did not end",
	Silent:    "it ended as if well, with another result",
	Wordless:  "it failed, and said nothing",
	Reported:  "it failed, and said so",
	Warned:    "it went on, and said so",
	Tolerated: "it went on as if nothing had happened",
	Unreached: "it did not make the call that was to fail",
}

// printable is a text without what would move the cursor or the columns.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}
