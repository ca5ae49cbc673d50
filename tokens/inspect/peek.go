package inspect

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/internal/jose"
	"github.com/kubesa/serviceaccount/internal/strictjson"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/internal/payload"
)

// UnverifiedClaims are what a token says of itself. Anybody can write such a
// token: decide nothing from it that matters.
type UnverifiedClaims struct {
	Issuer, Subject, ID string
	Audiences           []string
	Legacy              bool // a Secret-based token, by its issuer

	// Namespace, Name and UID are those of the ServiceAccount.
	Namespace, Name string
	UID             types.UID

	// The objects that the token is bound to, and the Node of the Pod.
	Pod, Secret, Node tokens.ObjectRef

	IssuedAt, NotBefore, Expiry, WarnAfter time.Time // zero if absent

	// Others are the members of the claim "kubernetes.io" that Kubernetes doesn't have, if
	// they are strings, such as the cluster that a [tokens.ClusterClaim] names; in a
	// Secret-based token, the claims "kubernetes.io/serviceaccount/" and the name. Nil
	// if there are none.
	Others map[string]string
}

// PeekUnverified returns the claims of token without verifying anything, for clients
// that want to know when their own token expires, and for proxies that choose the
// server of a request, which then authenticates it. Use a [tokens.Verifier] to
// authenticate others. It needs no keys and does no I/O.
//
// Claims that the token lacks are zero, so it reads JWTs of other issuers, too. An
// error that wraps [tokens.ErrNotRecognized] means that token is not a JWT of the algorithms
// that ServiceAccount tokens are signed with; an [*tokens.InvalidError], that Subject, one of
// the claims, isn't what it is in ServiceAccount tokens.
func PeekUnverified(token string) (*UnverifiedClaims, error) {
	parsed, err := jose.Parse(token, 0)
	if err != nil {
		return nil, &tokens.NotRecognizedError{Reason: tokens.ReasonMalformed, Detail: err.Error()}
	}
	issuer := payload.IssuerOf(parsed.Payload)
	var others map[string]string
	c := payload.New(issuer == tokens.LegacyIssuer, "")
	for name, value := range strictjson.Members(parsed.Payload) {
		if fault := c.Decode(name, value); fault != nil {
			return nil, &tokens.InvalidError{Reason: tokens.ReasonInvalidClaim, Subject: fault.Claim}
		}
		for other, text := range payload.Others(c.Legacy, name, value) {
			if others == nil {
				others = map[string]string{}
			}
			others[other] = text
		}
	}
	return &UnverifiedClaims{
		Issuer:    issuer,
		Subject:   c.Subject,
		ID:        c.ID,
		Audiences: c.Audiences,
		Legacy:    c.Legacy,
		Namespace: c.Namespace,
		Name:      c.Account.Name,
		UID:       c.Account.UID,
		Pod:       tokens.ObjectRef(c.Pod),
		Secret:    tokens.ObjectRef(c.Secret),
		Node:      tokens.ObjectRef(c.Node),
		IssuedAt:  payload.Time(c.IssuedAt),
		NotBefore: payload.Time(c.NotBefore),
		Expiry:    payload.Time(c.Expiry),
		WarnAfter: payload.Time(c.WarnAfter),
		Others:    others,
	}, nil
}
