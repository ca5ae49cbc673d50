package signature

import (
	"fmt"

	"github.com/kubesa/serviceaccount/internal/jose"
	"github.com/kubesa/serviceaccount/tokens/internal/payload"
)

// A Problem is why a token isn't verified.
type Problem int

// The problems.
const (
	Keys          Problem = iota // the key source fails with Err
	Malformed                    // Err says why it is no compact JWS of the accepted form
	ForeignIssuer                // of none of the issuers
	UnknownKey                   // no key has the id that the token names
	BadSignature                 // no key made the signature
	TooManyKeys                  // nor one of MaxChecks, and there are more
	Claim                        // Fault says which is wrong, and how
)

// An Error says why a token isn't verified.
type Error struct {
	Problem Problem
	Err     error
	Fault   *payload.Fault

	// What Error tells an operator.
	issuer    string
	issuers   []string
	token     *jose.Token
	tried, of int
}

// Error holds names and ids of the token, which must not be returned to the client.
func (e *Error) Error() string {
	switch e.Problem {
	case ForeignIssuer:
		return fmt.Sprintf("issuer %.256q, want one of %q", e.issuer, e.issuers)
	case UnknownKey:
		return fmt.Sprintf("no key with the id %.64q", e.token.KeyID)
	case BadSignature, TooManyKeys:
		return fmt.Sprintf("algorithm %.16q, key id %.64q, %d of %d keys tried, the last one: %v", e.token.Algorithm, e.token.KeyID, e.tried, e.of, e.Err)
	case Claim:
		return e.Fault.Error()
	}
	return e.Err.Error()
}
