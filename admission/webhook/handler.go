package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/internal/configerror"
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
	// Timeout bounds the time for one request, reading included. The API server's
	// own timeout counts too, if it is shorter. Zero means 10 s.
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

// A Handler is a webhook: it answers AdmissionReview requests of
// admission.k8s.io/v1. It is safe for concurrent use.
type Handler struct {
	plugin      *admission.Plugin
	annotations []string // that are read
	cfg         Config
	buffers     sync.Pool // of *bytes.Buffer, that bodies are read into
	patches     sync.Pool // of *patch, empty
}

// New returns a webhook with the decisions of plugin, or an error that joins one
// [*ConfigError] for each mistake.
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
	annotations := append(plugin.PodAnnotations(), admission.EnforceAnnotation)
	return &Handler{plugin: plugin, annotations: annotations, cfg: cfg}, nil
}

// ServeHTTP answers an AdmissionReview with one. A request that is not a review
// gets 405, 408, 413, 415 or 400 and a text that says why. A review gets 200, and
// is denied if the pod is, if there is no pod to decide about, or if anything
// panics.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	var out Event
	body, err := h.serve(w, r, start, &out)
	var bad *httpError
	if errors.As(err, &bad) {
		out.Err, out.HTTPStatus = err, bad.status
		if bad.status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", http.MethodPost)
		}
		http.Error(w, bad.Error(), bad.status)
	} else {
		out.HTTPStatus = http.StatusOK
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body) // a client that is gone is told nothing
	}
	if h.cfg.Observe != nil {
		out.Took = time.Since(start)
		h.cfg.Observe(r.Context(), out)
	}
}

// An httpError is a request that is not a review.
type httpError struct {
	status int
	text   string
}

func (e *httpError) Error() string { return "admission: " + e.text }

// serve returns the body of the answer, or an *httpError.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, start time.Time, out *Event) ([]byte, error) {
	if err := checkHeader(r); err != nil {
		return nil, err
	}
	timeout, err := h.timeout(r)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithDeadline(r.Context(), start.Add(timeout))
	defer cancel()
	request, err := h.read(w, r, start.Add(timeout))
	if err != nil {
		return nil, err
	}
	rv, err := parseReview(ctx, request, h.annotations)
	if err == nil {
		err = rv.check()
	}
	if err != nil {
		return nil, &httpError{http.StatusBadRequest, "bad AdmissionReview: " + err.Error()}
	}
	rq := &rv.request
	out.UID, out.Operation, out.Namespace, out.Name = rq.uid, rq.operation, rq.namespace, rq.name
	out.Resource, out.Subresource, out.DryRun = rq.resource.name, rq.subresource, rq.dryRun != nil && *rq.dryRun
	p, ok := h.patches.Get().(*patch)
	if !ok {
		p = new(patch)
	}
	answer := h.answer(ctx, rq, p, out)
	out.Allowed, out.Err, out.Warnings, out.PatchBytes = answer.denial == nil, nil, answer.warnings, len(answer.patch)
	if answer.denial != nil {
		out.Err = answer.denial
	}
	body := answer.encode(rq.uid)
	if cap(p.buf) <= maxPooled {
		p.buf = p.buf[:0]
		h.patches.Put(p)
	}
	return body, nil
}

func checkHeader(r *http.Request) error {
	if r.Method != http.MethodPost {
		return &httpError{http.StatusMethodNotAllowed, "want POST"}
	}
	contentType := r.Header.Get("Content-Type")
	if contentType != "application/json" {
		if mediaType, _, err := mime.ParseMediaType(contentType); err != nil || mediaType != "application/json" {
			return &httpError{http.StatusUnsupportedMediaType, "want the content type application/json"}
		}
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return &httpError{http.StatusUnsupportedMediaType, "want a body without a content encoding"}
	}
	return nil
}

// timeout returns how long the request may take. The API server says how long it
// waits; the answer has to be there a little earlier.
func (h *Handler) timeout(r *http.Request) (time.Duration, error) {
	timeout := h.cfg.Timeout
	if r.URL.RawQuery == "" {
		return timeout, nil
	}
	given := r.URL.Query().Get("timeout")
	if given == "" {
		return timeout, nil
	}
	d, err := time.ParseDuration(given)
	if err != nil || d <= 0 {
		return 0, &httpError{http.StatusBadRequest, "the query parameter timeout is not a positive duration"}
	}
	return min(timeout, d-min(d/10, 500*time.Millisecond)), nil
}

// maxPooled is the largest buffer that is kept, so that one huge request does not
// hold memory for good.
const maxPooled = 256 << 10

// read returns the body of r.
func (h *Handler) read(w http.ResponseWriter, r *http.Request, deadline time.Time) (string, error) {
	// A body that trickles in must not hold the connection for longer than the
	// request may take. Writers that know no deadlines say so; then the server
	// has to do it. After a failure the deadline stays, because the server goes on to
	// read what is left of the body; before the next request it sets its own.
	control := http.NewResponseController(w)
	timed := control.SetReadDeadline(deadline) == nil
	if r.ContentLength > h.cfg.MaxBytes {
		return "", h.tooLarge()
	}
	buf, ok := h.buffers.Get().(*bytes.Buffer)
	if !ok {
		buf = new(bytes.Buffer)
	}
	defer func() {
		if buf.Cap() <= maxPooled {
			buf.Reset()
			h.buffers.Put(buf)
		}
	}()
	if _, err := buf.ReadFrom(http.MaxBytesReader(w, r.Body, h.cfg.MaxBytes)); err != nil {
		var tooLarge *http.MaxBytesError
		switch {
		case errors.As(err, &tooLarge):
			return "", h.tooLarge()
		case errors.Is(err, os.ErrDeadlineExceeded):
			return "", &httpError{http.StatusRequestTimeout, "the body did not arrive in time"}
		}
		return "", &httpError{http.StatusBadRequest, "the body could not be read"}
	}
	if timed {
		_ = control.SetReadDeadline(time.Time{}) // setting it has worked before
	}
	return buf.String(), nil
}

func (h *Handler) tooLarge() error {
	return &httpError{http.StatusRequestEntityTooLarge, fmt.Sprintf("want a body of at most %d bytes", h.cfg.MaxBytes)}
}
