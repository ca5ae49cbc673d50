package saprometheus

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/bearer"
	"github.com/kubesa/serviceaccount/tokens/tokenreview"
)

type authenticatorMetrics struct {
	results    outcome
	signatures *prometheus.CounterVec

	// SRV-17
	legacy, stale, valid, manual, generated, invalid *prometheus.CounterVec
}

func newAuthenticatorMetrics(r *registration) authenticatorMetrics {
	return authenticatorMetrics{
		results: r.outcome("authentication", "Tokens that were authenticated",
			"result is accepted, rejected, not_recognized or unavailable, reason says why", short, "result", "reason"),
		signatures: r.counter("serviceaccount_signatures_total",
			"Good signatures of tokens. cache is hit for those that were verified before, or miss.", "cache"),
		legacy:    r.counter("serviceaccount_legacy_tokens_total", "Tokens without audiences, which Secrets hold, that were used."),
		stale:     r.counter("serviceaccount_stale_tokens_total", "Tokens that were accepted although the client should have fetched a new one before."),
		valid:     r.counter("serviceaccount_valid_tokens_total", "Tokens with an extended lifetime that were accepted before the client should have fetched a new one."),
		manual:    r.counter("serviceaccount_legacy_manual_token_uses_total", "Accepted tokens of Secrets that were created by hand."),
		generated: r.counter("serviceaccount_legacy_auto_token_uses_total", "Accepted tokens of Secrets that were generated."),
		invalid:   r.counter("serviceaccount_invalid_legacy_auto_token_uses_total", "Rejected tokens of Secrets that were marked invalid."),
	}
}

// Authenticator returns a func for [tokens.AuthenticatorConfig.Observe] that calls next
// too, unless that is nil.
func (m *Metrics) Authenticator(next func(context.Context, tokens.Event)) func(context.Context, tokens.Event) {
	a := &m.authenticator
	legacy, stale, valid := a.legacy.WithLabelValues(), a.stale.WithLabelValues(), a.valid.WithLabelValues()
	manual, generated, invalid := a.manual.WithLabelValues(), a.generated.WithLabelValues(), a.invalid.WithLabelValues()
	hit, miss := a.signatures.WithLabelValues("hit"), a.signatures.WithLabelValues("miss")
	return hook(func(e *tokens.Event) {
		a.results.count(e.Took, resultOfToken(e.Err), string(e.Reason))
		switch {
		case e.Name == "":
		case e.SignatureCached:
			hit.Inc()
		default:
			miss.Inc()
		}
		if e.ImpliedAudiences && e.Name != "" {
			legacy.Inc()
		}
		switch use := e.Legacy; {
		case use == nil:
		case use.MarkedInvalid:
			invalid.Inc()
		case use.Generated:
			generated.Inc()
		default:
			manual.Inc()
		}
		switch {
		case e.Stale > 0:
			stale.Inc()
		case e.Extended:
			valid.Inc()
		}
		m.panicked("authenticator", e.Panic)
	}, next)
}

// resultOfToken returns the result of a tokens.Verifier.
func resultOfToken(err error) string {
	_, invalid := errors.AsType[*tokens.InvalidError](err)
	switch {
	case err == nil:
		return accepted
	case errors.Is(err, tokens.ErrNotRecognized):
		return notRecognized
	case invalid:
		return rejected
	}
	return unavailable
}

// TokenReview returns a func for [tokenreview.HandlerConfig.Observe] that calls next too,
// unless that is nil.
func (m *Metrics) TokenReview(next func(context.Context, tokenreview.Event)) func(context.Context, tokenreview.Event) {
	return hook(func(e *tokenreview.Event) {
		m.reviews.count(e.Took, strconv.Itoa(e.HTTPStatus), strconv.FormatBool(e.Authenticated))
		m.panicked("tokenreview", e.Panic)
	}, next)
}

type clientMetrics struct {
	requests *prometheus.CounterVec // TRC-46
	took     *prometheus.HistogramVec
	results  outcome
}

func newClientMetrics(r *registration) clientMetrics {
	return clientMetrics{
		requests: r.counter("apiserver_delegated_authn_request_total",
			"TokenReviews sent to an API server, each attempt, by the HTTP status of its answer; <error> if there was none.", "code"),
		took: r.histogram("apiserver_delegated_authn_request_duration_seconds",
			"Seconds that a TokenReview sent to an API server took, by the HTTP status of its answer.", []float64{.25, .5, .7, 1, 1.5, 3, 5, 10}, "code"),
	}
}

// TokenReviewClient returns a func for [tokenreview.ClientConfig.Observe] that calls next
// too, unless that is nil.
func (m *Metrics) TokenReviewClient(next func(context.Context, tokenreview.ClientEvent)) func(context.Context, tokenreview.ClientEvent) {
	return hook(func(e *tokenreview.ClientEvent) {
		for _, attempt := range e.Attempts {
			code := "<error>"
			if attempt.HTTPStatus != 0 {
				code = strconv.Itoa(attempt.HTTPStatus)
			}
			m.client.requests.WithLabelValues(code).Inc()
			m.client.took.WithLabelValues(code).Observe(attempt.Took.Seconds())
		}
		m.client.results.count(e.Took, resultOfToken(e.Err))
		m.panicked("tokenreview_client", e.Panic)
	}, next)
}

// Bearer returns a func for [bearer.Config.Observe] that calls next too, unless that is
// nil.
func (m *Metrics) Bearer(next func(context.Context, bearer.Event)) func(context.Context, bearer.Event) {
	return hook(func(e *bearer.Event) {
		result := unavailable
		switch e.Status {
		case 0:
			result = "passed"
		case http.StatusBadRequest:
			result = "bad_request"
		case http.StatusUnauthorized:
			result = "unauthenticated"
		case http.StatusForbidden:
			result = "forbidden"
		}
		m.bearer.count(e.Took, result)
		m.panicked("bearer", e.Panic)
	}, next)
}

// A CallEvent is the Event of the module tokens/bearer/grpc, which this one doesn't link.
type CallEvent interface {
	// Outcome returns the name of a gRPC code, and how long authentication took.
	Outcome() (code string, took time.Duration)
}

// Calls returns a func for the Observe of the module tokens/bearer/grpc that counts in m
// and calls next too, unless that is nil:
//
//	bearergrpc.Config{Observe: saprometheus.Calls[bearergrpc.Event](m, nil), …}
func Calls[E CallEvent](m *Metrics, next func(context.Context, E)) func(context.Context, E) {
	return hook(func(e *E) {
		code, took := (*e).Outcome()
		m.calls.count(took, code)
	}, next)
}
