package tokens

import (
	"context"
	"crypto"
	"crypto/sha256"
	"slices"

	"github.com/kubesa/serviceaccount/internal/jose"
)

// verify returns the claims of token, whose issuer is one of ours and whose
// signature is good (TOK-30..39).
func (j *judgement) verify(ctx context.Context, token string) (*claims, error) {
	if j.cache == nil || len(token) > jose.DefaultMaxTokenBytes {
		c, _, err := j.verifyNew(ctx, token)
		return c, err
	}
	d := digestOf(token)
	if c, err := j.remembered(ctx, d); c != nil || err != nil {
		return c, err
	}
	c, signedBy, err := j.verifyNew(ctx, token)
	if err == nil {
		j.cache.add(&signatureEntry{digest: d, signedBy: signedBy, claims: c})
	}
	return c, err
}

// digestOf hashes token, of the usual length without allocating.
func digestOf(token string) digest {
	var usual [1536]byte
	return sha256.Sum256(append(usual[:0], token...))
}

// A signedBy is the key that made a signature.
type signedBy struct {
	key   crypto.PublicKey
	keyID string // under which its source was asked, empty for all keys
}

// remembered returns the claims of a token whose signature was good, if the
// key that made it is still there: the same value, not only an equal one, so
// that no key is compared with one that its source has broken.
func (j *judgement) remembered(ctx context.Context, d digest) (*claims, error) {
	e := j.cache.get(d)
	if e == nil {
		return nil, nil
	}
	list, err := j.cfg.Keys.PublicKeys(ctx, e.keyID)
	if err != nil {
		return nil, &UnavailableError{"verification keys", err}
	}
	for i := range list {
		if list[i].Key == e.key {
			j.claims, j.cached = e.claims, true
			return e.claims, nil
		}
	}
	j.cache.clear()
	return nil, nil
}

// verifyNew is verify for a token that isn't remembered.
func (j *judgement) verifyNew(ctx context.Context, token string) (*claims, signedBy, error) {
	parsed, err := jose.Parse(token, 0)
	if err != nil {
		return nil, signedBy{}, &NotRecognizedError{ReasonMalformed, err.Error()}
	}
	// There is one parse of the token, so the issuer that chooses is the issuer
	// that was signed.
	issuer := issuerOf(parsed.Payload)
	legacy := issuer == LegacyIssuer && (j.cfg.Legacy || j.cfg.Policy.ForbidLegacy)
	if !legacy && !slices.Contains(j.cfg.Issuers, issuer) {
		j.note("issuer %.256q, want one of %q", issuer, j.cfg.Issuers)
		return nil, signedBy{}, &NotRecognizedError{Reason: ReasonForeignIssuer}
	}
	by, err := j.verifySignature(ctx, parsed)
	if err != nil {
		return nil, signedBy{}, err
	}
	decode := decodeBound
	if legacy {
		decode = decodeLegacy
	}
	c, invalid := decode(parsed.Payload)
	if invalid != nil {
		return nil, signedBy{}, invalid
	}
	j.claims = c
	return c, by, nil
}

// verifySignature tries the keys that the token may be signed with, in order
// (TOK-35..37).
func (j *judgement) verifySignature(ctx context.Context, token *jose.Token) (signedBy, error) {
	list, err := j.cfg.Keys.PublicKeys(ctx, token.KeyID)
	if err != nil {
		return signedBy{}, &UnavailableError{"verification keys", err}
	}
	if len(list) == 0 {
		j.note("no key with the id %.64q", token.KeyID)
		return signedBy{}, &InvalidError{Reason: ReasonUnknownKey}
	}
	for i := range list {
		if err = token.Verify(list[i].Key); err == nil {
			return signedBy{list[i].Key, token.KeyID}, nil
		}
	}
	j.note("algorithm %.16q, key id %.64q, %d keys tried, the last one: %v", token.Algorithm, token.KeyID, len(list), err)
	return signedBy{}, &InvalidError{Reason: ReasonSignature}
}
