package jose

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"reflect"

	jose "gopkg.in/square/go-jose.v2"
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
	keyID     string
	local     jose.Signer // nil unless the key is held in memory
}

// NewSigner returns a Signer whose tokens name keyID. The key is an
// *[rsa.PrivateKey], an *[ecdsa.PrivateKey], or anything else that signs
// digests for a public key that [AlgorithmOf] accepts: PKCS#1 v1.5 for RSA,
// ASN.1 for ECDSA. Its public key is asked for once. An error that is about
// the key is a [*KeyError].
func NewSigner(key crypto.Signer, keyID string) (*Signer, error) {
	public, err := publicOf(key)
	if err != nil {
		return nil, err
	}
	alg, err := AlgorithmOf(public)
	if err != nil {
		return nil, err
	}
	s := &Signer{key: key, public: public, algorithm: alg, keyID: keyID}
	switch k := key.(type) {
	case *rsa.PrivateKey:
		err = k.Validate()
	case *ecdsa.PrivateKey:
		//lint:ignore SA1019 a key that a caller put together may lack its number, and all that could be asked instead panics then
		if k.D == nil {
			return nil, &KeyError{FaultMissing, "ECDSA private key without a number"}
		}
		_, err = k.Bytes()
	default:
		return s, nil
	}
	if err == nil {
		s.local, err = jose.NewSigner(jose.SigningKey{
			Algorithm: jose.SignatureAlgorithm(alg),
			Key:       &jose.JSONWebKey{Key: key, KeyID: keyID},
		}, nil)
	}
	if err == nil {
		err = s.prove()
	}
	if err != nil {
		return nil, &KeyError{FaultPrivate, "private key that doesn't belong to its public key"}
	}
	return s, nil
}

// publicOf returns the public key of key, which may be nil in any way.
func publicOf(key crypto.Signer) (crypto.PublicKey, error) {
	if v := reflect.ValueOf(key); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, &KeyError{FaultMissing, "no private key"}
	}
	return key.Public(), nil
}

// prove makes and checks one signature.
func (s *Signer) prove() error {
	raw, err := s.Sign(context.Background(), []byte("{}"))
	if err != nil {
		return err
	}
	return s.check(raw)
}

// check checks that raw, which s has made, verifies.
func (s *Signer) check(raw string) error {
	t, err := Parse(raw, len(raw))
	if err != nil {
		return err
	}
	return t.Verify(s.public)
}

// Algorithm returns the "alg" of every token.
func (s *Signer) Algorithm() string { return s.algorithm }

// Public returns the public key that verifies what s signs.
func (s *Signer) Public() crypto.PublicKey { return s.public }

// Sign returns the compact JWS of payload, a JSON object. The header is
// {"alg":…,"kid":…}.
//
// A key that is not held in memory may fail, hang, panic or answer with a
// signature of another key. Sign then returns an error, at the latest when ctx
// is done; a call of the key that doesn't know contexts is left behind.
func (s *Signer) Sign(ctx context.Context, payload []byte) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if s.local != nil {
		return compact(s.local, payload)
	}
	signer, err := jose.NewSigner(jose.SigningKey{
		Algorithm: jose.SignatureAlgorithm(s.algorithm),
		Key:       &remoteKey{s, ctx},
	}, nil)
	if err != nil {
		return "", fmt.Errorf("jose: signing: %v", err)
	}
	raw, err := compact(signer, payload)
	if err != nil {
		return "", err
	}
	if err := s.check(raw); err != nil {
		return "", fmt.Errorf("jose: signing: what the key returned does not verify: %w", err)
	}
	return raw, nil
}

func compact(signer jose.Signer, payload []byte) (string, error) {
	jws, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("jose: signing: %w", err)
	}
	return jws.CompactSerialize()
}

// A remoteKey lets go-jose sign once with a key that isn't held in memory.
type remoteKey struct {
	*Signer
	ctx context.Context
}

func (k *remoteKey) Public() *jose.JSONWebKey {
	return &jose.JSONWebKey{Key: k.public, KeyID: k.keyID, Algorithm: k.algorithm}
}

func (k *remoteKey) Algs() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.SignatureAlgorithm(k.algorithm)}
}

func (k *remoteKey) SignPayload(payload []byte, _ jose.SignatureAlgorithm) ([]byte, error) {
	hash := hashFor(k.algorithm)
	h := hash.New()
	h.Write(payload)
	signature, err := k.signDigest(h.Sum(nil), hash)
	if err != nil {
		return nil, err
	}
	if key, ok := k.public.(*ecdsa.PublicKey); ok {
		return fromASN1(signature, (key.Curve.Params().BitSize+7)/8)
	}
	return signature, nil
}

// signDigest calls the key in a goroutine of its own, so that neither a panic
// nor a call that never returns reaches the caller.
func (k *remoteKey) signDigest(digest []byte, hash crypto.Hash) ([]byte, error) {
	type result struct {
		signature []byte
		err       error
	}
	done := make(chan result, 1)
	go func() {
		r := result{err: errors.New("the key panicked")}
		defer func() {
			// The value of a panic may hold anything, so it stays here.
			_ = recover()
			done <- r
		}()
		if key, ok := k.key.(ContextSigner); ok {
			r.signature, r.err = key.SignContext(k.ctx, rand.Reader, digest, hash)
		} else {
			r.signature, r.err = k.key.Sign(rand.Reader, digest, hash)
		}
	}()
	select {
	case r := <-done:
		return r.signature, r.err
	case <-k.ctx.Done():
		return nil, k.ctx.Err()
	}
}

// fromASN1 returns r||s for an ECDSA signature in ASN.1, each half size bytes
// long (RFC 7518, section 3.4).
func fromASN1(der []byte, size int) ([]byte, error) {
	var sig struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(der, &sig)
	if err != nil || len(rest) != 0 || sig.R.Sign() < 0 || sig.S.Sign() < 0 || sig.R.BitLen() > 8*size || sig.S.BitLen() > 8*size {
		return nil, errors.New("the key returned no ASN.1 ECDSA signature")
	}
	out := make([]byte, 2*size)
	sig.R.FillBytes(out[:size])
	sig.S.FillBytes(out[size:])
	return out, nil
}
