package keys

import (
	"context"
	"crypto"
	"errors"
	"fmt"

	"github.com/kubesa/serviceaccount/internal/jose"
	"github.com/kubesa/serviceaccount/keys/internal/wrap"
)

// A LocalSigner signs with one key. It is safe for concurrent use if the key
// is, as those of crypto/rsa and crypto/ecdsa are. It prints and marshals as
// the id of its key, never as the key.
type LocalSigner struct {
	signer *jose.Signer
	public PublicKey
}

// A ContextSigner is a [crypto.Signer] whose calls can be canceled, because it asks
// another process or machine. [NewSigner] prefers SignContext to Sign.
type ContextSigner = jose.ContextSigner

// NewSigner returns a LocalSigner for key: an *[rsa.PrivateKey], an
// *[ecdsa.PrivateKey], or any other [crypto.Signer] with such a public key, for
// example one of a key management service or a PKCS#11 token. The algorithm
// follows from the key.
//
// For a key in memory, NewSigner checks that its halves match. Of any other key it
// only gets the public half, once. Each signature of such a key is verified before
// [LocalSigner.Sign] returns it, and a call that outlives the context is abandoned,
// even if the key doesn't support contexts. There are up to 64 calls at a time; while
// 64 hang, Sign fails immediately.
//
// Any error is a [*KeyError] or wraps one.
func NewSigner(key crypto.Signer) (*LocalSigner, error) {
	pub, err := publicHalf(key)
	if err != nil {
		return nil, signerError(key, err)
	}
	public, err := NewPublicKey(pub)
	if err != nil {
		return nil, signerError(key, err)
	}
	signer, err := jose.NewSigner(key, public.ID)
	if err != nil {
		return nil, signerError(key, keyError(err))
	}
	return &LocalSigner{signer: signer, public: public}, nil
}

// signerError adds to err what Kubernetes says of the keys that it doesn't
// sign with either (KEY-11, KEY-12).
func signerError(key crypto.Signer, err error) error {
	e, ok := errors.AsType[*KeyError](err)
	switch {
	case ok && e.Reason == ReasonType, ok && e.Reason == ReasonMissing:
		return wrap.Errorf(err, "keys: unknown private key type %T, must be *rsa.PrivateKey, *ecdsa.PrivateKey, or jose.OpaqueSigner", key)
	case ok && e.Reason == ReasonCurve:
		return wrap.Errorf(err, "keys: could not generate signer for ECDSA keypair: unknown private key curve, must be 256, 384, or 521")
	}
	return err
}

// PublicKey returns the key that verifies what s signs.
func (s *LocalSigner) PublicKey() PublicKey { return s.public }

// Sign implements [Signer]. The payload must be a JSON object.
func (s *LocalSigner) Sign(ctx context.Context, payload []byte) (string, error) {
	return s.signer.Sign(ctx, payload)
}

// SignTyped implements [TypedSigner]. The payload must be a JSON object.
func (s *LocalSigner) SignTyped(ctx context.Context, payload []byte) (string, error) {
	return s.signer.SignTyped(ctx, payload)
}

// String returns the algorithm and the id of the key.
func (s *LocalSigner) String() string {
	if s == nil {
		return "keys.LocalSigner(nil)"
	}
	return fmt.Sprintf("keys.LocalSigner(%s %s)", s.public.Algorithm, s.public.ID)
}

// Format writes what String returns, whatever the verb.
func (s *LocalSigner) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// MarshalText returns what String returns, so that no encoder looks inside.
func (s *LocalSigner) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
