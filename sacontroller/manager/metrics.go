package manager

import (
	"context"
	"errors"

	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/workqueue"
)

// metrics are the metrics of a Manager. Their labels are the names of controllers and
// resources, and no text from the cluster.
type metrics struct {
	queues     queueMetrics
	reconciles *prometheus.CounterVec // by controller and result
	issued     *prometheus.CounterVec // by result
	watches    *prometheus.CounterVec // by resource
	leader     prometheus.Gauge
}

// The results of the counters.
const (
	resultSuccess = "success"
	resultError   = "error"
	resultRequeue = "requeue"
	resultPanic   = "panic"
)

func newMetrics() *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "serviceaccount", Name: name, Help: help}, labels)
	}
	return &metrics{
		queues: newQueueMetrics(),
		reconciles: counter("reconcile_total",
			"Keys reconciled, by controller and result: success, requeue (due again later), error (retried with back-off), panic.", "controller", "result"),
		issued: counter("tokens_issued_total",
			"Tokens signed for Secrets, by result: success, error.", "result"),
		watches: counter("watch_failures_total",
			"Lists and watches that failed, by resource. They are retried.", "resource"),
		leader: prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "serviceaccount", Name: "leader",
			Help: "1 while this process runs its controllers, 0 while it waits for the lease."}),
	}
}

// register registers every metric with r, or none.
func (m *metrics) register(r prometheus.Registerer) error {
	collectors := append(m.queues.collectors(), m.reconciles, m.issued, m.watches, m.leader)
	for i, c := range collectors {
		if err := r.Register(c); err != nil {
			for _, done := range collectors[:i] {
				r.Unregister(done)
			}
			return errors.New("manager: registering metrics: " + err.Error())
		}
	}
	return nil
}

// queueMetrics is client-go's interface to the metrics of work queues, under the
// names that Kubernetes' own programs use.
type queueMetrics struct {
	depth, unfinished, longest *prometheus.GaugeVec
	adds, retries              *prometheus.CounterVec
	latency, duration          *prometheus.HistogramVec
}

var _ workqueue.MetricsProvider = queueMetrics{}

func newQueueMetrics() queueMetrics {
	const subsystem = "workqueue"
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Subsystem: subsystem, Name: name, Help: help}, []string{"name"})
	}
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Subsystem: subsystem, Name: name, Help: help}, []string{"name"})
	}
	histogram := func(name, help string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Subsystem: subsystem, Name: name, Help: help,
			Buckets: prometheus.ExponentialBuckets(1e-5, 10, 9)}, []string{"name"})
	}
	return queueMetrics{
		depth:      gauge("depth", "Keys that wait for a worker."),
		unfinished: gauge("unfinished_work_seconds", "Seconds that running Reconcile calls have taken so far, in total."),
		longest:    gauge("longest_running_processor_seconds", "Seconds that the longest running Reconcile call has taken so far."),
		adds:       counter("adds_total", "Keys that became due."),
		retries:    counter("retries_total", "Retries of keys."),
		latency:    histogram("queue_duration_seconds", "Seconds that a key waited for a worker."),
		duration:   histogram("work_duration_seconds", "Seconds that a Reconcile call took."),
	}
}

func (m queueMetrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.depth, m.unfinished, m.longest, m.adds, m.retries, m.latency, m.duration}
}

// NewDepthMetric implements [workqueue.MetricsProvider], as do the others.
func (m queueMetrics) NewDepthMetric(name string) workqueue.GaugeMetric {
	return m.depth.WithLabelValues(name)
}

func (m queueMetrics) NewAddsMetric(name string) workqueue.CounterMetric {
	return m.adds.WithLabelValues(name)
}

func (m queueMetrics) NewLatencyMetric(name string) workqueue.HistogramMetric {
	return m.latency.WithLabelValues(name)
}

func (m queueMetrics) NewWorkDurationMetric(name string) workqueue.HistogramMetric {
	return m.duration.WithLabelValues(name)
}

func (m queueMetrics) NewUnfinishedWorkSecondsMetric(name string) workqueue.SettableGaugeMetric {
	return m.unfinished.WithLabelValues(name)
}

func (m queueMetrics) NewLongestRunningProcessorSecondsMetric(name string) workqueue.SettableGaugeMetric {
	return m.longest.WithLabelValues(name)
}

func (m queueMetrics) NewRetriesMetric(name string) workqueue.CounterMetric {
	return m.retries.WithLabelValues(name)
}

// CountIssued returns issuer with its tokens and errors counted by the metric
// serviceaccount_tokens_issued_total.
func (m *Manager) CountIssued(issuer sacontroller.LegacyIssuer) sacontroller.LegacyIssuer {
	return countingIssuer{issuer, m.metrics.issued}
}

type countingIssuer struct {
	next   sacontroller.LegacyIssuer
	issued *prometheus.CounterVec
}

func (i countingIssuer) IssueLegacy(ctx context.Context, account *corev1.ServiceAccount, secret *corev1.Secret) (string, error) {
	token, err := i.next.IssueLegacy(ctx, account, secret)
	result := resultSuccess
	if err != nil || token == "" {
		result = resultError
	}
	i.issued.WithLabelValues(result).Inc()
	return token, err
}
