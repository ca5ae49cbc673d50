package saruntime

import (
	"testing"
	"testing/synctest"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/kubesa/serviceaccount/sacontroller"
)

func key(namespace, name string) sacontroller.Key {
	return sacontroller.Key{
		Tenant: "t", Kind: "Secret", Namespace: namespace, Name: name, UID: "1", ServiceAccountName: "builder", ServiceAccountUID: "2",
	}
}

func newQueue(name string) *fairQueue { return newFairQueue(1)(name, nil).(*fairQueue) }

// What controller-runtime does with a key that is worked on comes after the work: it
// is retried with back-off, later, or not at all; and keys come back whole.
func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue("c")
		defer q.ShutDown()
		low, k := handler.LowPriority, key("a", "1")
		get := func() time.Duration {
			began := time.Now()
			got, priority, shutdown := q.GetWithPriority()
			if got != k || priority != 0 || shutdown {
				t.Fatalf("got %#v with priority %d, want %#v with 0", got, priority, k)
			}
			return time.Since(began)
		}
		q.AddWithOpts(priorityqueue.AddOpts{Priority: &low}, k)
		get()
		for i, want := range []time.Duration{5 * time.Millisecond, 10 * time.Millisecond} {
			q.AddWithOpts(priorityqueue.AddOpts{RateLimited: true}, k)
			q.Done(k)
			if got := q.NumRequeues(k); got != i+1 {
				t.Errorf("%d failures, want %d", got, i+1)
			}
			if got := get(); got != want {
				t.Errorf("retry %d comes after %v, want %v", i+1, got, want)
			}
		}
		q.Forget(k)
		q.AddWithOpts(priorityqueue.AddOpts{After: time.Hour}, k)
		q.Done(k)
		if got := get(); got != time.Hour {
			t.Errorf("it comes after %v, want an hour", got)
		}
		q.AddRateLimited(k)
		q.Add(k) // a change: now, not after the back-off
		q.Done(k)
		if q.Len() != 1 || q.NumRequeues(k) != 1 {
			t.Errorf("%d keys are due after %d failures, want 1 after 1", q.Len(), q.NumRequeues(k))
		}
		if got := get(); got != 0 {
			t.Errorf("a change comes after %v", got)
		}
		q.Done(k)
		q.AddAfter(k, time.Hour) // nobody works on it
		get()
		q.Done(k)
		if q.Len() != 0 || len(q.ends) != 0 {
			t.Errorf("%d keys are due and %d worked on in the end", q.Len(), len(q.ends))
		}
		q.ShutDownWithDrain()
		if !q.ShuttingDown() {
			t.Error("a queue that was drained isn't shut down")
		}
		q.ShutDown()
		if _, shutdown := q.Get(); !shutdown || !q.ShuttingDown() {
			t.Error("a queue that was shut down isn't")
		}
	})
}

// Namespaces take turns, and a change overtakes the keys of a list.
func TestQueueIsFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue("c")
		defer q.ShutDown()
		low := handler.LowPriority
		for i := range 1000 {
			q.AddWithOpts(priorityqueue.AddOpts{Priority: &low}, key("a", string(rune('a'+i))))
			q.Add(key("b", string(rune('a'+i))))
		}
		q.Add(key("c", "1"))
		for turn := range 5 {
			if k, _ := q.Get(); k.Namespace == "c" {
				return
			} else {
				q.Done(k)
			}
			_ = turn
		}
		t.Error("a key of another namespace isn't among the first five")
	})
}

// Only keys that may not have changed wait for others, and a key that nobody works on
// may be done.
func TestQueueOfPriorities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue("c")
		defer q.ShutDown()
		low, none := -1, 0
		q.Done(key("a", "1"))
		q.AddWithOpts(priorityqueue.AddOpts{Priority: &low}, key("a", "1"))
		q.AddWithOpts(priorityqueue.AddOpts{Priority: &none}, key("a", "2"))
		if got, _ := q.Get(); got != key("a", "2") {
			t.Errorf("got %v first, want the one that changed", got)
		}
	})
}

// The metrics are controller-runtime's own, which its registry exports.
func TestQueueMetrics(t *testing.T) {
	q := newQueue("metrics-test")
	q.Add(key("a", "1"))
	q.Add(key("a", "2"))
	k, _ := q.Get()
	q.AddAfter(k, time.Hour)
	q.Done(k)
	_, _ = q.Get()
	deadline := time.Now().Add(time.Minute)
	for value(t, "workqueue_longest_running_processor_seconds") == 0 && time.Now().Before(deadline) {
		time.Sleep(50 * time.Millisecond)
	}
	for name, want := range map[string]func(float64) bool{
		"workqueue_adds_total":                        func(v float64) bool { return v == 2 },
		"workqueue_depth":                             func(v float64) bool { return v == 0 },
		"workqueue_queue_duration_seconds":            func(v float64) bool { return v == 2 },
		"workqueue_work_duration_seconds":             func(v float64) bool { return v == 1 },
		"workqueue_unfinished_work_seconds":           func(v float64) bool { return v > 0 },
		"workqueue_longest_running_processor_seconds": func(v float64) bool { return v > 0 },
		"workqueue_retries_total":                     func(v float64) bool { return v == 1 },
	} {
		if got := value(t, name); !want(got) {
			t.Errorf("%s is %v", name, got)
		}
	}
	q.ShutDown()
}

// value returns the value of the metric of that queue, or of a histogram how many it
// has observed; -1 without one.
func value(t *testing.T, name string) float64 {
	t.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "controller" && l.GetValue() == "metrics-test" {
					return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
				}
			}
		}
	}
	return -1
}
