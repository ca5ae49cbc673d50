package saprometheus

import (
	"context"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/tokens/keeper"
	"github.com/kubesa/serviceaccount/tokens/lastused"
	"github.com/kubesa/serviceaccount/tokens/tokenrequest"
	"github.com/kubesa/serviceaccount/tokens/tokensource"
)

// TokenRequest returns a func for [tokenrequest.Config.Observe] that calls next too,
// unless that is nil.
func (m *Metrics) TokenRequest(next func(context.Context, tokenrequest.Event)) func(context.Context, tokenrequest.Event) {
	return hook(func(e *tokenrequest.Event) {
		m.requests.count(e.Took, strings.ToLower(string(e.Result)), reasonOf(e.Reason))
		m.panicked("tokenrequest", e.Panic)
	}, next)
}

// reasonOf returns the reason of a status, which may be one that a hook made up.
func reasonOf(reason metav1.StatusReason) string {
	switch reason {
	case "", metav1.StatusReasonBadRequest, metav1.StatusReasonUnauthorized, metav1.StatusReasonForbidden, metav1.StatusReasonNotFound,
		metav1.StatusReasonConflict, metav1.StatusReasonGone, metav1.StatusReasonInvalid, metav1.StatusReasonServerTimeout,
		metav1.StatusReasonTimeout, metav1.StatusReasonTooManyRequests, metav1.StatusReasonInternalError, metav1.StatusReasonServiceUnavailable:
		return string(reason)
	}
	return "other"
}

// LastUsed returns a func for [lastused.Config.Observe] that calls next too, unless that
// is nil.
func (m *Metrics) LastUsed(next func(context.Context, lastused.Event)) func(context.Context, lastused.Event) {
	return hook(func(e *lastused.Event) {
		m.patches.count(e.Took, resultOf(e.Err))
		m.panicked("lastused", e.Panic)
	}, next)
}

// Keeper returns a func for [keeper.SecretsConfig.Observe] and
// [keeper.FolderConfig.Observe] that calls next too, unless that is nil.
func (m *Metrics) Keeper(next func(context.Context, keeper.Event)) func(context.Context, keeper.Event) {
	return hook(func(e *keeper.Event) {
		m.keeper.count(e.Took, renewalOf(e.Err, e.Expiry))
		m.panicked("keeper", e.Panic)
	}, next)
}

// renewalOf returns the result of a renewal, after which there is a token that expires at
// expiry; zero for none.
func renewalOf(err error, expiry time.Time) string {
	switch {
	case err == nil:
		return success
	case time.Now().Before(expiry):
		return failure
	}
	return expired
}

type sourceMetrics struct {
	mints, failures *prometheus.CounterVec
	took            *prometheus.HistogramVec
	expiry          *prometheus.GaugeVec
}

func newSourceMetrics(r *registration) sourceMetrics {
	return sourceMetrics{
		mints: r.counter("serviceaccount_token_source_renewals_total",
			"Renewals of the token of a source. result is success, error if the old token is still good, or expired if there is none that is.", "source", "result"),
		took: r.histogram("serviceaccount_token_source_renewal_duration_seconds",
			"Seconds that a renewal of the token of a source took.", long, "source"),
		failures: r.counter("serviceaccount_token_file_failures_total",
			"Reads of a token's file that failed. result is error if the last token is still good, or expired if there is none that is.", "source", "result"),
		expiry: r.gauge("serviceaccount_token_source_expiry_timestamp_seconds",
			"When the token of a source expires, in seconds since 1970; 0 if there is none or it never does.", "source"),
	}
}

// TokenSource returns a func for [tokensource.Config.Observe] that calls next too, unless
// that is nil. The program names the source, which becomes a label.
func (m *Metrics) TokenSource(source string, next func(context.Context, tokensource.Event)) func(context.Context, tokensource.Event) {
	return hook(func(e *tokensource.Event) {
		m.sources.mints.WithLabelValues(source, renewalOf(e.Err, e.Expiry)).Inc()
		m.sources.took.WithLabelValues(source).Observe(e.Took.Seconds())
		m.sources.expiry.WithLabelValues(source).Set(seconds(e.Expiry))
		m.panicked("tokensource", e.Panic)
	}, next)
}

// TokenFile returns a func for [tokensource.FileConfig.Observe] that calls next too,
// unless that is nil. The program names the file, which becomes a label.
func (m *Metrics) TokenFile(source string, next func(context.Context, tokensource.FileEvent)) func(context.Context, tokensource.FileEvent) {
	return hook(func(e *tokensource.FileEvent) {
		m.sources.failures.WithLabelValues(source, renewalOf(e.Err, e.Expiry)).Inc()
	}, next)
}

// seconds returns t in seconds since 1970, or 0.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMicro()) / 1e6 // UnixNano ends in 2262
}
