package tokens

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/internal/flight"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/tokens/internal/bounded"
	"github.com/kubesa/serviceaccount/tokens/internal/payload"
)

const (
	// DeletionGracePeriod is how long objects that are being deleted still count
	// as existing for bound tokens.
	DeletionGracePeriod = 60 * time.Second

	// DefaultLeeway is the default of [AuthenticatorConfig.Leeway], that of
	// Kubernetes.
	DefaultLeeway = 60 * time.Second

	// DefaultSignatureCacheBytes is the default of
	// [AuthenticatorConfig.SignatureCacheBytes]. It is enough for some 5,000 tokens.
	DefaultSignatureCacheBytes = 8 << 20
)

// AuthenticatorConfig configures [NewAuthenticator].
type AuthenticatorConfig struct {
	// Issuers are the accepted issuers of bound tokens, compared byte for byte
	// with "iss". At least one is required, unless Legacy is set. They share
	// Keys, as the old and the new name of one issuer do; issuers that don't
	// trust each other have an Authenticator each.
	Issuers []string

	// Keys is required. It is asked about every token of the issuers, so it must
	// be fast, and a key that it no longer returns is not used again.
	Keys keys.Source

	// APIAudiences are required: the default of Authenticate without audiences,
	// and the audiences of Secret-based tokens, which name none.
	APIAudiences []string

	// ServiceAccounts is required. Each other getter allows tokens bound to
	// objects of its kind. Every object is looked up for every token, so a
	// deletion takes effect as soon as the getters see it.
	ServiceAccounts ServiceAccountGetter
	Secrets         SecretGetter
	Pods            PodGetter
	Nodes           NodeGetter
	Webhooks        WebhookGetter
	Objects         ObjectGetter

	// Legacy also accepts Secret-based tokens, which have the issuer
	// [LegacyIssuer]. It requires Secrets.
	Legacy bool

	// ExtraClaims maps claims, such as those of a [ClaimsExtender], to keys of the extra
	// of user infos, such as "example.org/team". A claim is a string or a list of
	// strings; a bound token with another one is rejected, one without has no such key.
	ExtraClaims map[string]string

	// Cluster, if it has a Name, is required in every token, and rejects those of
	// another cluster.
	Cluster ClusterClaim

	// Policy rejects tokens that Kubernetes would accept.
	Policy Policy

	// Leeway is the clock skew tolerated on "exp", "nbf" and "iat". Zero means
	// [DefaultLeeway]. NoLeeway tolerates none.
	Leeway   time.Duration
	NoLeeway bool

	// Lookups says what is looked up for each token. The zero value is
	// [LookupAll]; a service that has the issuer's keys alone needs
	// [LookupNothing].
	Lookups Lookups

	// SignatureCacheBytes bounds the memory of the cache of verified signatures,
	// which has a hash of each token and its claims. Nothing else is cached: times,
	// audiences and objects are checked every time. A signature counts as long as
	// Keys returns the very key that made it, for the context of each call. Zero
	// means [DefaultSignatureCacheBytes]. DisableSignatureCache caches none.
	SignatureCacheBytes   int64
	DisableSignatureCache bool

	// MaxSignatureChecks bounds the keys of its algorithm that are tried for one
	// token. More than one is tried only for a token without a key id, which only
	// old Secrets hold, but anybody can send, and verifying takes up to some
	// milliseconds a key. A token for which there are more keys is rejected with
	// [ReasonTooManyKeys]. Zero means 8.
	MaxSignatureChecks int

	// Observe, if set, is called before Authenticate returns, with its context, or the
	// one that [ClusterClaim.Enter] derived from it.
	// That leads to the request: an API server sends [Event.Warnings] with the
	// response and adds [Event.AuditAnnotations] to the request's audit event.
	// It must be fast and safe for concurrent use.
	Observe func(ctx context.Context, e Event)

	// Now returns the current time. If nil, [time.Now] is used.
	Now func() time.Time
}

// check names every invalid field.
func (cfg *AuthenticatorConfig) check() error {
	mistakes := configerror.List{Config: "tokens.AuthenticatorConfig"}
	if len(cfg.Issuers) == 0 && !cfg.Legacy {
		mistakes.Add("Issuers", "is empty, want at least one")
	}
	for i, issuer := range cfg.Issuers {
		field := fmt.Sprintf("Issuers[%d]", i)
		if err := payload.CheckIssuer(issuer); err != nil {
			mistakes.Add(field, "%v", err)
		}
		if slices.Contains(cfg.Issuers[:i], issuer) {
			mistakes.Add(field, "is %q, which is already specified", issuer)
		}
	}
	mistakes.Require("Keys", cfg.Keys, "a keys.Source")
	if len(cfg.APIAudiences) == 0 || slices.Contains(cfg.APIAudiences, "") {
		mistakes.Add("APIAudiences", "is %q, want at least one audience and no empty one", cfg.APIAudiences)
	}
	cfg.checkLookups(&mistakes)
	checkExtraClaims(&mistakes, cfg.ExtraClaims)
	cfg.Cluster.check(&mistakes, "Cluster")
	for claim, key := range cfg.ExtraClaims {
		if key == cfg.Cluster.Extra {
			mistakes.Add("Cluster.Extra", "is %q, which ExtraClaims[%s] has", key, claim)
		}
	}
	mistakes.Optional("Secrets", cfg.Secrets)
	mistakes.Optional("Pods", cfg.Pods)
	mistakes.Optional("Nodes", cfg.Nodes)
	mistakes.Optional("Webhooks", cfg.Webhooks)
	mistakes.Optional("Objects", cfg.Objects)
	if cfg.Legacy && cfg.Policy.ForbidLegacy {
		mistakes.Add("Legacy", "is set, which Policy.ForbidLegacy contradicts")
	}
	configerror.NotNegative(&mistakes, "Leeway", cfg.Leeway)
	if cfg.NoLeeway && cfg.Leeway > 0 {
		mistakes.Add("NoLeeway", "is set, which Leeway contradicts")
	}
	configerror.NotNegative(&mistakes, "SignatureCacheBytes", cfg.SignatureCacheBytes)
	if cfg.DisableSignatureCache && cfg.SignatureCacheBytes > 0 {
		mistakes.Add("DisableSignatureCache", "is set, which SignatureCacheBytes contradicts")
	}
	configerror.NotNegative(&mistakes, "MaxSignatureChecks", cfg.MaxSignatureChecks)
	mistakes.Within("Policy", cfg.Policy.check())
	return mistakes.Err()
}

