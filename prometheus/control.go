package saprometheus

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubesa/serviceaccount/admission/webhook"
	"github.com/kubesa/serviceaccount/sacontroller/legacytoken"
	"github.com/kubesa/serviceaccount/sacontroller/rootca"
)

// Webhook returns a func for [webhook.Config.Observe] that calls next too, unless that is
// nil.
func (m *Metrics) Webhook(next func(context.Context, webhook.Event)) func(context.Context, webhook.Event) {
	return hook(func(e *webhook.Event) {
		operation := "other"
		switch e.Operation {
		case "CREATE", "UPDATE", "DELETE", "CONNECT":
			operation = e.Operation
		}
		result := "allowed"
		switch {
		case e.Panic != nil:
			result = "panic"
		case e.HTTPStatus != http.StatusOK:
			result = "bad"
		case !e.Allowed:
			result = "denied"
		case e.PatchBytes > 0:
			result = "patched"
		}
		m.admission.count(e.Took, operation, result)
		m.panicked("webhook", e.Panic)
	}, next)
}

// controllerMetrics are those of kube-controller-manager's publishers (CTB-18), and of
// the cleaner.
type controllerMetrics struct {
	publishers map[string]outcome // by the name of the controller
	cleanups   *prometheus.CounterVec
	legacy     *prometheus.GaugeVec
}

func newControllerMetrics(r *registration) controllerMetrics {
	publisher := func(subsystem, what string) outcome {
		return outcome{
			total: r.counter(subsystem+"_sync_total", "Attempts to publish "+what+". code is 200, that of the API server's error, or 500.", "code"),
			took:  r.histogram(subsystem+"_sync_duration_seconds", "Seconds that an attempt to publish "+what+" took.", upstream, "code"),
		}
	}
	return controllerMetrics{
		publishers: map[string]outcome{
			"root-ca-certificate-publisher-controller":                       publisher("root_ca_cert_publisher", "the CA bundle in a Namespace"),
			"kube-apiserver-serving-clustertrustbundle-publisher-controller": publisher("clustertrustbundle_publisher", "a ClusterTrustBundle"),
		},
		cleanups: r.counter("serviceaccount_legacy_token_cleanups_total",
			"Secrets with unused tokens. action is invalidate or delete, result success or error.", "action", "result"),
		legacy: r.gauge("serviceaccount_legacy_tokens",
			"Token Secrets that the last round of the cleaner found. reason is why it kept, invalidated or deleted them.", "reason"),
	}
}

// RootCA returns a func for the Observe hooks of the configs of package rootca that calls
// next too, unless that is nil.
func (m *Metrics) RootCA(next func(context.Context, rootca.Event)) func(context.Context, rootca.Event) {
	return hook(func(e *rootca.Event) {
		if publisher, ok := m.controllers.publishers[e.Controller]; ok {
			publisher.count(e.Took, codeOf(e.Err))
		}
	}, next)
}

// Cleaner returns a func for [legacytoken.CleanerConfig.Observe] that calls next too,
// unless that is nil.
func (m *Metrics) Cleaner(next func(context.Context, legacytoken.Event)) func(context.Context, legacytoken.Event) {
	c := &m.controllers
	return hook(func(e *legacytoken.Event) {
		if e.Report == nil || e.Report.Problem != "" {
			return
		}
		found := map[legacytoken.Reason]int{}
		for _, d := range e.Report.Decisions {
			found[d.Reason]++
			if d.Action != legacytoken.Keep && !e.Report.DryRun {
				c.cleanups.WithLabelValues(strings.ToLower(string(d.Action)), resultOf(d.Err)).Inc()
			}
		}
		c.legacy.Reset()
		for reason, n := range found {
			c.legacy.WithLabelValues(string(reason)).Set(float64(n))
		}
	}, next)
}

// codeOf returns the code that Kubernetes counts for the error of a controller.
func codeOf(err error) string {
	var status apierrors.APIStatus
	switch {
	case err == nil:
		return "200"
	case errors.As(err, &status) && status.Status().Code != 0:
		return strconv.Itoa(int(status.Status().Code))
	}
	return "500"
}
