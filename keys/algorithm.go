package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"

	"github.com/kubesa/serviceaccount/internal/jose"
)

// An Algorithm is a JWS algorithm by its name in RFC 7518.
type Algorithm string

// The algorithms of service-account tokens. The key determines which one is used.
const (
	RS256 Algorithm = jose.RS256 // RSA PKCS#1 v1.5 with SHA-256
	ES256 Algorithm = jose.ES256 // ECDSA on P-256 with SHA-256
	ES384 Algorithm = jose.ES384 // ECDSA on P-384 with SHA-384
	ES512 Algorithm = jose.ES512 // ECDSA on P-521 with SHA-512
)

// generatedModulusBits is the size of generated RSA keys: what kubeadm uses, and the size at which verifying is cheapest.
const generatedModulusBits = 2048

// AlgorithmOf returns the one algorithm that pub may verify. It accepts
// *[rsa.PublicKey] of 2048 to 8192 bits with an odd exponent from 3 to 2³¹-1,
// and *[ecdsa.PublicKey] on P-256, P-384 and P-521. Any error is a [*KeyError]:
// the key must not be used.
func AlgorithmOf(pub crypto.PublicKey) (Algorithm, error) {
	alg, err := jose.AlgorithmOf(pub)
	if err != nil {
		return "", keyError(err)
	}
	return Algorithm(alg), nil
}

// ID returns the "kid" of tokens that pub verifies: the SHA-256 of its PKIX
// DER in base64url without padding, as in Kubernetes. It fails as [AlgorithmOf] does.
func ID(pub crypto.PublicKey) (string, error) {
	if _, err := AlgorithmOf(pub); err != nil {
		return "", err
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return "", fmt.Errorf("keys: encoding public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}

// Generate returns a new key for alg: an *[ecdsa.PrivateKey], or for [RS256] an
// *[rsa.PrivateKey] of 2048 bits. It fails only for an unknown alg.
func Generate(alg Algorithm) (crypto.Signer, error) {
	switch alg {
	case RS256:
		return rsa.GenerateKey(rand.Reader, generatedModulusBits)
	case ES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case ES384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case ES512:
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	}
	return nil, fmt.Errorf("keys: unknown algorithm %q, want one of RS256, ES256, ES384, ES512", alg)
}

// NewPublicKey returns pub under its [ID], as a [Source] returns it. It fails as
// [AlgorithmOf] does.
func NewPublicKey(pub crypto.PublicKey) (PublicKey, error) {
	alg, err := AlgorithmOf(pub)
	if err != nil {
		return PublicKey{}, err
	}
	id, err := ID(pub)
	if err != nil {
		return PublicKey{}, err
	}
	return PublicKey{ID: id, Algorithm: alg, Key: pub}, nil
}
