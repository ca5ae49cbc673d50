package tokenreview

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/internal/flight"
	"github.com/kubesa/serviceaccount/internal/logvalue"
	"github.com/kubesa/serviceaccount/internal/webhook"
	"github.com/kubesa/serviceaccount/tokens"
	authenticationv1 "k8s.io/api/authentication/v1"
)

// HandlerConfig configures [NewHandler].
type HandlerConfig struct {
	// Verifier is required: a [tokens.Authenticator], usually. A [tokens.Chain] asks
	// several; issuers that don't trust each other have an Authenticator each.
	Verifier tokens.Verifier

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

// LogValue returns e for log/slog.
func (e Event) LogValue() slog.Value { return logvalue.Of(e) }

// A ConfigError is one mistake in a [HandlerConfig]. It has the fields Config, Field
// and Problem. Only another config helps.
type ConfigError = configerror.Error

// NewHandler returns a webhook for token authentication: a handler of TokenReview
// requests of authentication.k8s.io/v1, as kube-apiserver sends them with
// --authentication-token-webhook-config-file. It is safe for concurrent use. The error
// names every invalid field, each as a [*ConfigError].
//
// The body must be strict JSON: duplicate names, names that differ from the known
// ones only in case, invalid UTF-8 and nesting deeper than 32 are rejected.
//
// A request that is not a review gets 405, 408, 413, 415 or 400 and a text that
// says why, none of it from the request; requests over the limit get 429, and
// those that could not be read in time 503. A review gets 200 and what [Review]
// answers. A lookup that fails or panics fails closed. Getters must return when
// their context is done, or requests wait for them.
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
	mistakes.Require("Verifier", cfg.Verifier, "a tokens.Verifier")
	configerror.NotNegative(&mistakes, "MaxBytes", cfg.MaxBytes)
	configerror.NotNegative(&mistakes, "Timeout", cfg.Timeout)
	configerror.NotNegative(&mistakes, "MaxConcurrent", cfg.MaxConcurrent)
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
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
		cfg:      cfg,
		endpoint: webhook.Endpoint{Package: "tokens", MaxBytes: cfg.MaxBytes, Timeout: cfg.Timeout},
		slots:    make(chan struct{}, cfg.MaxConcurrent),
		waiting:  make(chan struct{}, cfg.MaxConcurrent*(1+waitersPerSlot)),
	}, nil
}

type reviewHandler struct {
	cfg      HandlerConfig
	endpoint webhook.Endpoint
	slots    chan struct{} // one for each token that is being authenticated
	waiting  chan struct{} // one for each of those and of those that wait
}

func (h *reviewHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var e Event
	out := h.endpoint.Serve(w, r, func(ctx context.Context, body string) ([]byte, error) { return h.review(ctx, body, &e) })
	e.HTTPStatus, e.Took = out.Status, out.Took
	if out.Err != nil {
		e.Err, e.Panic, e.Stack = out.Err, out.Panic, out.Stack
	}
	if h.cfg.Observe != nil {
		h.cfg.Observe(r.Context(), e)
	}
}

// review returns the answer to the review in body, or a *webhook.Error.
func (h *reviewHandler) review(ctx context.Context, body string, e *Event) ([]byte, error) {
	review, fault := parseReview(ctx, body, h.cfg.V1beta1)
	if fault == "" {
		fault = reviewFault(review)
	}
	switch {
	case ctx.Err() != nil:
		return nil, h.endpoint.Error(http.StatusServiceUnavailable, "the review could not be read in time")
	case fault != "":
		return nil, h.endpoint.Error(http.StatusBadRequest, "bad TokenReview: "+fault)
	}
	if err := h.enter(ctx); err != nil {
		return nil, err
	}
	defer h.leave()
	return encodeReview(h.answer(ctx, review, e)), nil
}

// enter waits for a slot. Unless it fails, leave must be called.
func (h *reviewHandler) enter(ctx context.Context) error {
	select {
	case h.waiting <- struct{}{}:
	default:
		return h.tooMany()
	}
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		<-h.waiting
		return h.tooMany()
	}
}

func (h *reviewHandler) tooMany() error {
	return h.endpoint.Error(http.StatusTooManyRequests, "too many reviews at once")
}

func (h *reviewHandler) leave() {
	<-h.slots
	<-h.waiting
}

// answer authenticates. A panic rejects the token.
func (h *reviewHandler) answer(ctx context.Context, review *authenticationv1.TokenReview, e *Event) *authenticationv1.TokenReview {
	answer, err := flight.Catch("the authentication", func() (*authenticationv1.TokenReview, error) {
		return reviewBy(ctx, h.cfg.Verifier, review)
	})
	if e.Panic, e.Stack = flight.PanicOf(err); answer == nil {
		err = errors.New(errUnavailable)
		answer = &authenticationv1.TokenReview{TypeMeta: review.TypeMeta}
		answer.Status.Error = errUnavailable
	}
	e.Err, e.Authenticated, e.Username = err, answer.Status.Authenticated, answer.Status.User.Username
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
