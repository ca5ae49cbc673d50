package compat

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/kubesa/serviceaccount/internal/compat/generate"
)

// A loadReport is the table of what was measured, run by run, with the medians of
// both sides and their ratio beside the goals.
type loadReport struct {
	columns []loadColumn
	rows    []loadRow
}

type loadColumn struct {
	name   string
	format string  // of a float64
	goal   float64 // greatest ratio of ours to upstream's; 0 means none
}

type loadRow struct {
	side   side
	values []float64 // one for each column
	note   string
}

func (r *loadReport) add(s side, note string, values ...float64) {
	r.rows = append(r.rows, loadRow{s, values, note})
}

// median returns that of the runs of s.
func (r *loadReport) median(s side, column int) float64 {
	var values []float64
	for _, row := range r.rows {
		if row.side == s {
			values = append(values, row.values[column])
		}
	}
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 0 {
		return (values[middle-1] + values[middle]) / 2
	}
	return values[middle]
}

// ratio returns ours as a part of upstream's.
func (r *loadReport) ratio(column string) float64 {
	i := slices.IndexFunc(r.columns, func(c loadColumn) bool { return c.name == column })
	return r.median(ourSide, i) / r.median(upstreamSide, i)
}

func (r *loadReport) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	line := func(name string, cell func(i int, c loadColumn) string, note string) {
		fmt.Fprint(w, name, "\t")
		for i, c := range r.columns {
			fmt.Fprint(w, cell(i, c), "\t")
		}
		fmt.Fprint(w, "  ", note, "\n")
	}
	line("", func(_ int, c loadColumn) string { return c.name }, "")
	for _, row := range r.rows {
		line(string(row.side), func(i int, c loadColumn) string { return fmt.Sprintf(c.format, row.values[i]) }, row.note)
	}
	for _, s := range sides {
		line("median "+string(s), func(i int, c loadColumn) string { return fmt.Sprintf(c.format, r.median(s, i)) }, "")
	}
	line("ratio", func(_ int, c loadColumn) string { return fmt.Sprintf("%.2f", r.ratio(c.name)) }, "")
	line("goal", func(_ int, c loadColumn) string {
		switch {
		case c.goal == 0:
			return ""
		case os.Getenv(generate.LongEnv) == "": // too short to tell
			return fmt.Sprintf("<= %.1f", c.goal)
		case r.ratio(c.name) <= c.goal:
			return fmt.Sprintf("<= %.1f met", c.goal)
		}
		return fmt.Sprintf("<= %.1f MISSED", c.goal)
	}, "")
	w.Flush()
	return b.String()
}