// An Authenticator authenticates tokens of ServiceAccounts. It is safe for
// concurrent use if its key source and getters are.
type Authenticator struct {
	cfg   AuthenticatorConfig
	cache *signatureCache // nil for none
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
	if cfg.SignatureCacheBytes == 0 {
		cfg.SignatureCacheBytes = DefaultSignatureCacheBytes
	}
	if cfg.MaxSignatureChecks == 0 {
		cfg.MaxSignatureChecks = maxSignatureChecks
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	a := &Authenticator{cfg: cfg}
	if !cfg.DisableSignatureCache {
		a.cache = bounded.New[digest, signatureEntry](cfg.SignatureCacheBytes)
	}
	return a, nil
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
	attempt := attempt{Authenticator: a, entered: ctx, now: a.cfg.Now(), detailed: a.cfg.Observe != nil}
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
	attempt := attempt{Authenticator: a, entered: ctx, now: a.cfg.Now(), detailed: true}
	identity, v, err := attempt.authenticate(ctx, token, audiences)
	return identity, attempt.event(v, err)
}

// An attempt is one call of Authenticate.
type attempt struct {
	*Authenticator
	now     time.Time
	entered context.Context // that of the call, or what ClusterClaim.Enter made of it

	detailed  bool // somebody reads detail
	detail    string
	keysTried int
	legacy    *LegacyUse
}

// detailf sets the detail of the Event.
func (a *attempt) detailf(format string, args ...any) {
	if a.detailed {
		a.detail = fmt.Sprintf(format, args...)
	}
}

// authenticate also returns the token if its signature is valid (TOK-30..79).
func (a *attempt) authenticate(ctx context.Context, token string, audiences []string) (*Identity, verified, error) {
	if err := ctx.Err(); err != nil {
		return nil, verified{}, &UnavailableError{"token", err}
	}
	v, err := a.verify(ctx, token)
	if err != nil {
		return nil, v, err
	}
	granted, err := a.grant(v.claims, audiences)
	if err != nil {
		return nil, v, err
	}
	if ctx, err = a.cfg.Cluster.enter(ctx, v.claims.Cluster); err != nil {
		a.detailf("the token is of the cluster %.256q: %v", v.claims.Cluster, err)
		return nil, v, err
	}
	a.entered = ctx
	identity := newIdentity(v.claims, granted, token)
	if a.cfg.Cluster.Extra != "" {
		identity.addMore(a.cfg.Cluster.Extra, []string{v.claims.Cluster})
	}
	if err := identity.addExtra(a.cfg.ExtraClaims); err != nil {
		return nil, v, err
	}
	if err := a.cfg.Policy.reject(identity); err != nil {
		return nil, v, err
	}
	if v.claims.Legacy {
		err = a.checkLegacy(ctx, v.claims, token)
	} else {
		err = a.checkBound(ctx, v.claims)
	}
	if err != nil {
		return nil, v, err
	}
	return identity, v, nil
}

// grant returns those of requested that the token was issued for, in their order
// (TOK-40..42).
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
		a.detailf("token audiences %.256q is invalid for the target audiences %.256q", few(own), few(requested))
		return nil, &InvalidError{Reason: ReasonAudience}
	}
	return granted, nil
}

// maxShownAudiences bounds what a detail says of audiences, of which a client may send
// any number.
const maxShownAudiences = 8

func few(audiences []string) []string {
	more := len(audiences) - maxShownAudiences
	if more <= 0 {
		return audiences
	}
	return append(slices.Clone(audiences[:maxShownAudiences]), fmt.Sprintf("and %d more", more))
}

// event returns the Event of an attempt that ended with err.
func (a *attempt) event(v verified, err error) Event {
	e := Event{Time: a.now, Result: ResultAccepted, Err: err, SignatureCached: v.cached, KeysTried: a.keysTried, Legacy: a.legacy, Detail: a.detail}
	switch err := err.(type) {
	case nil:
	case *NotRecognizedError:
		e.Result, e.Reason = ResultNotRecognized, err.Reason
	case *InvalidError:
		e.Result, e.Reason, e.Subject = ResultRejected, err.Reason, err.Subject
	default:
		e.Result, e.Reason = ResultUnavailable, ReasonUnavailable
		e.Panic, e.Stack = flight.PanicOf(err)
		if err, ok := errors.AsType[*UnavailableError](err); ok {
			e.Subject = err.Subject
		}
	}
	if e.Detail == "" && err != nil {
		e.Detail = err.Error()
	}
	if c := v.claims; c != nil {
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
