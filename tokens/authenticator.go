package tokens

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kubesa/serviceaccount/internal/flight"
	"github.com/kubesa/serviceaccount/keys"
)

// Grace is how long objects that are being deleted still count as there for
// bound tokens, and the clock skew that [AuthenticatorConfig.Leeway] allows
// unless told otherwise (CST-15).
const Grace = 60 * time.Second

// AuthenticatorConfig configures [NewAuthenticator].
type AuthenticatorConfig struct {
	// Issuers are those of the bound tokens that are accepted, compared byte for
	// byte with "iss". At least one is required, unless Legacy is set. They all
	// share Keys, as the old and the new names of one issuer do; give issuers
	// that don't trust each other an Authenticator each.
	Issuers []string

	// Keys is required. It is asked about every token of the issuers, so it
	// must be fast, and a key that it doesn't return any more is not used again.
	Keys keys.Source

	// APIAudiences are required. They are what tokens must be made for if
	// Authenticate isn't told an audience, and what legacy tokens, which have
	// none, count as made for.
	APIAudiences []string

	// ServiceAccounts is required; the others make it possible to accept tokens
	// that are bound to such objects. Every object is looked up for every token,
	// so what has been deleted is noticed as fast as the getters notice it.
	ServiceAccounts ServiceAccountGetter
	Secrets         SecretGetter
	Pods            PodGetter
	Nodes           NodeGetter
	Webhooks        WebhookGetter
	Objects         ObjectGetter

	// Legacy makes tokens acceptable that stand in Secrets, which have the
	// issuer [LegacyIssuer]. Secrets must be set.
	Legacy bool

	// Policy refuses more than Kubernetes does.
	Policy Policy

	// Leeway is the clock skew tolerated on "exp", "nbf" and "iat". Zero means
	// [Grace], as in Kubernetes; a negative value means none.
	Leeway time.Duration

	// InsecureSkipLookups makes the Authenticator judge by the token alone: no
	// object is looked up, so that tokens of deleted accounts, pods and Secrets
	// are accepted until they expire, and legacy ones for ever (TOK-54).
	InsecureSkipLookups bool

	// SignatureCacheSize is for how many tokens the Authenticator remembers that
	// their signatures are good. Only that: times, audiences and objects are
	// judged anew every time, and once Keys returns another key than the one that
	// made a signature, all are forgotten. Zero means
	// [DefaultSignatureCacheSize]; a negative value means none.
	SignatureCacheSize int

	// Observe, if set, is called before Authenticate returns, with its context.
	// That leads to the request: an API server sends [Event.Warnings] with the
	// response and adds [Event.AuditAnnotations] to the request's audit event.
	// It must be fast and safe for concurrent use.
	Observe func(ctx context.Context, e Event)

	// Now returns the current time. If nil, [time.Now] is used.
	Now func() time.Time
}

// check names everything that is wrong with cfg.
func (cfg *AuthenticatorConfig) check() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("tokens: AuthenticatorConfig."+format, args...))
	}
	if len(cfg.Issuers) == 0 && !cfg.Legacy {
		bad("Issuers is empty, want at least one")
	}
	for i, issuer := range cfg.Issuers {
		if err := checkIssuer(issuer); err != nil {
			bad("Issuers[%d] %w", i, err)
		}
		if slices.Contains(cfg.Issuers[:i], issuer) {
			bad("Issuers[%d] is %q, which is already specified", i, issuer)
		}
	}
	if cfg.Keys == nil {
		bad("Keys is nil, want a keys.Source")
	}
	if len(cfg.APIAudiences) == 0 || slices.Contains(cfg.APIAudiences, "") {
		bad("APIAudiences is %q, want at least one audience and no empty one", cfg.APIAudiences)
	}
	switch {
	case cfg.InsecureSkipLookups:
	case cfg.ServiceAccounts == nil:
		bad("ServiceAccounts is nil: ServiceAccountTokenGetter must be provided")
	case cfg.Legacy && cfg.Secrets == nil:
		bad("Secrets is nil, want a getter for legacy tokens")
	}
	if cfg.Legacy && cfg.Policy.ForbidLegacy {
		bad("Legacy and Policy.ForbidLegacy contradict each other")
	}
	if cfg.Policy.MaxLifetime < 0 || cfg.Policy.MaxLifetime > 0 && cfg.Policy.MaxLifetime < time.Second {
		bad("Policy.MaxLifetime is %v, want 0 or at least 1 s", cfg.Policy.MaxLifetime)
	}
	if slices.Contains(cfg.Policy.Namespaces, "") {
		bad("Policy.Namespaces has an empty one")
	}
	return errors.Join(errs...)
}

// An Authenticator says who presents a token. It is safe for concurrent use if
// what it was made from is.
type Authenticator struct {
	cfg   AuthenticatorConfig
	cache *signatureCache // nil for none
}

