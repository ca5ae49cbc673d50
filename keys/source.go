package keys

import (
	"context"
	"crypto"
)

// A PublicKey is a verification key of a [Source].
type PublicKey struct {
	ID        string           // the "kid" of tokens that it verifies; see [ID]
	Algorithm Algorithm        // the one JWS algorithm that it may verify
	Key       crypto.PublicKey // *rsa.PublicKey or *ecdsa.PublicKey, never nil

	// Unpublished keys verify tokens but are left out of discovery documents.
	Unpublished bool
}

// A Source has the keys that verify tokens. It must be safe for concurrent use.
type Source interface {
	// PublicKeys returns the keys with this id, in the order in which to try them, or
	// all keys if id is empty. A source that is up to date and has no such key
	// returns none and no error; an error means that the source could not be
	// asked, and says nothing about the token. The caller must not change the
	// result.
	PublicKeys(ctx context.Context, id string) ([]PublicKey, error)
}

// A Signer signs compact JWS: a local key, a ring of keys, a key management
// service, an external process. It must be safe for concurrent use.
type Signer interface {
	// Sign returns the compact JWS of payload. Its protected header has "alg"
	// and "kid" and nothing else but, optionally, "typ": "JWT". An
	// error means that nothing was signed; it never holds key material or the
	// payload. Sign honours ctx if it blocks.
	Sign(ctx context.Context, payload []byte) (compactJWS string, err error)
}

// A TypedSigner is a [Signer] that can add "typ": "JWT" to the header, which the
// protocol of external signers requires: [LocalSigner], Ring.
type TypedSigner interface {
	// SignTyped is Sign of [Signer], but the header has "typ": "JWT" too.
	SignTyped(ctx context.Context, payload []byte) (compactJWS string, err error)
}
