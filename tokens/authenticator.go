package tokens

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/kubesa/serviceaccount/internal/logvalue"
	"github.com/kubesa/serviceaccount/tokens/internal/payload"
	"github.com/kubesa/serviceaccount/tokens/internal/signature"
)

// An Authenticator authenticates tokens of ServiceAccounts. It is safe for
// concurrent use if its key source and getters are.
type Authenticator struct {
	cfg         AuthenticatorConfig
	signatures  *signature.Verifier
	extraClaims []string // those of ExtraClaims, sorted
}

// NewAuthenticator returns an Authenticator, or an error naming every invalid field,
// each as a [*ConfigError]. It does no I/O.
func NewAuthenticator(cfg AuthenticatorConfig) (*Authenticator, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg.Issuers = slices.Clone(cfg.Issuers)
	cfg.APIAudiences = slices.Clone(cfg.APIAudiences)
	cfg.ExtraClaims = maps.Clone(cfg.ExtraClaims)
	cfg.Policy = cfg.Policy.clone()
	if cfg.Leeway == 0 && !cfg.NoLeeway {
		cfg.Leeway = DefaultLeeway
	}
	if cfg.SignatureCacheBytes == 0 && !cfg.DisableSignatureCache {
		cfg.SignatureCacheBytes = DefaultSignatureCacheBytes
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	signatures := signature.New(signature.Config{
		Issuers:    cfg.Issuers,
		Legacy:     cfg.Legacy || cfg.Policy.ForbidLegacy,
		Keys:       cfg.Keys,
		MaxChecks:  cmp.Or(cfg.MaxSignatureChecks, 8),
		Cluster:    cfg.Cluster.Name,
		CacheBytes: cfg.SignatureCacheBytes,
	})
	return &Authenticator{cfg, signatures, slices.Sorted(maps.Keys(cfg.ExtraClaims))}, nil
}

// Authenticate returns the ServiceAccount that presents token, if it was issued
// for one of audiences, or of the API audiences if there are none.
//
// An error that wraps [ErrNotRecognized] means that the token is not of this
// authenticator's issuers: ask another one. An [*InvalidError] means that it is,
// and is not valid: the caller must not retry. An [*UnavailableError] means that
// a lookup failed: retry. There are no other errors, and none of the first two
// holds anything of the token.
func (a *Authenticator) Authenticate(ctx context.Context, token string, audiences ...string) (*Identity, error) {
	began := time.Now()
	attempt := attempt{Authenticator: a, now: a.cfg.Now(), detailed: a.cfg.Observe != nil}
	identity, v, err := attempt.authenticate(ctx, token, audiences)
	if a.cfg.Observe != nil {
		e := attempt.event(v, err)
		e.Took = time.Since(began)
		a.cfg.Observe(attempt.entered, e)
	}
	return identity, err
}

// Evaluate is Authenticate, but returns the Event instead of passing it to
// [AuthenticatorConfig.Observe]: for tools that tell an operator why a token is
// rejected, as tokens/inspect does. The Identity is nil unless Event.Err is.
func (a *Authenticator) Evaluate(ctx context.Context, token string, audiences ...string) (*Identity, Event) {
	attempt := attempt{Authenticator: a, now: a.cfg.Now(), detailed: true}
	identity, v, err := attempt.authenticate(ctx, token, audiences)
	return identity, attempt.event(v, err)
}

// An attempt is one call of Authenticate.
type attempt struct {
	*Authenticator
	now     time.Time
	entered context.Context // that of the call, or what ClusterClaim.Enter made of it

	detailed bool // somebody reads detail
	detail   string
	legacy   *LegacyUse
}

// detailf sets the detail of the Event.
func (a *attempt) detailf(format string, args ...any) {
	if a.detailed {
		a.detail = fmt.Sprintf(format, args...)
	}
}

// authenticate also returns what the signature says (TOK-30..79).
func (a *attempt) authenticate(ctx context.Context, token string, audiences []string) (*Identity, signature.Result, error) {
	a.entered = ctx
	if err := ctx.Err(); err != nil {
		return nil, signature.Result{}, &UnavailableError{"token", err}
	}
	v, problem := a.signatures.Verify(ctx, token)
	if problem != nil {
		return nil, v, a.unverified(problem)
	}
	granted, err := a.grant(v.Claims, audiences)
	if err != nil {
		return nil, v, err
	}
	if ctx, err = a.cfg.Cluster.enter(ctx, v.Claims.Cluster); err != nil {
		a.detailf("the token is of the cluster %.256q: %v", v.Claims.Cluster, err)
		return nil, v, err
	}
	a.entered = ctx
	identity := newIdentity(v.Claims, granted, token)
	if a.cfg.Cluster.Extra != "" {
		identity.addMore(a.cfg.Cluster.Extra, []string{v.Claims.Cluster})
	}
	if err := a.addExtra(identity); err != nil {
		return nil, v, err
	}
	if err := a.cfg.Policy.reject(identity); err != nil {
		return nil, v, err
	}
	if v.Claims.Legacy {
		err = a.checkLegacy(ctx, v.Claims, token)
	} else {
		err = a.checkBound(ctx, v.Claims)
	}
	if err != nil {
		return nil, v, err
	}
	return identity, v, nil
}

// unverified returns what Authenticate says of a token that isn't verified.
func (a *attempt) unverified(e *signature.Error) error {
	switch e.Problem {
	case signature.Keys:
		return &UnavailableError{subjectKeys, e.Err}
	case signature.Malformed:
		return &NotRecognizedError{ReasonMalformed, e.Err.Error()}
	case signature.Claim:
		if e.Fault.Missing {
			return &InvalidError{ReasonMissingClaim, e.Fault.Claim}
		}
		return &InvalidError{ReasonInvalidClaim, e.Fault.Claim}
	}
	a.detailf("%v", e)
	switch e.Problem {
	case signature.ForeignIssuer:
		return &NotRecognizedError{Reason: ReasonForeignIssuer}
	case signature.UnknownKey:
		return &InvalidError{Reason: ReasonUnknownKey}
	case signature.TooManyKeys:
		return &InvalidError{Reason: ReasonTooManyKeys}
	}
	return &InvalidError{Reason: ReasonSignature}
}

// grant returns those of requested that the token was issued for, in their order
// (TOK-40..42). Only a Secret-based token may name no audience.
func (a *attempt) grant(c *payload.Claims, requested []string) ([]string, error) {
	if len(requested) == 0 {
		requested = a.cfg.APIAudiences
	}
	own := c.Audiences
	if len(own) == 0 && c.Legacy {
		own = a.cfg.APIAudiences
	}
	granted := make([]string, 0, min(len(requested), len(own)))
	for _, audience := range requested {
		if slices.Contains(own, audience) {
			granted = append(granted, audience)
		}
	}
	if len(granted) == 0 {
		a.detailf("token audiences %.256q is invalid for the target audiences %.256q", logvalue.Few(own), logvalue.Few(requested))
		return nil, &InvalidError{Reason: ReasonAudience}
	}
	return granted, nil
}

// event returns the Event of an attempt that ended with err.
func (a *attempt) event(v signature.Result, err error) Event {
	e := Event{Time: a.now, Result: ResultAccepted, Err: err, SignatureCached: v.Cached, KeysTried: v.KeysTried, Legacy: a.legacy, Detail: a.detail}
	e.setError(err)
	if c := v.Claims; c != nil {
		e.Namespace, e.Name, e.UID = c.Namespace, c.Account.Name, c.Account.UID
		e.Issuer, e.CredentialID, e.Cluster = c.Issuer, c.CredentialID, c.Cluster
		e.ImpliedAudiences = len(c.Audiences) == 0
		warn := payload.Time(c.WarnAfter)
		e.Extended = err == nil && !warn.IsZero()
		if e.Extended && a.now.After(warn) {
			e.Stale = a.now.Sub(warn)
		}
	}
	return e
}
