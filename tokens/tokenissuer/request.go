package tokenissuer

import (
	"cmp"
	"slices"
	"time"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/internal/objects"
	"github.com/kubesa/serviceaccount/tokens/internal/payload"
	"github.com/kubesa/serviceaccount/tokens/userinfo"
)

// A Request asks for a bound token. The token is valid until it expires, as
// long as the ServiceAccount and the object that it is bound to exist with the UIDs
// given here. Issue changes none of these objects.
type Request struct {
	// ServiceAccount is required, with namespace, name and UID.
	ServiceAccount *corev1.ServiceAccount

	// Audiences are the intended recipients of the token; at least one. Duplicates
	// are removed.
	Audiences []string

	// Lifetime is truncated to whole seconds. Zero means [DefaultLifetime].
	Lifetime time.Duration

	// IgnoreMaxLifetime ignores [Config.MaxLifetime]. It is for callers that
	// limit lifetimes themselves.
	IgnoreMaxLifetime bool

	// WarnAfter, if positive, is the age from which verifiers report the token as
	// stale: the client should have renewed it by then. It is truncated to whole
	// seconds.
	WarnAfter time.Duration

	// The object that the token is bound to: at most one of those below, or a Pod
	// and the Node that it runs on, which is then informational only. A Pod must be
	// in the account's namespace and run as the account; a Secret must be in the
	// account's namespace.
	Pod    *corev1.Pod
	Secret *corev1.Secret
	Node   *corev1.Node
	// ValidatingWebhook and MutatingWebhook are webhook configurations, of any
	// type with metadata.
	ValidatingWebhook, MutatingWebhook metav1.Object
	// Object is an object of any other kind, with all fields set; see [tokens.BoundObject].
	Object tokens.BoundObject

	// Attestations state what the bearer may attest to. They require a webhook
	// configuration. See [tokens.AttestedAPIGroups].
	Attestations map[string][]string
}

// checkAccount checks the fields of the account that every token contains.
func checkAccount(account *corev1.ServiceAccount, field string) error {
	switch {
	case account == nil:
		return &RequestError{field, "is nil, want a ServiceAccount"}
	case !objects.ValidAccount(account.Namespace, account.Name):
		return &RequestError{field, "has no valid namespace and name"}
	case account.UID == "":
		return &RequestError{field, "has no UID"}
	}
	return nil
}

// claims returns the claims of the token except for issuer and ID. It lives no longer than
// maximum, if that is not zero.
func (req *Request) claims(now time.Time, maximum time.Duration) (*payload.Claims, error) {
	account := req.ServiceAccount
	if err := checkAccount(account, "Request.ServiceAccount"); err != nil {
		return nil, err
	}
	audiences, err := req.audiences()
	if err != nil {
		return nil, err
	}
	lifetime := req.lifetime()
	if lifetime < time.Second || lifetime > MaxLifetime {
		return nil, &RequestError{"Request.Lifetime", "is not within 1 s and 2^32 s"}
	}
	if maximum != 0 {
		lifetime = min(lifetime, maximum)
	}
	seconds := now.Unix()
	c := &payload.Claims{
		Subject:   userinfo.Username(account.Namespace, account.Name),
		Audiences: audiences,
		IssuedAt:  seconds,
		NotBefore: seconds,
		Expiry:    seconds + int64(lifetime/time.Second),
		Namespace: account.Namespace,
		Account:   payload.Ref{Name: account.Name, UID: account.UID},
	}
	if seconds <= 0 || c.Expiry > payload.MaxTime {
		return nil, &RequestError{"Config.Now", "returned a time that no token can have"}
	}
	switch {
	case req.WarnAfter < 0 || req.WarnAfter > MaxLifetime:
		return nil, &RequestError{"Request.WarnAfter", "is not within 0 s and 2^32 s"}
	case req.WarnAfter >= time.Second:
		c.WarnAfter = seconds + int64(req.WarnAfter/time.Second)
	}
	return c, req.bind(c)
}

func (req *Request) audiences() ([]string, error) {
	if len(req.Audiences) == 0 {
		return nil, &RequestError{"Request.Audiences", "is empty, want at least one"}
	}
	unique := make([]string, 0, len(req.Audiences))
	for _, audience := range req.Audiences {
		if !utf8.ValidString(audience) {
			return nil, &RequestError{"Request.Audiences", "has one that is not valid UTF-8"}
		}
		if slices.Contains(unique, audience) {
			continue
		}
		if len(unique) == payload.MaxAudiences {
			return nil, &RequestError{"Request.Audiences", "has more than 64"}
		}
		unique = append(unique, audience)
	}
	return unique, nil
}

