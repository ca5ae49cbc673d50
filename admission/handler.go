package admission

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// HandlerConfig configures [NewHandler]. The zero value is what a mutating webhook
// wants.
type HandlerConfig struct {
	// ValidateOnly makes new pods be checked as [Plugin.Validate] does, and never
	// changed: for a ValidatingWebhookConfiguration, which sees pods as other
	// webhooks have left them.
	ValidateOnly bool
	// MaxBytes bounds the body of a request. Zero or less means 3 MiB, which is the
	// API server's own limit.
	MaxBytes int64
	// Timeout bounds the time for one request, reading included. The API server's
	// own timeout counts too, if it is shorter. Zero or less means 10 s.
	Timeout time.Duration
	// Observe, if set, is told of each request once it has been answered. It must
	// be safe for concurrent use.
	Observe func(Outcome)
}

const (
	defaultMaxBytes = 3 << 20
	defaultTimeout  = 10 * time.Second
)

// An Outcome says how a request to the handler went. Its texts come from the
// client: escape them in logs, and don't use them as labels of metrics. None of
// them is the content of a Secret.
type Outcome struct {
	HTTPStatus int
	Took       time.Duration

	// What the review was about. Empty if it could not be read.
	UID, Operation, Resource, Subresource, Namespace, Name string
	DryRun                                                 bool

	Allowed    bool
	Err        error // the refusal, or what was wrong with the request
	Warnings   []string
	PatchBytes int

	// Panic and Stack are set if the getters or the decision panicked, which
	// refuses the request.
	Panic any
	Stack []byte
}

// NewHandler returns a webhook: a handler of AdmissionReview requests of
// admission.k8s.io/v1, to register for the creation of pods and for updates of
// pods/ephemeralcontainers. It is safe for concurrent use.
//
// Pods that are created are changed as [Plugin.Admit] does, by a JSON Patch that only
// adds: fields that this version of the API does not know stay as they are.
// Ephemeral containers are checked as [Plugin.Validate] does. Everything else is
// allowed, as the plugin has nothing to say about it; ServiceAccounts with the
// warning that Kubernetes gives when [EnforceAnnotation] is added to them.
//
// The namespace and the operation come from the request, never from the pod. The body
// has to be strict JSON: duplicate keys, keys of the review in another case, invalid
// UTF-8 and nesting deeper than 256 are refused. Memory is bounded by a small
// multiple of MaxBytes.
//
// A request that is not a review gets 405, 408, 413, 415 or 400 and a text that says
// why. A review gets 200, and is refused if the pod is, if there is no pod to
// decide about, or if anything panics; nothing is ever allowed by mistake.
func NewHandler(plugin *Plugin, cfg HandlerConfig) http.Handler {
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = defaultMaxBytes
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	return &handler{plugin: plugin, cfg: cfg}
}

type handler struct {
	plugin  *Plugin
	cfg     HandlerConfig
	buffers sync.Pool // of *bytes.Buffer, that bodies are read into
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	var out Outcome
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
		h.cfg.Observe(out)
	}
}

// An httpError is a request that is not a review.
type httpError struct {
	status int
	text   string
}

func (e *httpError) Error() string { return "admission: " + e.text }

// serve returns the body of the answer, or an *httpError.
func (h *handler) serve(w http.ResponseWriter, r *http.Request, start time.Time, out *Outcome) ([]byte, error) {
	if err := checkHeader(r); err != nil {
		return nil, err
	}
	timeout, err := h.timeout(r)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithDeadline(r.Context(), start.Add(timeout))
	defer cancel()
	body, err := h.read(w, r, start.Add(timeout))
	if err != nil {
		return nil, err
	}
	rv, err := parseReview(body, h.optOut())
	if err == nil {
		err = rv.check()
	}
	if err != nil {
		return nil, &httpError{http.StatusBadRequest, "bad AdmissionReview: " + err.Error()}
	}
	rq := &rv.request
	out.UID, out.Operation, out.Namespace, out.Name = rq.uid, rq.operation, rq.namespace, rq.name
	out.Resource, out.Subresource, out.DryRun = rq.resource.name, rq.subresource, rq.dryRun != nil && *rq.dryRun
	answer := h.answer(ctx, rq, out)
	out.Allowed, out.Err, out.Warnings, out.PatchBytes = answer.refusal == nil, nil, answer.warnings, len(answer.patch)
	if answer.refusal != nil {
		out.Err = answer.refusal
	}
	return answer.encode(rq.uid), nil
}

