package bearer

import (
	"context"
	"errors"
	"strings"

	"github.com/kubesa/serviceaccount/internal/flight"
	"github.com/kubesa/serviceaccount/tokens"
)

var (
	// ErrNoToken means that a request has no bearer token: it has no header
	// Authorization, or one of another scheme.
	ErrNoToken = errors.New("bearer: the request has no bearer token")

	// ErrHeader means that the header Authorization is repeated or has no token,
	// or more than one.
	ErrHeader = errors.New("bearer: the header Authorization is malformed, want one with one bearer token")
)

// Token returns the token of a request that has the values of the header
// Authorization, or of the gRPC metadata of that name. The error is [ErrNoToken]
// or [ErrHeader].
func Token(authorization []string) (string, error) {
	if len(authorization) == 0 {
		return "", ErrNoToken
	}
	if len(authorization) > 1 {
		return "", ErrHeader
	}
	scheme, token, _ := strings.Cut(strings.Trim(authorization[0], " \t"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", ErrNoToken
	}
	token = strings.Trim(token, " \t")
	if token == "" || strings.ContainsAny(token, " \t,") {
		return "", ErrHeader
	}
	return token, nil
}

// Authenticate returns the ServiceAccount whose token the values of the header
// Authorization bear, if authorize, which may be nil, allows the request. It is for
// adapters to other frameworks; [New] calls it itself. [FailureOf] says how to answer an
// error, which is one of [Token] or of verifier, a [*ForbiddenError] or a panic, caught.
// If authorize denies the request, the ServiceAccount is returned beside the error.
func Authenticate(ctx context.Context, verifier tokens.Verifier, authorization, audiences []string, authorize func(*tokens.Identity) error) (*tokens.Identity, error) {
	return flight.Catch("the authentication", func() (*tokens.Identity, error) {
		token, err := Token(authorization)
		if err != nil {
			return nil, err
		}
		id, err := verifier.Authenticate(ctx, token, audiences...)
		if err == nil && id == nil {
			err = errors.New("bearer: the Verifier returned neither an Identity nor an error")
		}
		if err != nil {
			return nil, err
		}
		if authorize == nil {
			return id, nil
		}
		if err := authorize(id); err != nil {
			if _, ok := errors.AsType[*tokens.UnavailableError](err); ok {
				return id, err
			}
			return id, &ForbiddenError{err}
		}
		return id, nil
	})
}
