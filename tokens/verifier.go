package tokens

import (
	"context"
	"errors"
	"fmt"

	"github.com/kubesa/serviceaccount/internal/configerror"
)

// A Verifier authenticates tokens of ServiceAccounts. An [Authenticator], a
// [Chain], the TokenReview client of tokens/tokenreview and the cache of
// tokens/cached are Verifiers. Implementations must be safe for concurrent use.
type Verifier interface {
	// Authenticate returns the ServiceAccount that presents token, if it was
	// issued for one of audiences, or of the Verifier's own if there are none.
	// The Identity belongs to the caller.
	//
	// An error that wraps [ErrNotRecognized] means that the Verifier has no
	// opinion on the token: another one may be asked. An [*InvalidError] means
	// that the token is rejected: neither ask another one nor retry. Any other
	// error, such as an [*UnavailableError], says nothing about the token, which
	// is not accepted: retry.
	Authenticate(ctx context.Context, token string, audiences ...string) (*Identity, error)
}

// A Chain asks several Verifiers, in order, until one accepts or rejects the
// token. It is safe for concurrent use.
type Chain struct{ links []Verifier }

// NewChain returns a Chain of verifiers, or an error naming every one that is nil, each as
// a [*ConfigError]. There must be at least one.
//
// Authenticators of different issuers tell tokens apart by "iss", so each trusts
// only its own keys and a token is verified by one of them. A TokenReview client
// belongs at the end, unless it is configured with the issuers of its cluster.
func NewChain(verifiers ...Verifier) (*Chain, error) {
	mistakes := configerror.List{Config: "tokens.Chain"}
	if len(verifiers) == 0 {
		mistakes.Add("Verifiers", "is empty, want at least one")
	}
	for i, v := range verifiers {
		mistakes.Require(fmt.Sprintf("Verifiers[%d]", i), v, "a Verifier")
	}
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	return &Chain{append([]Verifier(nil), verifiers...)}, nil
}

// Authenticate implements [Verifier]. A Verifier that fails doesn't stop the
// Chain, because the token may be another one's; its error is returned if no other
// Verifier accepts or rejects the token.
func (c *Chain) Authenticate(ctx context.Context, token string, audiences ...string) (*Identity, error) {
	result := error(&NotRecognizedError{Reason: ReasonForeignIssuer})
	failed := false
	for i, v := range c.links {
		identity, err := v.Authenticate(ctx, token, audiences...)
		if err == nil && identity == nil {
			err = &UnavailableError{"token", errors.New("a Verifier returned neither an Identity nor an error")}
		}
		_, rejected := errors.AsType[*InvalidError](err)
		switch {
		case err == nil || rejected:
			return identity, err
		case !errors.Is(err, ErrNotRecognized):
			if !failed {
				failed, result = true, err
			}
		case i == 0:
			result = err
		}
	}
	return nil, result
}
