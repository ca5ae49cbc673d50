package main

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/kubesa/serviceaccount/admission/webhook"
)

// buckets are the upper bounds of durations.
var buckets = []time.Duration{time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond, time.Second, 10 * time.Second}

// metrics counts requests, and serves the counts in the text format of Prometheus. No
// label value is chosen by clients.
type metrics struct {
	mu     sync.Mutex
	counts map[labels]int
	within [6]int // by bucket, the last for what takes longer
	took   time.Duration
	total  int
}

type labels struct {
	operation, result string
}

func labelsOf(o webhook.Event) labels {
	l := labels{o.Operation, "refused"}
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
		m.counts = map[labels]int{}
	}
	m.counts[labelsOf(o)]++
	m.within[i]++
	m.took += o.Took
	m.total++
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
		lines = append(lines, fmt.Sprintf("webhook_requests_total{operation=%q,result=%q} %d\n", l.operation, l.result, n))
	}
	slices.Sort(lines)
	var out bytes.Buffer
	out.WriteString("# TYPE webhook_requests_total counter\n")
	for _, line := range lines {
		out.WriteString(line)
	}
	out.WriteString("# TYPE webhook_request_duration_seconds histogram\n")
	sum := 0
	for i, bound := range buckets {
		sum += m.within[i]
		fmt.Fprintf(&out, "webhook_request_duration_seconds_bucket{le=\"%g\"} %d\n", bound.Seconds(), sum)
	}
	fmt.Fprintf(&out, "webhook_request_duration_seconds_bucket{le=\"+Inf\"} %d\n", m.total)
	fmt.Fprintf(&out, "webhook_request_duration_seconds_sum %g\nwebhook_request_duration_seconds_count %d\n", m.took.Seconds(), m.total)
	return out.Bytes()
}
