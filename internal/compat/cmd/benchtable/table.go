package main

import (
	"fmt"
	"strings"
)

// The marks between which the table stands.
const (
	beginMark = "<!-- benchtable begins: everything up to its end is written by internal/compat/cmd/benchtable -->"
	endMark   = "<!-- benchtable ends -->"
)

// table returns the text between the marks.
func table(r *run, all []result) (string, error) {
	var missing []string
	get := func(key string) string {
		if r.config[key] == "" {
			missing = append(missing, key)
		}
		return r.config[key]
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Measured on %s (%s, %d processors, %s/%s) with %s, beside Kubernetes %s. Medians of %d runs.\n\n",
		get("date"), get("cpu"), r.procs, get("goos"), get("goarch"), get("go-version"), get("upstream"), r.repetitions())
	if missing != nil {
		return "", fmt.Errorf("the output has no line for %s: save it with -out", strings.Join(missing, ", "))
	}
	b.WriteString("| operation | Kubernetes | here | ratio | goal | allocations |\n|---|---|---|---|---|---|\n")
	for _, res := range all {
		upstream := "–"
		if !res.goal.alone {
			upstream = amount(res.upstream, res.unit)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", res.operation, upstream, amount(res.ours, res.unit),
			ratioText(res), goalText(res.goal), allocations(res))
	}
	b.WriteString("\nA ratio in bold misses its goal. What stands before × compares with the signature alone, or with what the\noperation names.\n")
	return b.String(), nil
}

// repetitions returns how often the first benchmark ran.
func (r *run) repetitions() int {
	for _, m := range r.values[r.order[0]] {
		for _, values := range *m {
			return len(values)
		}
	}
	return 0
}

func ratioText(res result) string {
	var parts []string
	if !res.goal.alone {
		parts = append(parts, fmt.Sprintf("%.2f", res.ratio()))
	}
	if res.raw > 0 {
		parts = append(parts, fmt.Sprintf("%.2f ×", res.ours/res.raw))
	}
	text := strings.Join(parts, ", ")
	if res.missed() {
		text = "**" + text + "**"
	}
	return text
}

func goalText(g goal) string {
	var parts []string
	if g.ratio > 0 {
		parts = append(parts, fmt.Sprintf("%.2f", g.ratio))
	}
	if g.raw > 0 {
		parts = append(parts, fmt.Sprintf("%.1f ×", g.raw))
	}
	if g.allocs > 0 {
		parts = append(parts, fmt.Sprintf("%.0f allocations", g.allocs))
	}
	if g.text != "" {
		parts = append(parts, g.text)
	}
	if g.value > 0 {
		parts = append(parts, fmt.Sprintf("%.0f", g.value))
	}
	return strings.Join(parts, ", ")
}

func allocations(res result) string {
	if res.goal.alone && res.oursAllocs >= 0 {
		return fmt.Sprintf("%.0f", res.oursAllocs)
	}
	if res.upstreamAllocs < 0 || res.oursAllocs < 0 {
		return ""
	}
	return fmt.Sprintf("%.0f → %.0f", res.upstreamAllocs, res.oursAllocs)
}

// amount writes a value with two or three digits that count.
func amount(value float64, unit string) string {
	if unit != "ns/op" {
		return fmt.Sprintf("%.2f", value)
	}
	for _, u := range []struct {
		name string
		size float64
	}{{"s", 1e9}, {"ms", 1e6}, {"µs", 1e3}} {
		if v := value / u.size; v >= 10 {
			return fmt.Sprintf("%.0f %s", v, u.name)
		} else if v >= 1 || u.name == "µs" {
			return fmt.Sprintf("%.1f %s", v, u.name)
		}
	}
	return ""
}

// replaceTable puts text between the marks of document.
func replaceTable(document, text string) (string, error) {
	before, rest, begins := strings.Cut(document, beginMark+"\n")
	_, after, ends := strings.Cut(rest, endMark)
	if !begins || !ends {
		return "", fmt.Errorf("want a line %q and, below it, a line %q", beginMark, endMark)
	}
	if strings.Contains(after, beginMark) || strings.Contains(after, endMark) {
		return "", fmt.Errorf("the line %q or %q is there twice", beginMark, endMark)
	}
	return before + beginMark + "\n\n" + text + "\n" + endMark + after, nil
}
