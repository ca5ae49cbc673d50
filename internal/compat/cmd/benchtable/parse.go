package main

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// A run is what one run of the benchmarks printed.
type run struct {
	config map[string]string              // the "key: value" lines
	values map[string]map[string]*metrics // by benchmark, by implementation
	order  []string                       // the benchmarks, as they came
	procs  int
}

// metrics are the values of one benchmark by their unit, one for each repetition.
type metrics map[string][]float64

// median returns the median of the values that have a unit, and whether there are any.
func (m *metrics) median(unit string) (float64, bool) {
	if m == nil || len((*m)[unit]) == 0 {
		return 0, false
	}
	return median((*m)[unit]), true
}

// median returns the middle of a list that isn't empty, or the mean of both middles.
func median(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// parse reads the output of go test -bench. Of a line that it can't read, and of a
// run that failed or in which nothing ran, the error tells.
func parse(r io.Reader) (*run, error) {
	out := &run{config: map[string]string{}, values: map[string]map[string]*metrics{}}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		var err error
		switch {
		case strings.HasPrefix(line, "Benchmark") && len(strings.Fields(line)) > 1:
			err = out.benchmark(strings.Fields(line))
		case line == "FAIL" || strings.HasPrefix(line, "--- FAIL"), strings.HasPrefix(line, "FAIL\t"), strings.HasPrefix(line, "panic:"):
			err = fmt.Errorf("the run failed: %q", line)
		default:
			if key, value, ok := strings.Cut(line, ": "); ok && !strings.ContainsAny(key, " \t") {
				out.config[key] = strings.TrimSpace(value)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(out.order) == 0 {
		return nil, fmt.Errorf("no benchmark in %d lines of config, want the output of go test -bench", len(out.config))
	}
	return out, nil
}

// benchmark reads a line like
//
//	BenchmarkAdmit/containers=1/impl=ours-2  100  715 ns/op  7 allocs/op
func (r *run) benchmark(fields []string) error {
	name, procs := strings.TrimPrefix(fields[0], "Benchmark"), 1
	if i := strings.LastIndex(name, "-"); i >= 0 {
		if p, err := strconv.Atoi(name[i+1:]); err == nil {
			name, procs = name[:i], p
		}
	}
	if r.procs != 0 && r.procs != procs {
		return fmt.Errorf("%s ran on %d processors, and others on %d: want one run", fields[0], procs, r.procs)
	}
	r.procs = procs
	if _, err := strconv.Atoi(fields[1]); err != nil || len(fields) < 4 || len(fields)%2 != 0 {
		return fmt.Errorf("%s is followed by %q, want a number of iterations and pairs of a value and its unit", fields[0], fields[1:])
	}
	parts := strings.Split(name, "/")
	impl := ""
	parts = slices.DeleteFunc(parts, func(part string) bool {
		value, ok := strings.CutPrefix(part, "impl=")
		if ok {
			impl = value
		}
		return ok
	})
	if impl == "" {
		return fmt.Errorf("%s has no impl=, want impl=upstream, impl=ours or impl=raw", fields[0])
	}
	key := strings.Join(parts, "/")
	if r.values[key] == nil {
		r.values[key] = map[string]*metrics{}
		r.order = append(r.order, key)
	}
	if r.values[key][impl] == nil {
		r.values[key][impl] = &metrics{}
	}
	for i := 2; i < len(fields); i += 2 {
		value, err := strconv.ParseFloat(fields[i], 64)
		if err != nil || value < 0 {
			return fmt.Errorf("%s has the value %q in %s, want a number", fields[0], fields[i], fields[i+1])
		}
		m := *r.values[key][impl]
		m[fields[i+1]] = append(m[fields[i+1]], value)
	}
	return nil
}
