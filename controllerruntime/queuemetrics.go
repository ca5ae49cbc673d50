package saruntime

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/kubesa/serviceaccount/internal/fairqueue"
)

// queueMetrics are the metrics of one queue: controller-runtime's own, by the names
// that dashboards know.
type queueMetrics struct {
	fairqueue.Metrics
	unfinished, longest prometheus.Gauge
}

// newQueueMetrics returns the metrics of the queue called name. controller-runtime has
// registered them, in a package that can't be imported: so equal ones are registered
// again, of which the registry returns those that there are.
func newQueueMetrics(name string) queueMetrics {
	labels := []string{"name", "controller"}
	counter := func(key, help string) prometheus.Counter {
		return registered(prometheus.NewCounterVec(prometheus.CounterOpts{
			Subsystem: metrics.WorkQueueSubsystem, Name: key, Help: help,
		}, labels)).WithLabelValues(name, name)
	}
	gauge := func(key, help string) prometheus.Gauge {
		return registered(prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Subsystem: metrics.WorkQueueSubsystem, Name: key, Help: help,
		}, labels)).WithLabelValues(name, name)
	}
	histogram := func(key, help string) prometheus.Observer {
		return registered(prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Subsystem: metrics.WorkQueueSubsystem, Name: key, Help: help, // those that are registered have the buckets
		}, labels)).WithLabelValues(name, name)
	}
	return queueMetrics{
		Metrics: fairqueue.Metrics{
			Adds:    counter(metrics.AddsKey, "Total number of adds handled by workqueue"),
			Retries: counter(metrics.RetriesKey, "Total number of items added to the workqueue with a non-zero delay (rate-limited requeues, explicit RequeueAfter or AddAfter calls)"),
			Depth: registered(prometheus.NewGaugeVec(prometheus.GaugeOpts{
				Subsystem: metrics.WorkQueueSubsystem, Name: metrics.DepthKey, Help: "Current depth of workqueue by workqueue and priority",
			}, append(labels, "priority"))).WithLabelValues(name, name, ""),
			Wait: histogram(metrics.QueueLatencyKey, "How long in seconds an item stays in workqueue before being requested"),
			Work: histogram(metrics.WorkDurationKey, "How long in seconds processing an item from workqueue takes."),
		},
		unfinished: gauge(metrics.UnfinishedWorkKey, "How many seconds of work has been done that "+
			"is in progress and hasn't been observed by work_duration. Large "+
			"values indicate stuck threads. One can deduce the number of stuck "+
			"threads by observing the rate at which this increases."),
		longest: gauge(metrics.LongestRunningProcessorKey, "How many seconds has the longest running processor for workqueue been running."),
	}
}

// registered returns the metric that controller-runtime has registered and that is
// equal to c. Without one, c isn't exported.
func registered[C prometheus.Collector](c C) C {
	var there prometheus.AlreadyRegisteredError
	if errors.As(metrics.Registry.Register(c), &there) {
		if existing, ok := there.ExistingCollector.(C); ok {
			return existing
		}
	}
	return c
}

// measure sets, twice a second, how long work has been going on, until q is shut down.
func (m queueMetrics) measure(q *fairQueue) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-q.closed:
			return
		case <-tick.C:
			all, longest := q.queue.Working()
			m.unfinished.Set(all.Seconds())
			m.longest.Set(longest.Seconds())
		}
	}
}
