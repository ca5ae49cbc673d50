package main

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/kubesa/serviceaccount/admission/webhook"
)

// buckets are the upper bounds of durations.
var buckets = []time.Duration{time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond, time.Second, 10 * time.Second}

// metrics counts requests, and serves the counts in the text format of Prometheus, under
// the names of the module prometheus, whose dashboard and alerts fit. A program that links
// Prometheus' client uses that module instead. No label value is chosen by clients.
type metrics struct {
	mu     sync.Mutex
	counts map[labels]int
	times  map[string]*times // by operation
}

type times struct {
	within [6]int // by bucket, the last for what takes longer
	took   time.Duration
	total  int
}

type labels struct {
	operation, result string
}

func labelsOf(o webhook.Event) labels {
	l := labels{o.Operation, "denied"}
	if !slices.Contains([]string{"CREATE", "UPDATE", "DELETE", "CONNECT"}, o.Operation) {
		l.operation = "other"
	}
	switch {
	case o.Panic != nil:
		l.result = "panic"
	case o.HTTPStatus != http.StatusOK:
		l.result = "bad"
	case o.Allowed && o.PatchBytes > 0:
		l.result = "patched"
	case o.Allowed:
		l.result = "allowed"
	}
	return l
}

func (m *metrics) observe(o webhook.Event) {
	i, _ := slices.BinarySearch(buckets, o.Took)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.counts == nil {
		m.counts, m.times = map[labels]int{}, map[string]*times{}
	}
	l := labelsOf(o)
	m.counts[l]++
	t := m.times[l.operation]
	if t == nil {
		t = new(times)
		m.times[l.operation] = t
	}
	t.within[i]++
	t.took += o.Took
	t.total++
}

func (m *metrics) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write(m.text())
}

func (m *metrics) text() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	var lines []string
	for l, n := range m.counts {
		lines = append(lines, fmt.Sprintf("serviceaccount_admission_reviews_total{operation=%q,result=%q} %d\n", l.operation, l.result, n))
	}
	slices.Sort(lines)
	var out bytes.Buffer
	out.WriteString("# TYPE serviceaccount_admission_reviews_total counter\n")
	for _, line := range lines {
		out.WriteString(line)
	}
	const histogram = "serviceaccount_admission_review_duration_seconds"
	fmt.Fprintf(&out, "# TYPE %s histogram\n", histogram)
	for _, operation := range slices.Sorted(maps.Keys(m.times)) {
		t, sum := m.times[operation], 0
		for i, bound := range buckets {
			sum += t.within[i]
			fmt.Fprintf(&out, "%s_bucket{operation=%q,le=\"%g\"} %d\n", histogram, operation, bound.Seconds(), sum)
		}
		fmt.Fprintf(&out, "%s_bucket{operation=%q,le=\"+Inf\"} %d\n", histogram, operation, t.total)
		fmt.Fprintf(&out, "%s_sum{operation=%q} %g\n%s_count{operation=%q} %d\n", histogram, operation, t.took.Seconds(), histogram, operation, t.total)
	}
	return out.Bytes()
}
