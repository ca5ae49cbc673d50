// Package payload is the codec of the claims of ServiceAccount tokens: it decodes
// them strictly, checks that they fit together, and encodes them as Kubernetes
// does. It knows neither signatures nor objects.
package payload

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/internal/names"
	"github.com/kubesa/serviceaccount/tokens/internal/objects"
)

// The names of claims (RFC 7519 and TOK-10, TOK-15).
const (
	ClaimIssuer    = "iss"
	ClaimSubject   = "sub"
	ClaimAudience  = "aud"
	ClaimExpiry    = "exp"
	ClaimNotBefore = "nbf"
	ClaimIssuedAt  = "iat"
	ClaimID        = "jti"

	ClaimPrivate     = "kubernetes.io"
	ClaimNamespace   = "namespace"
	ClaimAccount     = "serviceaccount"
	ClaimPod         = "pod"
	ClaimSecret      = "secret"
	ClaimNode        = "node"
	ClaimValidating  = "validatingwebhookconfiguration"
	ClaimMutating    = "mutatingwebhookconfiguration"
	ClaimAttestation = "attestations"
	ClaimWarnAfter   = "warnafter"
	ClaimObject      = "object" // of this library

	legacyPrefix      = "kubernetes.io/serviceaccount/"
	LegacyNamespace   = legacyPrefix + "namespace"
	LegacySecretName  = legacyPrefix + "secret.name"
	LegacyAccountName = legacyPrefix + "service-account.name"
	LegacyAccountUID  = legacyPrefix + "service-account.uid"
)

// Limits of claims.
const (
	MaxAudiences = 64
	MaxTime      = 253402300799 // the last second of the year 9999
	NoTime       = -1           // a time that isn't there
)

// Time returns a time of claims, zero if it is absent.
func Time(seconds int64) time.Time {
	if seconds <= 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0)
}

// A Ref names an object that a token is about or bound to. The zero value means
// that there is none.
type Ref struct {
	Name string
	UID  types.UID
}

// An Object names an object of a further kind. The zero value means that there is
// none.
type Object struct {
	APIVersion, Kind string
	Name             string
	UID              types.UID
}

// Complete reports whether all of o is set.
func (o Object) Complete() bool {
	return o.APIVersion != "" && o.Kind != "" && o.Name != "" && o.UID != ""
}

// GroupVersionKind returns the kind of o.
func (o Object) GroupVersionKind() schema.GroupVersionKind {
	return schema.FromAPIVersionAndKind(o.APIVersion, o.Kind)
}

// Claims are those of a token of either kind. They follow from the payload alone.
// Once they are decoded and checked, nothing changes them.
type Claims struct {
	Legacy  bool // of a Secret-based token
	private bool // it has the claim "kubernetes.io"

	cluster string // the name of the claim that has Cluster, empty for none

	Issuer, Subject             string
	ID, CredentialID            string // CredentialID is "JTI=" and the ID
	Audiences                   []string
	Expiry, NotBefore, IssuedAt int64 // NoTime if absent
	Namespace                   string
	Cluster                     string // the claim of New
	Account                     Ref
	Pod, Secret, Node           Ref // legacy: only the name of the Secret
	Validating, Mutating        Ref // webhook configurations
	Object                      Object
	Attestations                map[string][]string
	WarnAfter                   int64 // 0 if absent
}

// New returns Claims without any. They are to have the cluster in the private claim of
// that name, unless it is empty.
func New(legacy bool, cluster string) *Claims {
	return &Claims{Legacy: legacy, cluster: cluster, Expiry: NoTime, NotBefore: NoTime, IssuedAt: NoTime}
}

// SetID sets the id and the credential id, which is empty if the id is.
func (c *Claims) SetID(id string) {
	c.ID, c.CredentialID = "", ""
	if id != "" {
		c.CredentialID = "JTI=" + id
		c.ID = c.CredentialID[len("JTI="):]
	}
}

// A Fault says which claim is wrong. It holds nothing of the token.
type Fault struct {
	Claim   string
	Missing bool // or else invalid
}

func (f *Fault) Error() string {
	if f.Missing {
		return fmt.Sprintf("claim %q is missing", f.Claim)
	}
	return fmt.Sprintf("claim %q is invalid", f.Claim)
}

