package tokens

import (
	"time"

	"github.com/kubesa/serviceaccount/internal/jose"
	"github.com/kubesa/serviceaccount/internal/strictjson"
	"k8s.io/apimachinery/pkg/types"
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
	Pod, Secret, Node ObjectRef

	IssuedAt, NotBefore, Expiry, WarnAfter time.Time // zero if absent
}

// PeekUnverified returns the claims of token without verifying anything, for what
// a client does with its own token: to see when it expires, or which cluster to send
// it to. Use a [Verifier] to authenticate others. It needs no keys and does no I/O.
//
// Claims that the token lacks are zero, so it reads JWTs of other issuers, too. An
// error that wraps [ErrNotRecognized] means that token is not a JWT of the algorithms
// that ServiceAccount tokens are signed with; an [*InvalidError], that Subject, one of
// the claims, isn't what it is in ServiceAccount tokens.
func PeekUnverified(token string) (*UnverifiedClaims, error) {
	parsed, err := jose.Parse(token, 0)
	if err != nil {
		return nil, &NotRecognizedError{ReasonMalformed, err.Error()}
	}
	issuer := ""
	for name, value := range strictjson.Members(parsed.Payload) {
		if name == claimIssuer {
			issuer, _ = strictjson.Text(value)
		}
	}
	c := newClaims(issuer == LegacyIssuer)
	for name, value := range strictjson.Members(parsed.Payload) {
		if name == claimIssuer {
			continue
		}
		if invalid := c.decode(name, value); invalid != nil {
			return nil, invalid
		}
	}
	return &UnverifiedClaims{
		Issuer:    issuer,
		Subject:   c.subject,
		ID:        c.id,
		Audiences: c.audiences,
		Legacy:    c.legacy,
		Namespace: c.namespace,
		Name:      c.account.Name,
		UID:       c.account.UID,
		Pod:       c.pod,
		Secret:    c.secret,
		Node:      c.node,
		IssuedAt:  timeOf(c.issuedAt),
		NotBefore: timeOf(c.notBefore),
		Expiry:    timeOf(c.expiry),
		WarnAfter: timeOf(c.warnAfter),
	}, nil
}
