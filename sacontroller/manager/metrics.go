package manager

import (
	"context"
	"errors"
	"sync"

	"github.com/kubesa/serviceaccount/internal/fairqueue"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
)

// metrics are the metrics of a Manager. Their labels are the names of controllers and
// resources, and no text from the cluster.
type metrics struct {
	queues     *queueVecs
	reconciles *prometheus.CounterVec // by controller and result
	issued     *prometheus.CounterVec // by result
	watches    *prometheus.CounterVec // by resource
	leader     prometheus.Gauge
}

// The results of the counters.
const (
	resultSuccess  = "success"
	resultError    = "error"
	resultRequeue  = "requeue"
	resultPanic    = "panic"
	resultTerminal = "terminal"
)

func newMetrics() *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "serviceaccount", Name: name, Help: help}, labels)
	}
	return &metrics{
		queues: newQueueVecs(),
		reconciles: counter("reconcile_total",
			"Keys reconciled, by controller and result: success, requeue (due again later), error (retried with back-off), terminal (not retried until an object changes), panic (retried).", "controller", "result"),
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

// queueVecs are the metrics of all queues, by controller.
type queueVecs struct {
	adds, retries *prometheus.CounterVec
	depth         *prometheus.GaugeVec
	wait, work    *prometheus.HistogramVec

	longest     *prometheus.Desc
	mu          sync.Mutex
	controllers map[string]*fairqueue.Queue
}

func newQueueVecs() *queueVecs {
	labels := []string{"controller"}
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "serviceaccount", Name: name, Help: help}, labels)
	}
	histogram := func(name, help string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "serviceaccount", Name: name, Help: help,
			Buckets: prometheus.ExponentialBuckets(1e-5, 10, 9)}, labels)
	}
	return &queueVecs{
		adds:    counter("queue_adds_total", "Keys that became due."),
		retries: counter("queue_retries_total", "Retries of keys that failed."),
		depth: prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "serviceaccount", Name: "queue_depth",
			Help: "Keys that are due and wait for a worker."}, labels),
		wait: histogram("queue_wait_seconds", "Seconds that a key that was due waited for a worker."),
		work: histogram("reconcile_duration_seconds", "Seconds that a Reconcile call took."),
		longest: prometheus.NewDesc("serviceaccount_reconcile_longest_running_seconds",
			"Seconds that the longest running Reconcile call has taken so far.", labels, nil),
		controllers: map[string]*fairqueue.Queue{},
	}
}

// newQueue returns the queue of controller.
func (v *queueVecs) newQueue(controller string, workers int) *fairqueue.Queue {
	q := fairqueue.New(workers, fairqueue.Metrics{
		Adds: v.adds.WithLabelValues(controller), Retries: v.retries.WithLabelValues(controller), Depth: v.depth.WithLabelValues(controller),
		Wait: v.wait.WithLabelValues(controller), Work: v.work.WithLabelValues(controller),
	})
	v.mu.Lock()
	defer v.mu.Unlock()
	v.controllers[controller] = q
	return q
}

func (v *queueVecs) collectors() []prometheus.Collector {
	return []prometheus.Collector{v.adds, v.retries, v.depth, v.wait, v.work, v}
}

// Describe implements [prometheus.Collector] for what is measured when it is asked for.
func (v *queueVecs) Describe(descs chan<- *prometheus.Desc) { descs <- v.longest }

// Collect implements [prometheus.Collector].
func (v *queueVecs) Collect(metrics chan<- prometheus.Metric) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for controller, q := range v.controllers {
		_, longest := q.Working()
		metrics <- prometheus.MustNewConstMetric(v.longest, prometheus.GaugeValue, longest.Seconds(), controller)
	}
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