func missing(claim string) *Fault { return &Fault{Claim: claim, Missing: true} }
func invalid(claim string) *Fault { return &Fault{Claim: claim} }

// Check checks the claims together, once all of them are decoded.
func (c *Claims) Check() *Fault {
	if fault := c.checkKind(); fault != nil {
		return fault
	}
	if c.cluster != "" && c.Cluster == "" {
		return missing(c.cluster)
	}
	return nil
}

func (c *Claims) checkKind() *Fault {
	if c.Legacy {
		return c.checkLegacy()
	}
	return c.checkBound()
}

// checkBound checks the claims of a bound token (TOK-15, TOK-66, TOK-67).
func (c *Claims) checkBound() *Fault {
	switch {
	case !c.private:
		return missing(ClaimPrivate)
	case len(c.Audiences) == 0:
		return missing(ClaimAudience)
	case c.Expiry == NoTime:
		return missing(ClaimExpiry)
	case c.Subject == "":
		return missing(ClaimSubject)
	case c.Namespace == "":
		return missing(ClaimNamespace)
	case c.Account.UID == "":
		return missing(ClaimAccount)
	case !objects.ValidAccount(c.Namespace, c.Account.Name):
		return invalid(ClaimAccount)
	case !matchesUsername(c.Namespace, c.Account.Name, c.Subject):
		return invalid(ClaimSubject)
	}
	if fault := c.CheckNames(); fault != nil {
		return fault
	}
	return c.CheckBinding()
}

// checkLegacy checks the claims of a Secret-based token.
func (c *Claims) checkLegacy() *Fault {
	switch {
	case c.Subject == "":
		return missing(ClaimSubject)
	case c.Namespace == "":
		return missing("namespace")
	case c.Secret.Name == "":
		return missing("secretName")
	case c.Account.Name == "":
		return missing("serviceAccountName")
	case c.Account.UID == "":
		return missing("serviceAccountUID")
	case !objects.ValidAccount(c.Namespace, c.Account.Name), !matchesUsername(c.Namespace, c.Account.Name, c.Subject):
		return invalid(ClaimSubject)
	case !names.Valid(c.Secret.Name):
		return invalid("secretName")
	}
	return nil
}

// CheckNames checks that there can be objects of the names that c is bound to:
// keys may be shared with an issuer that puts anything there.
func (c *Claims) CheckNames() *Fault {
	for _, bound := range [...]struct {
		name, claim string
	}{
		{c.Pod.Name, ClaimPod}, {c.Secret.Name, ClaimSecret}, {c.Node.Name, ClaimNode},
		{c.Validating.Name, ClaimValidating}, {c.Mutating.Name, ClaimMutating},
	} {
		if bound.name != "" && !names.Valid(bound.name) {
			return invalid(bound.claim)
		}
	}
	if o := c.Object; o != (Object{}) && !(objects.ValidSegment(o.Name) && objects.ValidKind(o.GroupVersionKind())) {
		return invalid(ClaimObject)
	}
	return nil
}

// CheckBinding checks that c is bound to at most one object, where a node beside a
// pod is only information (TOK-16, TOK-17).
func (c *Claims) CheckBinding() *Fault {
	bindings := 0
	for _, ref := range [...]Ref{c.Pod, c.Secret, c.Validating, c.Mutating} {
		if ref.Name != "" {
			bindings++
		}
	}
	if c.Node.Name != "" && c.Pod.Name == "" {
		bindings++
	}
	if c.Object.Name != "" {
		bindings++
	}
	if bindings > 1 {
		return invalid(ClaimPrivate)
	}
	return nil
}

// usernamePrefix begins the "sub" of every token (CST-16).
const usernamePrefix = "system:serviceaccount:"

// matchesUsername reports whether username is that of the account, without
// allocating and without checking that namespace and name are valid.
func matchesUsername(namespace, name, username string) bool {
	n := len(usernamePrefix)
	return len(username) == n+len(namespace)+1+len(name) &&
		username[:n] == usernamePrefix &&
		username[n:n+len(namespace)] == namespace &&
		username[n+len(namespace)] == ':' &&
		username[n+len(namespace)+1:] == name
}
