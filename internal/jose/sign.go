package jose

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"reflect"

	"github.com/kubesa/serviceaccount/internal/flight"
)

// A ContextSigner is a [crypto.Signer] that can be told to give up: one that
// asks another process or machine.
type ContextSigner interface {
	crypto.Signer
	SignContext(ctx context.Context, rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error)
}

// A Signer makes compact JWS with one key. It is safe for concurrent use if
// its key is.
type Signer struct {
	key       crypto.Signer
	public    crypto.PublicKey
	algorithm string
	header    string // as it is spelt in every token, with the dot after it
	typed     string // the same with "typ"
	sigBytes  int    // the length of every signature
	guard     *flight.Guard
}

// NewSigner returns a Signer whose tokens name keyID. The key is an
// *[rsa.PrivateKey], an *[ecdsa.PrivateKey], or anything else that signs
// digests for a public key that [AlgorithmOf] accepts: PKCS#1 v1.5 for RSA,
// ASN.1 for ECDSA. Its public key is asked for once. An error that is about
// the key is a [*KeyError].
func NewSigner(key crypto.Signer, keyID string) (*Signer, error) {
	public := publicOf(key)
	alg, err := AlgorithmOf(public)
	if err != nil {
		return nil, err
	}
	s := &Signer{
		key: key, public: public, algorithm: alg, guard: flight.NewGuard("the key", maxSignCalls),
		header: encodeHeader(alg, keyID, ""), typed: encodeHeader(alg, keyID, "JWT"),
	}
	switch public := public.(type) {
	case *rsa.PublicKey:
		s.sigBytes = public.Size()
	case *ecdsa.PublicKey:
		s.sigBytes = 2 * coordinateBytes(public)
	}
	switch k := key.(type) {
	case *rsa.PrivateKey:
	case *ecdsa.PrivateKey:
		//lint:ignore SA1019 a key that a caller put together may lack its number, and all that could be asked instead panics then
		if k.D == nil {
			return nil, &KeyError{FaultMissing, "ECDSA private key without a number"}
		}
	default:
		return s, nil
	}
	if s.prove() != nil { // crypto/rsa and crypto/ecdsa check the key
		return nil, &KeyError{FaultPrivate, "private key that doesn't belong to its public key"}
	}
	return s, nil
}

// encodeHeader returns a header as it stands in a token, with the dot after it.
func encodeHeader(alg, keyID, typ string) string {
	header, _ := json.Marshal(struct { // in the order of TOK-1; strings always marshal
		Algorithm string `json:"alg"`
		KeyID     string `json:"kid,omitempty"`
		Type      string `json:"typ,omitempty"`
	}{alg, keyID, typ})
	return base64.RawURLEncoding.EncodeToString(header) + "."
}

// publicOf returns the public key of key, nil if that is nil in any way.
func publicOf(key crypto.Signer) crypto.PublicKey {
	if v := reflect.ValueOf(key); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil
	}
	return key.Public()
}

// prove makes and checks one signature.
func (s *Signer) prove() error {
	var digest [sha512.Size]byte
	sum := digestFor(s.algorithm, &digest, "prove")
	signature, _ := s.signDigest(context.Background(), nil, sum) // none doesn't verify
	return verify(s.public, s.algorithm, sum, signature)
}

// Sign returns the compact JWS of payload, a JSON object. The header is
// {"alg":…,"kid":…}, without "kid" if the key has no id.
//
// A key that is not held in memory may fail, hang, panic or answer with a
// signature of another key. Sign then returns an error, at the latest when ctx
// is done. Of the calls that ignore it up to maxSignCalls are left hanging; while
// that many hang, Sign fails at once.
func (s *Signer) Sign(ctx context.Context, payload []byte) (string, error) {
	return s.sign(ctx, s.header, payload)
}

// SignTyped is Sign with "typ":"JWT" in the header.
func (s *Signer) SignTyped(ctx context.Context, payload []byte) (string, error) {
	return s.sign(ctx, s.typed, payload)
}

func (s *Signer) sign(ctx context.Context, header string, payload []byte) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	encoding := base64.RawURLEncoding
	token := make([]byte, 0, len(header)+encoding.EncodedLen(len(payload))+1+encoding.EncodedLen(s.sigBytes))
	token = append(token, header...)
	token = encoding.AppendEncode(token, payload)

	var digest [sha512.Size]byte
	sum := digestFor(s.algorithm, &digest, token)
	signature, err := s.signDigest(ctx, make([]byte, 0, maxECDSABytes), sum)
	if err != nil {
		return "", fmt.Errorf("jose: signing: %w", err)
	}
	token = append(token, '.')
	return string(encoding.AppendEncode(token, signature)), nil
}

// signDigest returns the signature as JWS wants it. It may use buf.
func (s *Signer) signDigest(ctx context.Context, buf, digest []byte) ([]byte, error) {
	switch key := s.key.(type) {
	case *rsa.PrivateKey:
		return rsa.SignPKCS1v15(nil, key, hashFor(s.algorithm), digest)
	case *ecdsa.PrivateKey:
		der, err := ecdsa.SignASN1(rand.Reader, key, digest)
		if err != nil {
			return nil, err
		}
		return fromASN1(buf, der, s.sigBytes/2)
	}
	signature, err := s.signElsewhere(ctx, digest)
	if err != nil {
		return nil, err
	}
	if _, ok := s.public.(*ecdsa.PublicKey); ok {
		if signature, err = fromASN1(buf, signature, s.sigBytes/2); err != nil {
			return nil, err
		}
	}
	if err := verify(s.public, s.algorithm, digest, signature); err != nil {
		return nil, fmt.Errorf("what the key returned does not verify: %w", err)
	}
	return signature, nil
}

// maxSignCalls bounds the calls of a key that isn't held in memory, and so those
// that it may leave hanging.
const maxSignCalls = 64

// signElsewhere calls the key through the guard, so that neither a panic nor a
// call that never returns reaches the caller.
func (s *Signer) signElsewhere(ctx context.Context, digest []byte) ([]byte, error) {
	digest = bytes.Clone(digest) // the key may change it, now or later
	return flight.Do(ctx, s.guard, func(ctx context.Context) ([]byte, error) {
		hash := hashFor(s.algorithm)
		if key, ok := s.key.(ContextSigner); ok {
			return key.SignContext(ctx, rand.Reader, digest, hash)
		}
		return s.key.Sign(rand.Reader, digest, hash)
	})
}