func (h *handler) optOut() string {
	if h.plugin == nil {
		return ""
	}
	return h.plugin.rules.optOut
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
func (h *handler) timeout(r *http.Request) (time.Duration, error) {
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
func (h *handler) read(w http.ResponseWriter, r *http.Request, deadline time.Time) (string, error) {
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

func (h *handler) tooLarge() error {
	return &httpError{http.StatusRequestEntityTooLarge, fmt.Sprintf("want a body of at most %d bytes", h.cfg.MaxBytes)}
}

// answer decides about a request. A panic refuses it.
func (h *handler) answer(ctx context.Context, rq *reviewRequest, out *Outcome) (a answer) {
	defer func() {
		if p := recover(); p != nil {
			out.Panic, out.Stack = p, debug.Stack()
			a = answer{refusal: refuseInternal()}
		}
	}()
	switch admissionv1.Operation(rq.operation) {
	case admissionv1.Create, admissionv1.Update:
	case admissionv1.Delete, admissionv1.Connect:
		return answer{}
	default:
		return answer{refusal: refuseBadRequest("unknown operation " + cut(rq.operation))}
	}
	if rq.resource.group != "" {
		return answer{}
	}
	switch rq.resource.name {
	case "pods":
		return h.answerPod(ctx, rq)
	case "serviceaccounts":
		return answer{warnings: rq.accountWarnings()}
	}
	return answer{}
}

func (h *handler) answerPod(ctx context.Context, rq *reviewRequest) answer {
	req := Request{
		Operation:   admissionv1.Operation(rq.operation),
		Namespace:   rq.namespace,
		Name:        rq.name,
		Subresource: rq.subresource,
		Pod:         &rq.object.pod,
	}
	if !req.creates() && !req.updatesEphemeral() {
		return answer{}
	}
	if err := rq.checkPod(); err != nil {
		return answer{refusal: refuseBadRequest(err.Error())}
	}
	mutates := req.creates() && !h.cfg.ValidateOnly
	var v verdict
	var err error
	if mutates {
		v, err = h.plugin.decide(ctx, &req)
	} else {
		var account *corev1.ServiceAccount
		account, err = h.plugin.validate(ctx, &req)
		v = verdict{account: account}
	}
	a := answer{warnings: h.plugin.rules.warnings(v.account)}
	switch {
	case err != nil:
		if !errors.As(err, &a.refusal) {
			a.refusal = refuseInternal()
		}
	case v.account != nil && mutates:
		a.patch = h.plugin.newPatch(&rq.object, &v)
	}
	return a
}

// checkPod says why there is no pod to decide about.
func (rq *reviewRequest) checkPod() error {
	pod := groupVersion{version: "v1", name: "Pod"}
	switch {
	case rq.resource.version != "v1":
		return fmt.Errorf("got pods of version %s, want v1", cut(rq.resource.version))
	case rq.kind != pod:
		return fmt.Errorf("got an object of kind %s, want v1/Pod", cut(rq.kind.String()))
	case rq.wrong != nil:
		return fmt.Errorf("the object is not a pod: %v", rq.wrong)
	case !rq.object.present:
		return errors.New("the request has no object")
	case rq.object.kind != "" && rq.object.kind != "Pod" || rq.object.apiVersion != "" && rq.object.apiVersion != "v1":
		return fmt.Errorf("got an object of kind %s of %s, want Pod of v1", cut(rq.object.kind), cut(rq.object.apiVersion))
	case rq.namespace == "":
		return errors.New("the request has no namespace")
	}
	return nil
}

// accountWarnings returns what the API server warns of when a ServiceAccount gets
// EnforceAnnotation (ADM-234).
func (rq *reviewRequest) accountWarnings() []string {
	_, enforced := rq.object.pod.Annotations[EnforceAnnotation]
	if !enforced || rq.oldEnforced || rq.subresource != "" {
		return nil
	}
	return []string{"metadata.annotations[" + EnforceAnnotation + "]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"}
}

func refuseBadRequest(why string) *apierrors.StatusError {
	return apierrors.NewBadRequest("admission: " + strings.TrimSpace(why))
}

func refuseInternal() *apierrors.StatusError {
	return apierrors.NewInternalError(errors.New("the request was not decided"))
}
