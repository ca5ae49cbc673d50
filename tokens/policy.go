package tokens

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/tokens/internal/objects"
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

	// Accounts, if not empty, are those that are accepted, by namespace and name
	// (Subject is "account").
	Accounts []types.NamespacedName

	// Clusters, if not empty, are those whose accounts are accepted (Subject is
	// "cluster"); see [ClusterClaim].
	Clusters []string
}

// Checker returns a func that rejects an Identity with an [*InvalidError], or an error
// naming every invalid field, each as a [*ConfigError]. An [Authenticator] checks its
// own Policy; this is for identities of other [Verifier]s. Those of a TokenReview have
// no times, so MaxLifetime rejects them all, and don't tell Secret-based tokens apart,
// but for RequirePodBound. The func is safe for concurrent use.
func (p Policy) Checker() (func(*Identity) error, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	p = p.clone()
	return p.reject, nil
}

// reject returns an InvalidError for an Identity that is against p.
func (p *Policy) reject(id *Identity) error {
	broken := ""
	switch {
	case p.ForbidLegacy && id.Legacy:
		broken = "legacy"
	case p.RequirePodBound && id.Pod.Name == "":
		broken = objects.Pod
	case p.MaxLifetime > 0 && (id.Expiry.IsZero() || id.IssuedAt.IsZero() || id.Expiry.Sub(id.IssuedAt) > p.MaxLifetime):
		broken = "lifetime"
	case len(p.Namespaces) > 0 && !slices.Contains(p.Namespaces, id.Namespace):
		broken = "namespace"
	case len(p.Accounts) > 0 && !slices.Contains(p.Accounts, types.NamespacedName{Namespace: id.Namespace, Name: id.Name}):
		broken = "account"
	case len(p.Clusters) > 0 && !slices.Contains(p.Clusters, id.Cluster):
		broken = "cluster"
	default:
		return nil
	}
	return &InvalidError{ReasonPolicy, broken}
}

// check names every invalid field.
func (p *Policy) check() error {
	mistakes := configerror.List{Config: "tokens.Policy"}
	if p.MaxLifetime < 0 || p.MaxLifetime > 0 && p.MaxLifetime < time.Second {
		mistakes.Add("MaxLifetime", "is %v, want 0 or at least 1 s", p.MaxLifetime)
	}
	if slices.Contains(p.Namespaces, "") {
		mistakes.Add("Namespaces", "has an empty one, want names of namespaces")
	}
	if slices.Contains(p.Clusters, "") {
		mistakes.Add("Clusters", "has an empty one, want names of clusters")
	}
	for i, account := range p.Accounts {
		if account.Namespace == "" || account.Name == "" {
			mistakes.Add(fmt.Sprintf("Accounts[%d]", i), "is %q, want a namespace and a name", account)
		}
	}
	return mistakes.Err()
}

// clone returns a copy that shares nothing with p.
func (p *Policy) clone() Policy {
	c := *p
	c.Namespaces, c.Accounts, c.Clusters = slices.Clone(p.Namespaces), slices.Clone(p.Accounts), slices.Clone(p.Clusters)
	return c
}
