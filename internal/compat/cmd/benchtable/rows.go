package main

import (
	"errors"
	"fmt"
	"slices"
)

// A row is an operation that both implementations do, or that is ours alone.
type row struct {
	benchmark string // its name without Benchmark and impl=
	operation string // for people
	unit      string // what is compared; ns/op if empty
	goal      goal
}

// A goal is what DESIGN.md asks for; zero fields ask for nothing.
type goal struct {
	ratio  float64 // to upstream
	raw    float64 // to the signature alone, or what else the operation names
	allocs float64
	value  float64 // of our own, in the unit of the row
	text   string  // what can't be judged from one row
	alone  bool    // Kubernetes has nothing of the kind; raw is what it is compared with
}

// rows are the operations in the order of the table. A benchmark that isn't here
// comes last, under its own name.
var rows = []row{
	{"Admit/containers=1", "admit a pod, 1 container, × allocating additions", "", goal{ratio: 0.70, raw: 1.5, allocs: 7}},
	{"Admit/containers=10", "admit a pod, 10 containers, × allocating additions", "", goal{ratio: 0.70, raw: 1.5, allocs: 7}},
	{"Webhook/containers=1", "AdmissionReview through the webhook, 1 container", "", goal{ratio: 0.15}},
	{"Webhook/containers=10", "AdmissionReview through the webhook, 10 containers", "", goal{ratio: 0.10}},
	{"Authenticate/alg=RS256/seen=no", "authenticate, RS256, new token", "", goal{ratio: 0.70, raw: 1.4}},
	{"Authenticate/alg=ES256/seen=no", "authenticate, ES256, new token", "", goal{ratio: 0.70, raw: 1.4}},
	{"Authenticate/alg=RS256/seen=yes", "authenticate, RS256, token seen before", "", goal{ratio: 0.04}},
	{"Authenticate/alg=ES256/seen=yes", "authenticate, ES256, token seen before", "", goal{ratio: 0.04}},
	{"Authenticate/alg=RS256/seen=yes/parallel", "authenticate, RS256, seen before, in parallel", "", goal{ratio: 0.04}},
	{"Authenticate/alg=ES256/seen=yes/parallel", "authenticate, ES256, seen before, in parallel", "", goal{ratio: 0.04}},
	{"Issue/alg=RS256", "issue a token, RS256", "", goal{raw: 1.2}},
	{"Issue/alg=ES256", "issue a token, ES256", "", goal{raw: 1.2}},
	{"Issue/alg=RS256/parallel", "issue a token, RS256, in parallel", "", goal{}},
	{"Issue/alg=ES256/parallel", "issue a token, ES256, in parallel", "", goal{}},
	{"PublicKeyFile", "read four public keys from PEM", "", goal{}},
	{"FillSecret", "fill 100 token Secrets", "", goal{}},
	{"FillSecret", "requests for one of them", "requests/secret", goal{value: 1}},
	{"DeleteAccounts/n=1000", "delete 1,000 accounts and their token Secrets", "", goal{text: "linear"}},
	{"DeleteAccounts/n=8000", "delete 8,000 accounts and their token Secrets", "", goal{text: "linear"}},
	{"Review/cached=no", "ask a TokenReview over HTTP", "", goal{}},
	{"Review/cached=yes", "ask a TokenReview, answer cached", "", goal{}},
	{"Middleware", "authenticate an HTTP request, × the bare handler", "", goal{}},
	{"Renew", "renew one of 10,000 tokens kept in Secrets, × signing it", "", goal{raw: 3, alone: true}},
	{"FurtherVolumes/containers=1", "three further token volumes, 1 container, × one volume", "", goal{raw: 3, alone: true}},
	{"FurtherVolumes/containers=10", "three further token volumes, 10 containers, × one volume", "", goal{raw: 3, alone: true}},
}

// A result is a row with its medians.
type result struct {
	row
	upstream, ours             float64
	raw                        float64 // 0 if the row has none
	upstreamAllocs, oursAllocs float64 // negative if not measured
}

// ratio returns 0 for a row that is ours alone.
func (r result) ratio() float64 {
	if r.goal.alone {
		return 0
	}
	return r.ours / r.upstream
}

// missed says whether a goal of the row was not reached.
func (r result) missed() bool {
	g := r.goal
	return g.ratio > 0 && r.ratio() > g.ratio || g.raw > 0 && r.ours > g.raw*r.raw ||
		g.allocs > 0 && r.oursAllocs > g.allocs || g.value > 0 && r.ours > g.value
}

// results pairs what the run measured. Each benchmark needs both implementations;
// the error names everything that is missing.
func (r *run) results() ([]result, error) {
	list := slices.Clone(rows)
	for _, name := range r.order {
		if !slices.ContainsFunc(rows, func(row row) bool { return row.benchmark == name }) {
			list = append(list, row{benchmark: name, operation: name})
		}
	}
	var all []result
	var errs []error
	for _, row := range list {
		if row.unit == "" {
			row.unit = "ns/op"
		}
		impls := r.values[row.benchmark]
		res := result{row: row, upstreamAllocs: -1, oursAllocs: -1}
		for _, side := range []struct {
			impl          string
			value, allocs *float64
		}{{"upstream", &res.upstream, &res.upstreamAllocs}, {"ours", &res.ours, &res.oursAllocs}} {
			if row.goal.alone && side.impl == "upstream" {
				continue
			}
			value, ok := impls[side.impl].median(row.unit)
			if !ok || value == 0 {
				errs = append(errs, fmt.Errorf("no %s of Benchmark%s with impl=%s", row.unit, row.benchmark, side.impl))
			}
			*side.value = value
			if allocs, ok := impls[side.impl].median("allocs/op"); ok && row.unit == "ns/op" {
				*side.allocs = allocs
			}
		}
		raw, ok := impls["raw"].median(row.unit)
		if (row.goal.raw > 0 || row.goal.alone) && !ok {
			errs = append(errs, fmt.Errorf("no %s of Benchmark%s with impl=raw", row.unit, row.benchmark))
		}
		res.raw = raw
		all = append(all, res)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("the run is incomplete:\n%w", err)
	}
	return all, nil
}
