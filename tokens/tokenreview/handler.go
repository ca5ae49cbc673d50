package tokenreview

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/tokens"
	authenticationv1 "k8s.io/api/authentication/v1"
)

// HandlerConfig configures [NewHandler].
type HandlerConfig struct {
	// Authenticators are asked in order until one recognizes the token. At least
	// one is required. Issuers that don't trust each other have one each.
	Authenticators []*tokens.Authenticator

	// V1beta1 also answers reviews of authentication.k8s.io/v1beta1, which
	// kube-apiserver sends unless its flag
	// --authentication-token-webhook-version is v1.
	V1beta1 bool

	// MaxBytes bounds the body of a request. Zero means 64 KiB.
	MaxBytes int64
	// Timeout bounds the time for one request, reading included. The query
	// parameter timeout of the request counts too, if it is shorter. Zero means
	// 10 s.
	Timeout time.Duration

	// MaxConcurrent bounds the tokens that are authenticated at once. Four times
	// as many requests wait for their turn; requests over that limit get 429
	// immediately. Zero means 128.
	MaxConcurrent int

	// Observe, if set, is called with each request's context once it has been
	// answered. It must be safe for concurrent use.
	Observe func(ctx context.Context, e Event)
}

const (
	defaultReviewBytes      = 64 << 10
	defaultReviewTimeout    = 10 * time.Second
	defaultReviewConcurrent = 128
	waitersPerSlot          = 4
)

// An Event is one request to the handler. It never holds the token. Err and
// Username may come from the client: escape them in logs. For the reason of a
// rejected token see [tokens.AuthenticatorConfig.Observe].
type Event struct {
	HTTPStatus    int
	Took          time.Duration
	Authenticated bool
	Username      string // empty unless authenticated
	Err           error  // why not, or what was wrong with the request

	// Panic and Stack are set if a getter or a key source panicked, which
	// rejects the token.
	Panic any
	Stack []byte
}

// A ConfigError is one mistake in a [HandlerConfig]: Config says which struct,
// Field which field, and Problem what is wrong with it.
type ConfigError = configerror.Error

// NewHandler returns a webhook for token authentication: a handler of TokenReview
// requests of authentication.k8s.io/v1, as kube-apiserver sends them with
// --authentication-token-webhook-config-file. It is safe for concurrent use. The
// error is a [*ConfigError] for each invalid field of cfg, joined.
//
// The body must be strict JSON: duplicate names, names that differ from the known
// ones only in case, invalid UTF-8 and nesting deeper than 32 are rejected.
//
// A request that is not a review gets 405, 408, 413, 415 or 400 and a text that
// says why, none of it from the request; requests over the limit get 429. A
// review gets 200 and what [Review] answers. A lookup that fails or panics fails
// closed. Getters must return when their context is done, or requests wait for
// them.
//
// The API server caches answers, by default for two minutes: its flag
// --authentication-token-webhook-cache-ttl says how long a token outlives its
// revocation there.
//
// An API server that serves TokenReview itself answers with 201, and with a Status
// where this handler has a text: it calls [Review] and encodes the answer as any
// other.
func NewHandler(cfg HandlerConfig) (http.Handler, error) {
	mistakes := configerror.List{Config: "tokenreview.HandlerConfig"}
	if len(cfg.Authenticators) == 0 {
		mistakes.Add("Authenticators", "is empty, want at least one")
	}
	for i, a := range cfg.Authenticators {
		mistakes.Require(fmt.Sprintf("Authenticators[%d]", i), a, "an Authenticator")
	}
	configerror.NotNegative(&mistakes, "MaxBytes", cfg.MaxBytes)
	configerror.NotNegative(&mistakes, "Timeout", cfg.Timeout)
	configerror.NotNegative(&mistakes, "MaxConcurrent", cfg.MaxConcurrent)
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	cfg.Authenticators = slices.Clone(cfg.Authenticators)
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = defaultReviewBytes
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultReviewTimeout
	}
	if cfg.MaxConcurrent == 0 {
		cfg.MaxConcurrent = defaultReviewConcurrent
	}
	return &reviewHandler{
		cfg:     cfg,
		slots:   make(chan struct{}, cfg.MaxConcurrent),
		waiting: make(chan struct{}, cfg.MaxConcurrent*(1+waitersPerSlot)),
	}, nil
}

type reviewHandler struct {
	cfg     HandlerConfig
	slots   chan struct{} // one for each token that is being authenticated
	waiting chan struct{} // one for each of those and of those that wait
}

func (h *reviewHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	var out Event
	body, err := h.serve(w, r, start, &out)
	if bad, ok := errors.AsType[*httpError](err); ok {
		out.Err, out.HTTPStatus = err, bad.status
		switch bad.status {
		case http.StatusMethodNotAllowed:
			w.Header().Set("Allow", http.MethodPost)
		case http.StatusTooManyRequests:
			w.Header().Set("Retry-After", "1")
		}
		http.Error(w, bad.Error(), bad.status)
	} else {
		out.HTTPStatus = http.StatusOK
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(body) // a client that is gone is told nothing
	}
	if h.cfg.Observe != nil {
		out.Took = time.Since(start)
		h.cfg.Observe(r.Context(), out)
	}
}

