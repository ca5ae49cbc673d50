package tokensource

import (
	"errors"

	"github.com/kubesa/serviceaccount/tokens"
	authenticationv1 "k8s.io/api/authentication/v1"
)

// TokenOf returns the token in the status of a TokenRequest that was answered,
// for [Config.Mint]. Its ID is empty. The error says that there is none;
// it never holds a token.
func TokenOf(tr *authenticationv1.TokenRequest) (*tokens.Token, error) {
	switch {
	case tr == nil:
		return nil, errors.New("tokensource: no TokenRequest")
	case tr.Status.Token == "":
		return nil, errors.New("tokensource: TokenRequest.status has no token")
	case tr.Status.ExpirationTimestamp.IsZero():
		return nil, errors.New("tokensource: TokenRequest.status has no expirationTimestamp")
	}
	return &tokens.Token{Value: tr.Status.Token, Expiry: tr.Status.ExpirationTimestamp.Time}, nil
}
