package tokens

import (
	"slices"
	"time"

	"github.com/kubesa/serviceaccount/tokens/internal/objects"
)

// A Policy refuses tokens that Kubernetes would accept, with [ReasonPolicy]. The
// zero value refuses none. It is judged by the token alone, before anything is
// looked up.
type Policy struct {
	// RequirePodBound refuses tokens that are not bound to a Pod (What is
	// "Pod").
	RequirePodBound bool

	// MaxLifetime, if positive, refuses tokens that live longer, from "iat" to
	// "exp", or have no "iat" (What is "lifetime"). The tokens that kubelets
	// mount live a year unless [tokenrequest.Config.DisableExtension], or the
	// flag --service-account-extend-token-expiration=false of kube-apiserver,
	// says otherwise.
	MaxLifetime time.Duration

	// ForbidLegacy refuses the tokens of Secrets (What is "legacy"). Without
	// [AuthenticatorConfig.Legacy] they are not accepted anyway, but another
	// authenticator may be asked about them.
	ForbidLegacy bool

	// Namespaces, if not empty, are those whose accounts are accepted (What is
	// "namespace").
	Namespaces []string
}

// check judges c, whose signature and audiences are good.
func (p *Policy) check(c *claims) error {
	refused := ""
	switch {
	case p.ForbidLegacy && c.legacy:
		refused = "legacy"
	case p.RequirePodBound && c.pod.Name == "":
		refused = objects.Pod
	case p.MaxLifetime > 0 && !p.livesWithin(c):
		refused = "lifetime"
	case len(p.Namespaces) > 0 && !slices.Contains(p.Namespaces, c.namespace):
		refused = "namespace"
	default:
		return nil
	}
	return &InvalidError{ReasonPolicy, refused}
}

// livesWithin reports whether c ends MaxLifetime after its beginning at the
// latest. Both times are below 2^38, and what is left of the seconds counts.
func (p *Policy) livesWithin(c *claims) bool {
	return c.expiry != noTime && c.issuedAt != noTime && c.expiry-c.issuedAt <= int64(p.MaxLifetime/time.Second)
}