// An httpError is a request that gets no answer. Its text holds nothing of the
// request.
type httpError struct {
	status int
	text   string
}

func (e *httpError) Error() string { return "tokens: " + e.text }

// serve returns the body of the answer, or an *httpError.
func (h *reviewHandler) serve(w http.ResponseWriter, r *http.Request, start time.Time, out *Event) ([]byte, error) {
	if err := checkReviewHeader(r); err != nil {
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
	review, fault := parseReview(string(body), h.cfg.V1beta1)
	if fault == "" {
		fault = reviewFault(review)
	}
	if fault != "" {
		return nil, &httpError{http.StatusBadRequest, "bad TokenReview: " + fault}
	}
	if err := h.enter(ctx); err != nil {
		return nil, err
	}
	defer h.leave()
	return encodeReview(h.answer(ctx, review, out)), nil
}

func checkReviewHeader(r *http.Request) error {
	if r.Method != http.MethodPost {
		return &httpError{http.StatusMethodNotAllowed, "want POST"}
	}
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mediaType != "application/json" {
		return &httpError{http.StatusUnsupportedMediaType, "want the content type application/json"}
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return &httpError{http.StatusUnsupportedMediaType, "want a body without a content encoding"}
	}
	return nil
}

// timeout returns how long the request may take. The API server says how long
// it waits; the answer has to be there a little earlier.
func (h *reviewHandler) timeout(r *http.Request) (time.Duration, error) {
	given := r.URL.Query().Get("timeout")
	if given == "" {
		return h.cfg.Timeout, nil
	}
	d, err := time.ParseDuration(given)
	if err != nil || d <= 0 {
		return 0, &httpError{http.StatusBadRequest, "the query parameter timeout is not a positive duration"}
	}
	return min(h.cfg.Timeout, d-min(d/10, 500*time.Millisecond)), nil
}

// read returns the body of r.
func (h *reviewHandler) read(w http.ResponseWriter, r *http.Request, deadline time.Time) ([]byte, error) {
	tooLarge := &httpError{http.StatusRequestEntityTooLarge, fmt.Sprintf("want a body of at most %d bytes", h.cfg.MaxBytes)}
	// A body that trickles in must not hold the connection for longer than the
	// request may take. Writers that know no deadlines say so; then the server
	// has to do it. After a failure the deadline stays, because the server goes
	// on to read what is left of the body; before the next request it sets its
	// own.
	control := http.NewResponseController(w)
	timed := control.SetReadDeadline(deadline) == nil
	if r.ContentLength > h.cfg.MaxBytes {
		return nil, tooLarge
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, h.cfg.MaxBytes))
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, tooLarge
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, &httpError{http.StatusRequestTimeout, "the body did not arrive in time"}
		}
		return nil, &httpError{http.StatusBadRequest, "the body could not be read"}
	}
	if timed {
		_ = control.SetReadDeadline(time.Time{}) // setting it has worked before
	}
	return body, nil
}

// enter waits for a slot. Unless it fails, leave must be called.
func (h *reviewHandler) enter(ctx context.Context) error {
	tooMany := &httpError{http.StatusTooManyRequests, "too many reviews at once"}
	select {
	case h.waiting <- struct{}{}:
	default:
		return tooMany
	}
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		<-h.waiting
		return tooMany
	}
}

func (h *reviewHandler) leave() {
	<-h.slots
	<-h.waiting
}

// answer authenticates. A panic rejects the token.
func (h *reviewHandler) answer(ctx context.Context, review *authenticationv1.TokenReview, out *Event) (answer *authenticationv1.TokenReview) {
	defer func() {
		if p := recover(); p != nil {
			out.Panic, out.Stack = p, debug.Stack()
			out.Err = errors.New(errUnavailable)
			answer = &authenticationv1.TokenReview{TypeMeta: review.TypeMeta}
			answer.Status.Error = errUnavailable
		}
	}()
	answer, out.Err = reviewBy(ctx, h.cfg.Authenticators, review)
	out.Authenticated, out.Username = answer.Status.Authenticated, answer.Status.User.Username
	return answer
}

// encodeReview returns what is sent: the kind and the status.
func encodeReview(answer *authenticationv1.TokenReview) []byte {
	var buf bytes.Buffer
	// Texts, and maps and lists of them, can always be encoded.
	_ = json.NewEncoder(&buf).Encode(struct {
		Kind       string                             `json:"kind"`
		APIVersion string                             `json:"apiVersion"`
		Status     authenticationv1.TokenReviewStatus `json:"status"`
	}{answer.Kind, answer.APIVersion, answer.Status})
	return buf.Bytes()
}
