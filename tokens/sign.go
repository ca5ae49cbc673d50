package tokens

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/kubesa/serviceaccount/internal/jose"
	"github.com/kubesa/serviceaccount/keys"
)

// sign returns the signed token of payload. What an untrusted signer returns is
// checked, and its call is left behind when ctx is done.
func (i *Issuer) sign(ctx context.Context, payload []byte) (string, error) {
	sign := callSigner
	if i.trusted {
		sign = keys.Signer.Sign
	}
	value, err := sign(i.cfg.Signer, ctx, payload)
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

// callSigner calls signer in a goroutine of its own, so that neither a panic
// nor a call that never returns reaches the caller.
func callSigner(signer keys.Signer, ctx context.Context, payload []byte) (string, error) {
	type result struct {
		value string
		err   error
	}
	done := make(chan result, 1)
	go func() {
		r := result{err: errors.New("the signer panicked")}
		defer func() {
			// The value of a panic may hold anything, so it stays here.
			_ = recover()
			done <- r
		}()
		r.value, r.err = signer.Sign(ctx, bytes.Clone(payload))
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// A guardedSigner is a signer that is called by callSigner.
type guardedSigner struct{ signer keys.Signer }

// Sign implements [keys.Signer].
func (g guardedSigner) Sign(ctx context.Context, payload []byte) (string, error) {
	return callSigner(g.signer, ctx, payload)
}

// checkSigned checks that value is payload, signed with one of the keys if
// they are known.
func (i *Issuer) checkSigned(ctx context.Context, value string, payload []byte) error {
	token, err := jose.Parse(value, 0)
	if err != nil {
		return fmt.Errorf("is not a token: %v", err)
	}
	if !bytes.Equal(token.Payload, payload) {
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
