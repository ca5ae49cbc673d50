package bearer

import (
	"errors"
	"strings"
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