// lifetime returns what is asked for.
func (req *Request) lifetime() time.Duration { return cmp.Or(req.Lifetime, DefaultLifetime) }

// bind adds to c the objects that the token is bound to.
func (req *Request) bind(c *payload.Claims) error {
	if pod := req.Pod; pod != nil {
		switch {
		case pod.Namespace != c.Namespace:
			return &RequestError{"Request.Pod", "is not in the namespace of the ServiceAccount"}
		case pod.Spec.ServiceAccountName != "" && pod.Spec.ServiceAccountName != c.Account.Name:
			return &RequestError{"Request.Pod", "runs as another ServiceAccount"}
		}
		c.Pod = payload.Ref{Name: pod.Name, UID: pod.UID}
	}
	if secret := req.Secret; secret != nil {
		if secret.Namespace != c.Namespace {
			return &RequestError{"Request.Secret", "is not in the namespace of the ServiceAccount"}
		}
		if req.Pod != nil || req.Node != nil {
			return &RequestError{"Request.Secret", "internal error, token can only be bound to one object type"}
		}
		c.Secret = payload.Ref{Name: secret.Name, UID: secret.UID}
	}
	if req.Node != nil {
		c.Node = payload.Ref{Name: req.Node.Name, UID: req.Node.UID}
	}
	for _, webhook := range []struct {
		object metav1.Object
		ref    *payload.Ref
		field  string
	}{
		{req.ValidatingWebhook, &c.Validating, "Request.ValidatingWebhook"}, {req.MutatingWebhook, &c.Mutating, "Request.MutatingWebhook"},
	} {
		switch {
		case webhook.object == nil:
		case objects.IsNil(webhook.object):
			return &RequestError{webhook.field, "is a nil pointer, want none or a configuration"}
		default:
			*webhook.ref = refOf(webhook.object)
		}
	}
	c.Object = payload.Object(req.Object)
	if err := req.checkRefs(c); err != nil {
		return err
	}
	c.Attestations = req.Attestations
	return nil
}

// checkRefs checks that the bound objects have names and UIDs, and that there is
// at most one (TOK-16).
func (req *Request) checkRefs(c *payload.Claims) error {
	webhook := req.ValidatingWebhook != nil || req.MutatingWebhook != nil
	switch {
	case req.Pod != nil && (c.Pod.Name == "" || c.Pod.UID == ""):
		return &RequestError{"Request.Pod", "has no name or no UID"}
	case req.Secret != nil && (c.Secret.Name == "" || c.Secret.UID == ""):
		return &RequestError{"Request.Secret", "has no name or no UID"}
	case req.Node != nil && (c.Node.Name == "" || c.Node.UID == "" && req.Pod == nil):
		return &RequestError{"Request.Node", "has no name or no UID"}
	case req.ValidatingWebhook != nil && (c.Validating.Name == "" || c.Validating.UID == ""):
		return &RequestError{"Request.ValidatingWebhook", "has no name or no UID"}
	case req.MutatingWebhook != nil && (c.Mutating.Name == "" || c.Mutating.UID == ""):
		return &RequestError{"Request.MutatingWebhook", "has no name or no UID"}
	case req.Object != (tokens.BoundObject{}) && !c.Object.Complete():
		return &RequestError{"Request.Object", "has no kind, no name or no UID"}
	case objects.IsBuiltIn(req.Object.GroupVersionKind()):
		return &RequestError{"Request.Object", "is of a kind that has a field of its own"}
	case c.CheckNames() != nil:
		return &RequestError{"Request", "is bound to an object whose name or kind is invalid: " + c.CheckNames().Claim}
	case c.CheckBinding() != nil:
		return &RequestError{"Request", "token can only be bound to one object type"}
	case !webhook && req.Attestations != nil:
		return &RequestError{"Request.Attestations", "are only for tokens that are bound to a webhook configuration"}
	case webhook && len(req.Attestations[tokens.AttestedAPIGroups]) == 0:
		return &RequestError{"Request.Attestations", "has no " + tokens.AttestedAPIGroups}
	}
	return nil
}

func refOf(object metav1.Object) payload.Ref {
	return payload.Ref{Name: object.GetName(), UID: object.GetUID()}
}

// A RequestError means that a token can't be issued as asked. Only another
// request helps.
type RequestError struct {
	Field   string // such as "Request.Audiences"
	Problem string // for people
}

func (e *RequestError) Error() string { return "tokenissuer: " + e.Field + ": " + e.Problem }
