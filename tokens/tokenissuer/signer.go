package tokenissuer

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/kubesa/serviceaccount/internal/flight"
	"github.com/kubesa/serviceaccount/internal/jose"
	"github.com/kubesa/serviceaccount/keys"
)

// maxCalls bounds the calls of an untrusted signer at a time, and so those
// that it may leave hanging.
const maxCalls = 64

// errTooLong is the error of a token that no authenticator would read.
var errTooLong = errors.New("a token of more than 16 KiB, which no authenticator would read")

// A signer signs with another one that isn't trusted: it may fail, hang, panic or return
// a token of other claims. It is safe for concurrent use if that is.
type signer struct {
	other keys.Signer
	keys  keys.Source   // nil if they aren't known
	guard *flight.Guard // nil if other is trusted
}

// newSigner returns a signer that uses other, whose tokens source verifies, or other if
// source is nil and other is one. A [keys.LocalSigner] is trusted.
func newSigner(other keys.Signer, source keys.Source) *signer {
	s := &signer{other: other, keys: source}
	if _, trusted := other.(*keys.LocalSigner); !trusted {
		s.guard = flight.NewGuard("the signer", maxCalls)
	}
	if source == nil {
		s.keys, _ = other.(keys.Source)
	}
	return s
}

// sign returns the signed token of payload. Neither a panic nor a call that never returns
// reaches the caller, and what an untrusted signer returns is checked.
func (s *signer) sign(ctx context.Context, payload []byte) (string, error) {
	value, err := s.call(ctx, payload)
	switch {
	case err != nil:
		return "", err
	case len(value) > jose.DefaultMaxTokenBytes:
		return "", errTooLong
	case s.guard == nil:
		return value, nil
	}
	if err := s.check(ctx, value, payload); err != nil {
		return "", fmt.Errorf("what the signer returned %w", err)
	}
	return value, nil
}

func (s *signer) call(ctx context.Context, payload []byte) (string, error) {
	if s.guard == nil {
		return s.other.Sign(ctx, payload)
	}
	payload = bytes.Clone(payload) // the signer may change it, now or later
	return flight.Do(ctx, s.guard, func(ctx context.Context) (string, error) { return s.other.Sign(ctx, payload) })
}

// check checks that value is payload, signed with one of the keys if they are known.
func (s *signer) check(ctx context.Context, value string, payload []byte) error {
	token, err := jose.Parse(value, 0)
	if err != nil {
		return fmt.Errorf("is not a token: %v", err)
	}
	if token.Payload != string(payload) {
		return errors.New("is another token")
	}
	if s.keys == nil {
		return nil
	}
	list, err := flight.Do(ctx, s.guard, func(ctx context.Context) ([]keys.PublicKey, error) { return s.keys.PublicKeys(ctx, token.KeyID) })
	if err != nil {
		return fmt.Errorf("can't be verified: %w", err)
	}
	for _, key := range list {
		if token.Verify(key.Key) == nil {
			return nil
		}
	}
	return errors.New("does not verify with the published keys")
}
