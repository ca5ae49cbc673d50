package saprometheus

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubesa/serviceaccount/tokens/cached"
	"github.com/kubesa/serviceaccount/tokens/objectcache"
)

// cacheMetrics are those of Kubernetes' token cache (TRC-46).
type cacheMetrics struct {
	requests, fetches *prometheus.CounterVec
	took              *prometheus.HistogramVec
}

func newCacheMetrics(r *registration) cacheMetrics {
	return cacheMetrics{
		requests: r.counter("authentication_token_cache_request_total",
			"Tokens that a cache of answers was asked about. status is hit, or miss if the answer was not there.", "status"),
		fetches: r.counter("authentication_token_cache_fetch_total",
			"Tokens that the Verifier behind a cache was asked about. status is ok, or error if it couldn't tell.", "status"),
		took: r.histogram("authentication_token_cache_request_duration_seconds",
			"Seconds until a cache of answers had one. status is hit or miss.", prometheus.DefBuckets, "status"),
	}
}

// Cached returns a func for [cached.Config.Observe] that calls next too, unless that is
// nil.
func (m *Metrics) Cached(next func(context.Context, cached.Event)) func(context.Context, cached.Event) {
	return hook(func(e *cached.Event) {
		status := "miss"
		if e.Hit {
			status = "hit"
		}
		m.cache.requests.WithLabelValues(status).Inc()
		m.cache.took.WithLabelValues(status).Observe(e.Took.Seconds())
		if e.Asked {
			status = "ok"
			if resultOfToken(e.Err) == unavailable {
				status = failure
			}
			m.cache.fetches.WithLabelValues(status).Inc()
		}
		m.panicked("cached", e.Panic)
	}, next)
}

type objectMetrics struct {
	requests *prometheus.CounterVec
	lookups  outcome
}

func newObjectMetrics(r *registration) objectMetrics {
	return objectMetrics{
		requests: r.counter("serviceaccount_object_cache_requests_total",
			"Objects that a cache was asked for. kind is a kind with a getter of its own, or other; status is hit, miss, or joined for those that another one's lookup had on the way.", "kind", "status"),
		lookups: r.outcome("object_lookup", "Objects that were looked up for a cache",
			"result is found, not_found or error, kind a kind with a getter of its own, or other", short, "result", "kind"),
	}
}

// ObjectCache returns a func for [objectcache.Config.Observe] that calls next too, unless
// that is nil.
func (m *Metrics) ObjectCache(next func(context.Context, objectcache.Event)) func(context.Context, objectcache.Event) {
	return hook(func(e *objectcache.Event) {
		kind := "other"
		switch e.Kind {
		case "ServiceAccount", "Secret", "Pod", "Node", "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration":
			kind = e.Kind
		}
		status := "miss"
		switch {
		case e.Hit:
			status = "hit"
		case e.Joined:
			status = "joined"
		}
		m.objects.requests.WithLabelValues(kind, status).Inc()
		if !e.Hit && !e.Joined {
			result := failure
			switch {
			case e.Err == nil:
				result = "found"
			case apierrors.IsNotFound(e.Err):
				result = "not_found"
			}
			m.objects.lookups.count(e.Took, result, kind)
		}
		m.panicked("objectcache", e.Panic)
	}, next)
}
