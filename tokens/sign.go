package tokens

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/kubesa/serviceaccount/internal/flight"
	"github.com/kubesa/serviceaccount/internal/jose"
	"github.com/kubesa/serviceaccount/keys"
)

// maxSignCalls bounds the calls of an untrusted signer at a time, and so those
// that it may leave hanging.
const maxSignCalls = 64

// A guardedSigner is an untrusted signer. Neither a panic nor a call that never
// returns reaches the caller.
type guardedSigner struct {
	signer keys.Signer
	guard  *flight.Guard
}

// Sign implements [keys.Signer].
func (g guardedSigner) Sign(ctx context.Context, payload []byte) (string, error) {
	payload = bytes.Clone(payload) // the signer may change it, now or later
	return flight.Do(ctx, g.guard, func(ctx context.Context) (string, error) { return g.signer.Sign(ctx, payload) })
}

// sign returns the signed token of payload. What an untrusted signer returns is
// checked.
func (i *Issuer) sign(ctx context.Context, payload []byte) (string, error) {
	value, err := i.signer.Sign(ctx, payload)
	if err != nil {
		return "", fmt.Errorf("tokens: signing: %w", err)
	}
	if len(value) > jose.DefaultMaxTokenBytes {
		return "", &RequestError{"IssueRequest", "makes a token of more than 16 KiB, which no authenticator would read"}
	}
	if !i.trusted {
		if err := i.checkSigned(ctx, value, payload); err != nil {
			return "", fmt.Errorf("tokens: signing: what the signer returned %w", err)
		}
	}
	return value, nil
}

// checkSigned checks that value is payload, signed with one of the keys if
// they are known.
func (i *Issuer) checkSigned(ctx context.Context, value string, payload []byte) error {
	token, err := jose.Parse(value, 0)
	if err != nil {
		return fmt.Errorf("is not a token: %v", err)
	}
	if token.Payload != string(payload) {
		return errors.New("is another token")
	}
	if i.cfg.Keys == nil {
		return nil
	}
	list, err := i.cfg.Keys.PublicKeys(ctx, token.KeyID)
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
