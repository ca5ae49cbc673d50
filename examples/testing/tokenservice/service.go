// Package tokenservice is an HTTP service whose callers are service accounts, and
// an example of how to test one: its test has real tokens of a fake.Authority, lets
// them expire, revokes what they depend on, and rotates the keys.
package tokenservice

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/kubesa/serviceaccount/tokens"
)

// Audience is the audience of tokens for this service.
const Audience = "https://ledger.example"

// An Authenticator authenticates tokens; [tokens.Authenticator] implements it.
type Authenticator interface {
	Authenticate(ctx context.Context, token string, audiences ...string) (*tokens.Identity, error)
}

// New returns the service. It serves /whoami, which returns the caller's username.
func New(authenticator Authenticator) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /whoami", func(w http.ResponseWriter, r *http.Request) {
		identity, err := authenticate(authenticator, r)
		if err != nil {
			refuse(w, err)
			return
		}
		fmt.Fprintf(w, "%s/%s\n", identity.Namespace, identity.Name)
	})
	return mux
}

var errNoToken = errors.New("send a bearer token")

func authenticate(authenticator Authenticator, r *http.Request) (*tokens.Identity, error) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return nil, errNoToken
	}
	return authenticator.Authenticate(r.Context(), token, Audience)
}

// refuse tells an invalid token from a failed lookup: only after the latter should the
// caller retry.
func refuse(w http.ResponseWriter, err error) {
	var invalid *tokens.InvalidError
	switch {
	case errors.As(err, &invalid):
		http.Error(w, invalid.Error(), http.StatusUnauthorized) // its text is safe to show
	case errors.Is(err, tokens.ErrNotRecognized), errors.Is(err, errNoToken):
		http.Error(w, errNoToken.Error(), http.StatusUnauthorized)
	default:
		http.Error(w, "try again later", http.StatusServiceUnavailable)
	}
}
