package webhook

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/internal/logvalue"
	"github.com/kubesa/serviceaccount/internal/webhook"
)

// Config configures [New]. Its zero value is a mutating webhook.
type Config struct {
	// ValidateOnly makes new pods be checked as [admission.Plugin.Validate] does, and
	// never changed: for a ValidatingWebhookConfiguration, which sees pods as other
	// webhooks have left them.
	ValidateOnly bool
	// MaxBytes bounds the body of a request. Zero means 3 MiB, which is the API
	// server's own limit.
	MaxBytes int64
	// Timeout bounds the time for one request, reading and deciding included. The
	// API server's own timeout counts too, if it is shorter. Zero means 10 s.
	Timeout time.Duration
	// Observe, if set, is called with each request once it has been answered, and
	// with its context. It must be safe for concurrent use.
	Observe func(ctx context.Context, e Event)
}

const (
	defaultMaxBytes = 3 << 20
	defaultTimeout  = 10 * time.Second
)

// A ConfigError is one mistake in what [New] gets: a [Config] field that is
// negative, or the plugin if it is nil.
type ConfigError = configerror.Error

// An Event is a request that was answered. Its texts come from the client: escape
// them in logs, and don't use them as labels of metrics. None of them is the
// content of a Secret.
type Event struct {
	HTTPStatus int
	Took       time.Duration

	// What the review was about. Empty if it could not be read.
	UID, Operation, Resource, Subresource, Namespace, Name string
	DryRun                                                 bool

	Allowed    bool
	Err        error // the denial, or what was wrong with the request
	Warnings   []string
	PatchBytes int

	// Panic and Stack are set if the getters or the decision panicked, which
	// denies the request.
	Panic any
	Stack []byte
}

// LogValue returns e for log/slog.
func (e Event) LogValue() slog.Value { return logvalue.Of(e) }

// A Handler is a webhook: it answers AdmissionReview requests of
// admission.k8s.io/v1. It is safe for concurrent use.
type Handler struct {
	plugin   *admission.Plugin
	wanted   wanted
	cfg      Config
	endpoint webhook.Endpoint
	patches  sync.Pool // of *patch, empty
}

// New returns a webhook with the decisions of plugin, or an error naming every invalid
// field, each as a [*ConfigError].
func New(plugin *admission.Plugin, cfg Config) (*Handler, error) {
	mistakes := configerror.List{Config: "webhook.Config"}
	mistakes.Require("plugin", plugin, "what admission.New returns")
	configerror.NotNegative(&mistakes, "MaxBytes", cfg.MaxBytes)
	configerror.NotNegative(&mistakes, "Timeout", cfg.Timeout)
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = defaultMaxBytes
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	return &Handler{
		plugin:   plugin,
		wanted:   wanted{append(plugin.PodAnnotations(), admission.EnforceAnnotation), plugin.PodLabels(), plugin.NeedsEnv()},
		cfg:      cfg,
		endpoint: webhook.Endpoint{Package: "admission", MaxBytes: cfg.MaxBytes, Timeout: cfg.Timeout},
	}, nil
}

// ServeHTTP answers an AdmissionReview with one. A request that is not a review
// gets 405, 408, 413, 415 or 400 and a text that says why, and one whose review
// can't be read in time 503. A review gets 200, and is denied if the pod is, if
// there is no pod to decide about, if the time is over, or if anything panics.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var e Event
	out := h.endpoint.Serve(w, r, func(ctx context.Context, body string) ([]byte, error) { return h.review(ctx, body, &e) })
	e.HTTPStatus, e.Took = out.Status, out.Took
	if out.Err != nil {
		e.Allowed, e.Err, e.Panic, e.Stack = false, out.Err, out.Panic, out.Stack
	}
	if h.cfg.Observe != nil {
		h.cfg.Observe(r.Context(), e)
	}
}

// maxPooled is the largest patch that is kept, so that one huge request does not
// hold memory for good.
const maxPooled = 256 << 10

// review returns the answer to the review in body, or a *webhook.Error.
func (h *Handler) review(ctx context.Context, body string, e *Event) ([]byte, error) {
	rv, err := parseReview(ctx, body, &h.wanted)
	if err == nil {
		err = rv.check()
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, h.endpoint.Error(http.StatusServiceUnavailable, "the review could not be read in time")
	case err != nil:
		return nil, h.endpoint.Error(http.StatusBadRequest, "bad AdmissionReview: "+err.Error())
	}
	rq := &rv.request
	e.UID, e.Operation, e.Namespace, e.Name = rq.uid, rq.operation, rq.namespace, rq.name
	e.Resource, e.Subresource, e.DryRun = rq.resource.name, rq.subresource, rq.dryRun != nil && *rq.dryRun
	p, ok := h.patches.Get().(*patch)
	if !ok {
		p = new(patch)
	}
	answer := h.answer(ctx, rq, p, e)
	e.Allowed, e.Warnings, e.PatchBytes = answer.denial == nil, answer.warnings, len(answer.patch)
	if answer.denial != nil {
		e.Err = answer.denial
	}
	encoded := answer.encode(rq.uid)
	if cap(p.buf) <= maxPooled {
		p.buf = p.buf[:0]
		h.patches.Put(p)
	}
	return encoded, nil
}
