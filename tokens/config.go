package tokens

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/keys"
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
	// [ReasonTooManyKeys]. Zero means 8, more than a cluster has while they are rotated.
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
