package tokens

import (
	"slices"
	"time"

	"github.com/kubesa/serviceaccount/tokens/internal/objects"
	"github.com/kubesa/serviceaccount/tokens/internal/payload"
)

// A Policy rejects tokens that Kubernetes would accept, with [ReasonPolicy]. The
// zero value rejects none. Only the token counts, before anything is looked up.
type Policy struct {
	// RequirePodBound rejects tokens that are not bound to a Pod (Subject is
	// "Pod").
	RequirePodBound bool

	// MaxLifetime, if positive, rejects tokens that live longer, from "iat" to
	// "exp", or have no "iat" (Subject is "lifetime"). The tokens that kubelets
	// mount live a year unless DisableExtension of tokens/tokenrequest, or the
	// flag --service-account-extend-token-expiration=false of kube-apiserver,
	// says otherwise.
	MaxLifetime time.Duration

	// ForbidLegacy rejects the tokens of Secrets (Subject is "legacy"). Without
	// [AuthenticatorConfig.Legacy] they are not accepted anyway, but another
	// authenticator may be asked about them.
	ForbidLegacy bool

	// Namespaces, if not empty, are those whose accounts are accepted (Subject is
	// "namespace").
	Namespaces []string
}

// check checks c, whose signature and audiences are valid.
func (p *Policy) check(c *payload.Claims) error {
	broken := ""
	switch {
	case p.ForbidLegacy && c.Legacy:
		broken = "legacy"
	case p.RequirePodBound && c.Pod.Name == "":
		broken = objects.Pod
	case p.MaxLifetime > 0 && !p.livesWithin(c):
		broken = "lifetime"
	case len(p.Namespaces) > 0 && !slices.Contains(p.Namespaces, c.Namespace):
		broken = "namespace"
	default:
		return nil
	}
	return &InvalidError{ReasonPolicy, broken}
}

// livesWithin reports whether c ends MaxLifetime after its beginning at the
// latest. Both times are below 2^38, and what is left of the seconds counts.
func (p *Policy) livesWithin(c *payload.Claims) bool {
	return c.Expiry != payload.NoTime && c.IssuedAt != payload.NoTime && c.Expiry-c.IssuedAt <= int64(p.MaxLifetime/time.Second)
}
