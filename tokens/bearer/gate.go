package bearer

import (
	"context"
	"errors"
	"slices"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/internal/flight"
	"github.com/kubesa/serviceaccount/tokens"
)

// A Gate decides who gets in, whatever the protocol: it is for adapters to other
// frameworks. [New] and tokens/bearer/grpc have one. It is safe for concurrent use.
type Gate struct {
	verifier  tokens.Verifier
	audiences []string
	denied    func(*tokens.Identity) error // by the Policy
}

// NewGate returns a Gate for tokens that verifier accepts for one of audiences, or for
// its own if there are none, and of ServiceAccounts that policy accepts; or an error
// naming every argument that is invalid, each as a [*ConfigError].
func NewGate(verifier tokens.Verifier, audiences []string, policy tokens.Policy) (*Gate, error) {
	mistakes := configerror.List{Config: "bearer.Gate"}
	mistakes.Require("Verifier", verifier, "a tokens.Verifier")
	if slices.Contains(audiences, "") {
		mistakes.Add("Audiences", "has an empty one, want audiences of this service")
	}
	denied, err := policy.Checker()
	mistakes.Within("Policy", err)
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	return &Gate{verifier, slices.Clone(audiences), denied}, nil
}

// Authenticate returns the ServiceAccount whose token the values of the header
// Authorization bear, if the Policy and authorize, which may be nil, allow the request.
// [FailureOf] says how to answer an error, which is one of [Token] or of the Verifier, a
// [*ForbiddenError] or a panic, caught. If the request is denied, the ServiceAccount is
// returned beside the error.
func (g *Gate) Authenticate(ctx context.Context, authorization []string, authorize func(*tokens.Identity) error) (*tokens.Identity, error) {
	return flight.Catch("the authentication", func() (*tokens.Identity, error) {
		token, err := Token(authorization)
		if err != nil {
			return nil, err
		}
		id, err := g.verifier.Authenticate(ctx, token, g.audiences...)
		if err == nil && id == nil {
			err = errors.New("bearer: the Verifier returned neither an Identity nor an error")
		}
		if err != nil {
			return nil, err
		}
		err = g.denied(id)
		if err == nil && authorize != nil {
			err = authorize(id)
		}
		if _, unavailable := errors.AsType[*tokens.UnavailableError](err); err == nil || unavailable {
			return id, err
		}
		return id, &ForbiddenError{err}
	})
}
