// Package signing signs payloads with a signer that isn't trusted: it may fail, hang, panic
// or return another token.
package signing

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

// ErrTooLong is the error of a token that no authenticator would read.
var ErrTooLong = errors.New("a token of more than 16 KiB, which no authenticator would read")

// A Signer signs with another one. It is safe for concurrent use if that is.
type Signer struct {
	signer keys.Signer
	keys   keys.Source   // nil if they aren't known
	guard  *flight.Guard // nil if signer is trusted
}

// New returns a Signer for signer, whose tokens source verifies, unless it is nil and
// signer isn't a source itself. A [keys.LocalSigner] is trusted.
func New(signer keys.Signer, source keys.Source) *Signer {
	s := &Signer{signer: signer, keys: source}
	if _, trusted := signer.(*keys.LocalSigner); !trusted {
		s.guard = flight.NewGuard("the signer", maxCalls)
	}
	if source, ok := signer.(keys.Source); ok && s.keys == nil {
		s.keys = source
	}
	return s
}

// Sign returns the signed token of payload. Neither a panic nor a call that never returns
// reaches the caller, and what an untrusted signer returns is checked.
func (s *Signer) Sign(ctx context.Context, payload []byte) (string, error) {
	value, err := s.call(ctx, payload)
	switch {
	case err != nil:
		return "", err
	case len(value) > jose.DefaultMaxTokenBytes:
		return "", ErrTooLong
	case s.guard == nil:
		return value, nil
	}
	if err := s.check(ctx, value, payload); err != nil {
		return "", fmt.Errorf("what the signer returned %w", err)
	}
	return value, nil
}

func (s *Signer) call(ctx context.Context, payload []byte) (string, error) {
	if s.guard == nil {
		return s.signer.Sign(ctx, payload)
	}
	payload = bytes.Clone(payload) // the signer may change it, now or later
	return flight.Do(ctx, s.guard, func(ctx context.Context) (string, error) { return s.signer.Sign(ctx, payload) })
}

// check checks that value is payload, signed with one of the keys if they are known.
func (s *Signer) check(ctx context.Context, value string, payload []byte) error {
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
	list, err := s.keys.PublicKeys(ctx, token.KeyID)
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
