package keys

import (
	"context"
	"errors"
	"fmt"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/internal/flight"
	"github.com/kubesa/serviceaccount/internal/jose"
	"github.com/kubesa/serviceaccount/keys/internal/wrap"
)

// ErrMismatch means that a source doesn't verify what a signer signs.
var ErrMismatch = errors.New("keys: the source does not verify what the signer signs")

// SelfTest checks that source verifies what signer signs: signer signs an empty
// object, which no authenticator accepts as a token, and a key of source must verify
// it. Call it when an issuer starts: mismatched key files then fail the start instead
// of every client.
//
// A pair that doesn't match gives an error that wraps [ErrMismatch]; any other
// error came from signer or source, is a panic of theirs, or is that of ctx: neither
// can hold it up. Either of them nil is a [*ConfigError].
func SelfTest(ctx context.Context, signer Signer, source Source) error {
	mistakes := configerror.List{Config: "keys.SelfTest"}
	mistakes.Require("signer", signer, "a Signer")
	mistakes.Require("source", source, "a Source")
	if err := mistakes.Err(); err != nil {
		return err
	}
	raw, err := flight.Do(ctx, flight.NewGuard("the signer", 1), func(ctx context.Context) (string, error) {
		return signer.Sign(ctx, []byte("{}"))
	})
	if err != nil {
		return wrap.Errorf(err, "keys: self-test: signing")
	}
	token, err := jose.Parse(raw, 0)
	if err != nil {
		return fmt.Errorf("%w: it returned no compact JWS of the accepted form", ErrMismatch)
	}
	list, err := flight.Do(ctx, flight.NewGuard("the source", 1), func(ctx context.Context) ([]PublicKey, error) {
		return source.PublicKeys(ctx, token.KeyID)
	})
	if err != nil {
		return wrap.Errorf(err, "keys: self-test: looking for the key")
	}
	for _, key := range list {
		if token.Verify(key.Key) == nil {
			return nil
		}
	}
	return fmt.Errorf("%w: of %d keys called %q none verifies", ErrMismatch, len(list), token.KeyID)
}
