package tokenreview

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/internal/flight"
	"github.com/kubesa/serviceaccount/internal/logvalue"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/inspect"
	authenticationv1 "k8s.io/api/authentication/v1"
)

// Bounds of the calls of a [Client].
const (
	clientTimeout  = 10 * time.Second
	clientAttempts = 5
	clientCalls    = 64
)

// A Creator sends TokenReviews to an API server. serviceaccount.FromAuthenticationV1
// returns one for client-go; a [CreatorFunc] is one, too. It must be safe for
// concurrent use.
type Creator interface {
	// CreateTokenReview sends review, which belongs to it, and returns the API
	// server's answer. If the API server answers with an error, it returns that as
	// an apierrors.APIStatus.
	CreateTokenReview(ctx context.Context, review *authenticationv1.TokenReview) (*authenticationv1.TokenReview, error)
}

// A CreatorFunc is a [Creator].
type CreatorFunc func(ctx context.Context, review *authenticationv1.TokenReview) (*authenticationv1.TokenReview, error)

// CreateTokenReview calls f.
func (f CreatorFunc) CreateTokenReview(ctx context.Context, review *authenticationv1.TokenReview) (*authenticationv1.TokenReview, error) {
	return f(ctx, review)
}

// ClientConfig configures [NewClient].
type ClientConfig struct {
	// Reviews is required. It needs the permission to create tokenreviews of
	// authentication.k8s.io, as the ClusterRole system:auth-delegator grants it.
	Reviews Creator

	// Audiences are required: those that Authenticate asks for without audiences of
	// its own. A TokenReview without audiences is never sent, because the API server
	// would answer for its own audiences: a service that accepts such tokens can use
	// them at the API server in their owner's name.
	Audiences []string

	// Issuers, if set, are the issuers of the cluster, compared byte for byte with
	// the unverified "iss". Tokens of others are not recognized, and not sent. A
	// [tokens.Chain] needs this unless the Client is its last Verifier. Name
	// [tokens.LegacyIssuer] too, if the cluster has Secret-based tokens.
	Issuers []string

	// ImplicitAudiences are the audiences of an authentication webhook that doesn't
	// report any, behind the API server. If empty, an answer without audiences is
	// rejected: kube-apiserver reports them for each token of a ServiceAccount.
	ImplicitAudiences []string

	// Timeout bounds one Authenticate, with all attempts. Zero means 10 s.
	Timeout time.Duration

	// Attempts is how often a TokenReview is sent at most, while the API server
	// answers with 429, 500, 502 or 504, or the connection fails. Answers with a
	// Retry-After header are not retried: client-go has done that. Zero means 5.
	Attempts int

	// MaxConcurrent bounds the TokenReviews under way at once; others wait for
	// their turn. Zero means 64.
	MaxConcurrent int

	// Observe, if set, is called before Authenticate returns, with its context. It
	// must be fast and safe for concurrent use.
	Observe func(ctx context.Context, e ClientEvent)
}

func (cfg *ClientConfig) check() error {
	mistakes := configerror.List{Config: "tokenreview.ClientConfig"}
	mistakes.Require("Reviews", cfg.Reviews, "a Creator")
	if len(cfg.Audiences) == 0 || slices.Contains(cfg.Audiences, "") {
		mistakes.Add("Audiences", "is %q, want at least one audience and no empty one", cfg.Audiences)
	}
	if slices.Contains(cfg.Issuers, "") {
		mistakes.Add("Issuers", "has an empty one, want issuers of the cluster")
	}
	if slices.Contains(cfg.ImplicitAudiences, "") {
		mistakes.Add("ImplicitAudiences", "has an empty one, want audiences")
	}
	configerror.NotNegative(&mistakes, "Timeout", cfg.Timeout)
	configerror.NotNegative(&mistakes, "Attempts", cfg.Attempts)
	configerror.NotNegative(&mistakes, "MaxConcurrent", cfg.MaxConcurrent)
	return mistakes.Err()
}

// A ClientEvent is one call of [Client.Authenticate]. It never holds the token.
type ClientEvent struct {
	Identity *tokens.Identity // nil unless the token was accepted
	Err      error            // as returned

	// Detail is status.error of the API server, or what else only operators should
	// read. It may name objects and comes from afar: escape it in logs.
	Detail   string
	Attempts []Attempt // the TokenReviews sent
	Took     time.Duration

	// Panic and Stack are set if the Creator panicked.
	Panic any
	Stack []byte
}

// LogValue returns e for log/slog.
func (e ClientEvent) LogValue() slog.Value { return logvalue.Of(e) }

// An Attempt is one TokenReview that was sent.
type Attempt struct {
	HTTPStatus int // of the API server's answer, 0 if there was none
	Took       time.Duration
}

// String returns the answer and the time, for logs.
func (a Attempt) String() string { return fmt.Sprintf("HTTP %d after %v", a.HTTPStatus, a.Took) }

// A Client authenticates tokens by asking an API server, which looks up the account
// and the bound object, so that revoked tokens are rejected. It implements
// [tokens.Verifier]. It asks for every token anew; tokens/cached caches the answers.
// It is safe for concurrent use.
type Client struct {
	cfg   ClientConfig
	guard *flight.Guard
}

