package saprometheus

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/external"
)

type keyMetrics struct {
	reads                  *prometheus.CounterVec
	took                   *prometheus.HistogramVec
	keys, skipped, failing *prometheus.GaugeVec
}

func newKeyMetrics(r *registration) keyMetrics {
	return keyMetrics{
		reads: r.counter("serviceaccount_key_source_events_total",
			"What a source of keys has reported. result is changed if there are other keys now, unchanged, or error.", "source", "result"),
		took: r.histogram("serviceaccount_key_source_read_duration_seconds",
			"Seconds that a source of keys took to read or fetch them.", long, "source"),
		keys:    r.gauge("serviceaccount_keys", "Keys that a source has.", "source"),
		skipped: r.gauge("serviceaccount_keys_skipped", "Published keys that a source left out, because they can't be used.", "source"),
		failing: r.gauge("serviceaccount_key_source_failing", "1 while a source uses the last good keys, because the last read or fetch failed.", "source"),
	}
}

// Keys returns a func for the Observe hooks of [keys.FileSourceConfig],
// keyring.Config, discovery.RemoteConfig and discovery.PublisherConfig, that calls next
// too, unless that is nil. The program names the source, which becomes a label: one of a
// few fixed words, such as "ring".
func (m *Metrics) Keys(source string, next func(context.Context, keys.Event)) func(context.Context, keys.Event) {
	return hook(func(e *keys.Event) {
		result, failing := "unchanged", 0.0
		switch {
		case e.Err != nil:
			result, failing = failure, 1
		case e.Changed:
			result = "changed"
		}
		m.keys.reads.WithLabelValues(source, result).Inc()
		m.keys.took.WithLabelValues(source).Observe(e.Took.Seconds())
		m.keys.keys.WithLabelValues(source).Set(float64(e.Keys))
		m.keys.failing.WithLabelValues(source).Set(failing)
		if e.Err == nil {
			m.keys.skipped.WithLabelValues(source).Set(float64(len(e.Skipped)))
		}
		m.panicked("keys", e.Panic)
	}, next)
}

// externalMetrics are those of kube-apiserver's external signer (SRV-19), and those of
// the other end.
type externalMetrics struct {
	fetched, data *prometheus.GaugeVec
	fetches, sign *prometheus.CounterVec
	took          *prometheus.HistogramVec
	answers       outcome
}

func newExternalMetrics(r *registration) externalMetrics {
	return externalMetrics{
		fetched: r.gauge("apiserver_externaljwt_fetch_keys_success_timestamp", "When the keys of an external signer were last fetched, in seconds since 1970."),
		data:    r.gauge("apiserver_externaljwt_fetch_keys_data_timestamp", "The data timestamp of the keys of an external signer, in seconds since 1970."),
		fetches: r.counter("apiserver_externaljwt_fetch_keys_request_total",
			"Fetches of the keys of an external signer. code is that of gRPC, or unknown-non-grpc if the answer can't be used.", "code"),
		sign: r.counter("apiserver_externaljwt_sign_request_total",
			"Tokens that an external signer was asked to sign. code is that of gRPC, or unknown-non-grpc if the answer can't be used.", "code"),
		took: r.histogram("apiserver_externaljwt_request_duration_seconds",
			"Seconds that a call of an external signer took. method is /v1.ExternalJWTSigner/ and the method.",
			[]float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}, "method", "code"),
		answers: r.outcome("external_signer_answer", "Calls that were answered as an external signer",
			"method is Sign, FetchKeys or Metadata, code that of gRPC", short, "method", "code"),
	}
}

// ExternalSigner returns a func for [external.SignerConfig.Observe] that calls next too,
// unless that is nil.
func (m *Metrics) ExternalSigner(next func(context.Context, external.Event)) func(context.Context, external.Event) {
	x := &m.external
	return hook(func(e *external.Event) {
		code := e.Code
		if e.Err != nil && code == "OK" {
			code = "unknown-non-grpc"
		}
		switch e.Method {
		case external.MethodSign:
			x.sign.WithLabelValues(code).Inc()
		case external.MethodFetchKeys:
			x.fetches.WithLabelValues(code).Inc()
			if e.Err == nil {
				x.fetched.WithLabelValues().SetToCurrentTime()
				x.data.WithLabelValues().Set(seconds(e.DataTimestamp))
			}
		}
		x.took.WithLabelValues("/v1.ExternalJWTSigner/"+string(e.Method), e.Code).Observe(e.Took.Seconds())
		m.panicked("external_signer", e.Panic)
	}, next)
}

// ExternalServer returns a func for [external.ServerConfig.Observe] that calls next too,
// unless that is nil.
func (m *Metrics) ExternalServer(next func(context.Context, external.Event)) func(context.Context, external.Event) {
	return hook(func(e *external.Event) { m.external.answers.count(e.Took, string(e.Method), e.Code) }, next)
}