// NewAuthenticator returns an Authenticator, or an error that names everything
// that is wrong with cfg. It does no I/O.
func NewAuthenticator(cfg AuthenticatorConfig) (*Authenticator, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg.Issuers = slices.Clone(cfg.Issuers)
	cfg.APIAudiences = slices.Clone(cfg.APIAudiences)
	cfg.Policy.Namespaces = slices.Clone(cfg.Policy.Namespaces)
	switch {
	case cfg.Leeway == 0:
		cfg.Leeway = Grace
	case cfg.Leeway < 0:
		cfg.Leeway = 0
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	a := &Authenticator{cfg: cfg}
	switch size := cfg.SignatureCacheSize; {
	case size == 0:
		a.cache = newSignatureCache(DefaultSignatureCacheSize)
	case size > 0:
		a.cache = newSignatureCache(size)
	}
	return a, nil
}

// Authenticate says who token stands for, if it is made for one of audiences,
// or of the API audiences if there are none (TOK-30..79).
//
// An error that wraps [ErrNotRecognized] means that the token is none of this
// authenticator's: ask another one. An [*InvalidError] means that it is, and
// doesn't hold. An [*UnavailableError] means that it could not be judged: try
// again. There are no other errors, and none of the first two holds anything
// of the token.
func (a *Authenticator) Authenticate(ctx context.Context, token string, audiences ...string) (*Identity, error) {
	j := judgement{Authenticator: a, now: a.cfg.Now(), detailed: a.cfg.Observe != nil}
	identity, err := j.judge(ctx, token, audiences)
	if a.cfg.Observe != nil {
		a.cfg.Observe(ctx, j.event(err))
	}
	return identity, err
}

// A judgement is one call of Authenticate.
type judgement struct {
	*Authenticator
	now      time.Time
	detailed bool // someone reads what note is given

	claims *claims // set once the signature is good
	cached bool
	detail string
	legacy *LegacyUse
}

// note remembers what was found, for the Event.
func (j *judgement) note(format string, args ...any) {
	if j.detailed {
		j.detail = fmt.Sprintf(format, args...)
	}
}

func (j *judgement) judge(ctx context.Context, token string, audiences []string) (*Identity, error) {
	if err := ctx.Err(); err != nil {
		return nil, &UnavailableError{"token", err}
	}
	c, err := j.verify(ctx, token)
	if err != nil {
		return nil, err
	}
	granted, err := j.audiences(audiences)
	if err != nil {
		return nil, err
	}
	if err := j.cfg.Policy.check(c); err != nil {
		return nil, err
	}
	if c.legacy {
		err = j.judgeLegacy(ctx, token)
	} else {
		err = j.judgeBound(ctx)
	}
	if err != nil {
		return nil, err
	}
	return newIdentity(c, granted), nil
}

// audiences returns those of requested that the token is made for, in their
// order (TOK-40..42).
func (j *judgement) audiences(requested []string) ([]string, error) {
	if len(requested) == 0 {
		requested = j.cfg.APIAudiences
	}
	own := j.claims.audiences
	if len(own) == 0 && j.claims.legacy {
		own = j.cfg.APIAudiences
	}
	granted := make([]string, 0, min(len(requested), len(own)))
	for _, audience := range requested {
		if slices.Contains(own, audience) {
			granted = append(granted, audience)
		}
	}
	if len(granted) == 0 {
		j.note("token audiences %.256q is invalid for the target audiences %.256q", own, requested)
		return nil, &InvalidError{Reason: ReasonAudience}
	}
	return granted, nil
}

// event returns what Observe is told of a judgement that ended with err.
func (j *judgement) event(err error) Event {
	e := Event{Outcome: Accepted, Err: err, SignatureCached: j.cached, Legacy: j.legacy, Detail: j.detail}
	switch err := err.(type) {
	case nil:
	case *NotRecognizedError:
		e.Outcome, e.Reason = NotRecognized, err.Reason
	case *InvalidError:
		e.Outcome, e.Reason, e.What = Refused, err.Reason, err.What
	default:
		e.Outcome, e.Reason = Unavailable, ReasonUnavailable
		e.Panic, e.Stack = flight.PanicOf(err)
		if err, ok := errors.AsType[*UnavailableError](err); ok {
			e.What = err.What
		}
	}
	if e.Detail == "" && err != nil {
		e.Detail = err.Error()
	}
	if c := j.claims; c != nil {
		e.Namespace, e.Name, e.UID = c.namespace, c.account.Name, c.account.UID
		e.Issuer, e.CredentialID = c.issuer, c.credentialID
		e.ImpliedAudiences = len(c.audiences) == 0
		if warn := timeOf(c.warnAfter); err == nil && !warn.IsZero() && j.now.After(warn) {
			e.Stale = j.now.Sub(warn)
		}
	}
	return e
}