// NewClient returns a Client, or an error naming every invalid field, each as a
// [*ConfigError]. It does no I/O.
func NewClient(cfg ClientConfig) (*Client, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg.Audiences = slices.Clone(cfg.Audiences)
	cfg.Issuers = slices.Clone(cfg.Issuers)
	cfg.ImplicitAudiences = slices.Clone(cfg.ImplicitAudiences)
	if cfg.Timeout == 0 {
		cfg.Timeout = clientTimeout
	}
	if cfg.Attempts == 0 {
		cfg.Attempts = clientAttempts
	}
	if cfg.MaxConcurrent == 0 {
		cfg.MaxConcurrent = clientCalls
	}
	return &Client{cfg, flight.NewGuard("the TokenReview client", cfg.MaxConcurrent)}, nil
}

// Authenticate implements [tokens.Verifier] with one TokenReview for audiences, or
// for those of the config if there are none.
//
// A token that is no JWT, or of an issuer that isn't configured, and a user who is no
// ServiceAccount, such as a person, give an error that wraps [tokens.ErrNotRecognized].
// A token that the API server doesn't accept gives a [*tokens.InvalidError] with
// [tokens.ReasonRefused]; an outage of what the API server itself asks looks the same.
// Without a usable answer in time, the error is a [*tokens.UnavailableError].
//
// The Identity has what the API server reports, see [tokens.IdentityOf], the
// audiences that were asked for and reported, and no times.
func (c *Client) Authenticate(ctx context.Context, token string, audiences ...string) (*tokens.Identity, error) {
	start := time.Now()
	r := request{Client: c}
	identity, err := r.authenticate(ctx, token, audiences)
	if c.cfg.Observe != nil {
		e := ClientEvent{Identity: identity, Err: err, Detail: r.detail, Attempts: r.attempts, Took: time.Since(start)}
		e.Panic, e.Stack = flight.PanicOf(err)
		c.cfg.Observe(ctx, e)
	}
	return identity, err
}

// A request is one call of Authenticate.
type request struct {
	*Client
	attempts []Attempt
	detail   string
}

func (r *request) authenticate(ctx context.Context, token string, audiences []string) (*tokens.Identity, error) {
	asked := audiences
	if len(asked) == 0 {
		asked = r.cfg.Audiences // TRC-33
	}
	if slices.Contains(asked, "") {
		return nil, &tokens.InvalidError{Reason: tokens.ReasonAudience}
	}
	if err := r.recognize(token); err != nil {
		return nil, err
	}
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: asked}}
	answer, err := r.send(ctx, review)
	if err != nil {
		return nil, unavailable(err)
	}
	r.detail = answer.Status.Error
	return r.identityOf(answer, asked)
}

// recognize reports whether token may be of the cluster, by what it says of itself
// (TRC-42, TRC-45).
func (r *request) recognize(token string) error {
	claims, err := inspect.PeekUnverified(token)
	if _, invalid := errors.AsType[*tokens.InvalidError](err); err != nil && !invalid {
		return err
	}
	if len(r.cfg.Issuers) > 0 && (claims == nil || !slices.Contains(r.cfg.Issuers, claims.Issuer)) {
		return &tokens.NotRecognizedError{Reason: tokens.ReasonForeignIssuer}
	}
	return nil
}

func unavailable(err error) error { return &tokens.UnavailableError{Subject: "TokenReview", Err: err} }

// identityOf returns the account that answer, to a question for the audiences asked,
// reports. The order is: whether the API server answered, whether it accepts the
// token, whom it names, and for which audiences (TRC-12, TRC-13, TRC-34 to TRC-42).
func (r *request) identityOf(answer *authenticationv1.TokenReview, asked []string) (*tokens.Identity, error) {
	status := &answer.Status
	if !status.Authenticated {
		return nil, &tokens.InvalidError{Reason: tokens.ReasonRefused}
	}
	if status.User.Username == "" {
		return nil, unavailable(errors.New("the answer accepts the token and names nobody"))
	}
	identity, err := tokens.IdentityOf(status.User)
	if err != nil {
		if e, ok := errors.AsType[*tokens.InvalidError](err); ok {
			r.detail = fmt.Sprintf("user %.256q has invalid %s", status.User.Username, e.Subject)
		}
		return nil, err
	}
	reported := status.Audiences
	if len(reported) == 0 {
		reported = r.cfg.ImplicitAudiences
	}
	granted := make(map[string]bool, len(reported)) // both lists may come from a client, and be long
	for _, audience := range reported {
		granted[audience] = true
	}
	for _, audience := range asked {
		if granted[audience] {
			identity.Audiences = append(identity.Audiences, audience)
			granted[audience] = false // once
		}
	}
	if len(identity.Audiences) == 0 {
		r.detail = fmt.Sprintf("the API server accepts the token for %.256q, want one of %.256q", logvalue.Few(reported), logvalue.Few(asked))
		return nil, &tokens.InvalidError{Reason: tokens.ReasonAudience}
	}
	return identity, nil
}
