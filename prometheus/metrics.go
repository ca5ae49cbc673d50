package saprometheus

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kubesa/serviceaccount/internal/configerror"
)

// Config configures [New].
type Config struct {
	// Registerer is required. Every metric is registered with it, and none if one can't
	// be, because the program has one of the same name. Where one registry has those of
	// two Metrics, prometheus.WrapRegistererWithPrefix tells them apart.
	Registerer prometheus.Registerer

	// InAPIServer says that k8s.io/apiserver registers its own metrics with Registerer,
	// as legacyregistry has them. Those that it names as this package does are left to it:
	// authentication_token_cache_… of [Metrics.Cached], and apiserver_delegated_authn_… of
	// [Metrics.TokenReviewClient].
	InAPIServer bool
}

// A ConfigError is one mistake in a [Config]. It has the fields Config, Field and
// Problem. Only another config helps.
type ConfigError = configerror.Error

// Metrics count what the Observe hooks of the library report. Each of its methods
// returns a func for the hook of the same name. It is safe for concurrent use.
type Metrics struct {
	authenticator authenticatorMetrics
	cache         cacheMetrics
	objects       objectMetrics
	requests      outcome // of TokenRequests
	reviews       outcome // of TokenReviews
	client        clientMetrics
	bearer        outcome
	calls         outcome
	patches       outcome // of lastused
	keeper        outcome
	sources       sourceMetrics
	keys          keyMetrics
	external      externalMetrics
	admission     outcome
	controllers   controllerMetrics
	panics        *prometheus.CounterVec
}

// New returns Metrics that are registered with cfg.Registerer, or an error naming every
// invalid field, each as a [*ConfigError], or one that says which metric can't be registered.
func New(cfg Config) (*Metrics, error) {
	mistakes := configerror.List{Config: "saprometheus.Config"}
	mistakes.Require("Registerer", cfg.Registerer, "a prometheus.Registerer")
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	var r registration
	m := &Metrics{
		authenticator: newAuthenticatorMetrics(&r),
		objects:       newObjectMetrics(&r),
		requests: r.outcome("token_request", "Requests for tokens",
			"result is issued, denied or failed, reason that of the status", short, "result", "reason"),
		reviews: r.outcome("token_review", "TokenReviews answered",
			"code is the HTTP status, authenticated true or false", short, "code", "authenticated"),
		bearer: r.outcome("bearer_request", "HTTP requests that a bearer token was asked of",
			"result is passed, bad_request, unauthenticated, forbidden or unavailable; the time is that until then", short, "result"),
		calls: r.outcome("bearer_call", "gRPC calls that a bearer token was asked of",
			"code is that of gRPC, OK for those that reached the handler; the time is that until then", short, "code"),
		patches: r.outcome("last_used_write", "Patches of Secrets with the day on which their token was used last",
			"result is success or error", long, "result"),
		keeper: r.outcome("kept_token_renewal", "Renewals of kept tokens",
			"result is success, error if the old token is still good, or expired if there is none that is", long, "result"),
		sources: newSourceMetrics(&r),
		keys:    newKeyMetrics(&r),
		admission: r.outcome("admission_review", "AdmissionReviews answered",
			"operation is that of the request, result allowed, patched, denied, bad or panic", short, "operation", "result"),
		panics: r.counter("serviceaccount_panics_total",
			"Panics of code that the library calls, such as getters and signers. hook says whose Observe got it.", "hook"),
		external:    newExternalMetrics(&r),
		controllers: newControllerMetrics(&r),
	}
	shared := len(r.collectors)
	m.cache, m.client = newCacheMetrics(&r), newClientMetrics(&r)
	if cfg.InAPIServer {
		r.collectors = r.collectors[:shared]
	}
	m.client.results = r.outcome("remote_authentication", "Tokens that an API server was asked about",
		"result is accepted, rejected, not_recognized or unavailable; the time has that of all attempts", long, "result")
	for i, c := range r.collectors {
		if err := cfg.Registerer.Register(c); err != nil {
			for _, done := range r.collectors[:i] {
				cfg.Registerer.Unregister(done)
			}
			return nil, fmt.Errorf("saprometheus: registering metrics: %w", err)
		}
	}
	return m, nil
}

// Buckets of durations, in seconds.
var (
	short    = prometheus.ExponentialBuckets(1e-4, 4, 9) // 0.1 ms to 6.6 s: no more than a lookup
	long     = prometheus.ExponentialBuckets(1e-3, 3, 10)
	upstream = prometheus.ExponentialBuckets(1e-3, 2, 15)
)

// A registration collects what New registers.
type registration struct{ collectors []prometheus.Collector }

func (r *registration) counter(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	r.collectors = append(r.collectors, v)
	return v
}

func (r *registration) gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	r.collectors = append(r.collectors, v)
	return v
}

func (r *registration) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	r.collectors = append(r.collectors, v)
	return v
}

// An outcome counts things and times them: serviceaccount_<name>s_total by all labels, and
// serviceaccount_<name>_duration_seconds by the first that says how it ended.
type outcome struct {
	total *prometheus.CounterVec
	took  *prometheus.HistogramVec
}

func (r *registration) outcome(name, what, labelled string, buckets []float64, labels ...string) outcome {
	return outcome{
		total: r.counter("serviceaccount_"+name+"s_total", what+". "+labelled+".", labels...),
		took:  r.histogram("serviceaccount_"+name+"_duration_seconds", what+": the seconds they took, by "+labels[0]+".", buckets, labels[0]),
	}
}

func (o outcome) count(took time.Duration, labels ...string) {
	o.total.WithLabelValues(labels...).Inc()
	o.took.WithLabelValues(labels[0]).Observe(took.Seconds())
}

// hook returns a func for an Observe hook that counts, and then calls next unless that is
// nil.
func hook[E any](count func(e *E), next func(context.Context, E)) func(context.Context, E) {
	return func(ctx context.Context, e E) {
		count(&e)
		if next != nil {
			next(ctx, e)
		}
	}
}

// panicked counts the panic that an Event called name holds.
func (m *Metrics) panicked(name string, value any) {
	if value != nil {
		m.panics.WithLabelValues(name).Inc()
	}
}

// The values of labels called result.
const (
	success       = "success"
	failure       = "error"
	accepted      = "accepted"
	rejected      = "rejected"
	notRecognized = "not_recognized"
	unavailable   = "unavailable"
	expired       = "expired"
)

func resultOf(err error) string {
	if err != nil {
		return failure
	}
	return success
}
