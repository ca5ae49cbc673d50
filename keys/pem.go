package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/kubesa/serviceaccount/keys/internal/wrap"
)

// Limits of one PEM text or JWKS. They are far above what a cluster needs and
// bound what a wrong file costs.
const (
	maxPEMBytes   = 1 << 20
	maxParsedKeys = 64
	// maxPrivateDER is twice the size of an RSA key of 8192 bits. Longer ones
	// would be checked before their size is known, which takes minutes for a key
	// that fills a file.
	maxPrivateDER = 8 << 10
)

// The types of PEM blocks that are written or that decide how a block is read.
const (
	blockPKCS8       = "PRIVATE KEY"
	blockPKCS1       = "RSA PRIVATE KEY"
	blockSEC1        = "EC PRIVATE KEY"
	blockPublicKey   = "PUBLIC KEY"
	blockPKCS1Public = "RSA PUBLIC KEY"
)

// The errors of PEM texts. They are permanent.
var (
	// ErrNoPrivateKey means that no PEM block is a private key.
	ErrNoPrivateKey = errors.New("keys: data does not contain a valid RSA or ECDSA private key")
	// ErrNoPublicKeys means that no PEM block has a public key.
	ErrNoPublicKeys = errors.New("keys: data does not contain any valid RSA or ECDSA public keys")
	// ErrTooLarge means more than 1 MiB or 64 keys in one text.
	ErrTooLarge = errors.New("keys: data is larger than 1 MiB or has more than 64 keys")
)

// ParsePrivateKey returns the first private key in PEM text: a block of type
// PRIVATE KEY (PKCS#8), RSA PRIVATE KEY (PKCS#1) or EC PRIVATE KEY (SEC1).
// Other blocks, those of more than 8 KiB and those that can't be parsed, such as
// encrypted ones, are skipped. An Ed25519 key is returned although [NewSigner] rejects
// it.
//
// The error wraps [ErrNoPrivateKey] and says what the text is instead, such as an
// encrypted key, and what to do; or it is [ErrTooLarge], or wraps a [*KeyError] if the key
// must not be used. It never holds any of the text.
func ParsePrivateKey(pemData []byte) (crypto.Signer, error) {
	if len(pemData) > maxPEMBytes {
		return nil, ErrTooLarge
	}
	n := 0
	for block, rest := pem.Decode(pemData); block != nil; block, rest = pem.Decode(rest) {
		n++
		key := parsePrivate(block)
		if key == nil {
			continue
		}
		_, err := AlgorithmOf(key.Public())
		if e, ok := errors.AsType[*KeyError](err); ok && e.Reason != ReasonType {
			return nil, wrap.Errorf(err, "keys: PEM block %d", n)
		}
		return key, nil
	}
	return nil, fmt.Errorf("%w: %s", ErrNoPrivateKey, pemProblem(pemData, true))
}

// parsePrivate returns the private key in block, or nil.
func parsePrivate(block *pem.Block) crypto.Signer {
	if len(block.Bytes) > maxPrivateDER {
		return nil
	}
	var key any
	var err error
	switch block.Type {
	case blockSEC1:
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case blockPKCS1:
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case blockPKCS8:
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	if err != nil {
		return nil
	}
	signer, _ := key.(crypto.Signer) // an X25519 key isn't one
	return signer
}

// ParsePublicKeys returns the RSA and ECDSA public keys of all blocks of PEM
// text, in order and with duplicates. A block may hold a public key (PKIX or
// PKCS#1), a certificate, or a private key (PKCS#8, PKCS#1 or SEC1), whose
// public half is returned; its type doesn't matter. As in Kubernetes, blocks that are
// none of these, and damaged ones, are skipped without an error if there is a key beside
// them.
//
// The error wraps [ErrNoPublicKeys] and says what the text is instead, and what to do; or
// it is [ErrTooLarge], or wraps a [*KeyError] if one of the keys must not be used. It
// never holds any of the text.
func ParsePublicKeys(pemData []byte) ([]crypto.PublicKey, error) {
	if len(pemData) > maxPEMBytes {
		return nil, ErrTooLarge
	}
	var list []crypto.PublicKey
	n := 0
	for block, rest := pem.Decode(pemData); block != nil; block, rest = pem.Decode(rest) {
		n++
		pub := parsePublic(block.Bytes)
		if pub == nil {
			continue
		}
		if _, err := AlgorithmOf(pub); err != nil {
			return nil, wrap.Errorf(err, "keys: PEM block %d", n)
		}
		if len(list) == maxParsedKeys {
			return nil, ErrTooLarge
		}
		list = append(list, pub)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%w: %s", ErrNoPublicKeys, pemProblem(pemData, false))
	}
	return list, nil
}

// parsePublic returns the RSA or ECDSA public key that der holds in any form,
// or nil.
func parsePublic(der []byte) crypto.PublicKey {
	// Each form begins with a SEQUENCE, so only parsing tells them apart; no
	// text is valid in two of them.
	parsers := publicParsers
	if len(der) <= maxPrivateDER {
		parsers = allParsers
	}
	for _, parse := range parsers {
		switch key := parse(der).(type) {
		case *rsa.PublicKey, *ecdsa.PublicKey:
			return key
		case *rsa.PrivateKey:
			return &key.PublicKey
		case *ecdsa.PrivateKey:
			return &key.PublicKey
		}
	}
	return nil
}

var (
	publicParsers = []func(der []byte) any{
		func(der []byte) any { return first(x509.ParsePKIXPublicKey(der)) },
		certifiedKey,
		func(der []byte) any { return first(x509.ParsePKCS1PublicKey(der)) },
	}
	allParsers = append(publicParsers[:3:3],
		func(der []byte) any { return first(x509.ParsePKCS8PrivateKey(der)) },
		func(der []byte) any { return first(x509.ParsePKCS1PrivateKey(der)) },
		func(der []byte) any { return first(x509.ParseECPrivateKey(der)) },
	)
)

// first returns v, or nil if there is an error.
func first[T any](v T, err error) any {
	if err != nil {
		return nil
	}
	return v
}

func certifiedKey(der []byte) any {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil
	}
	return cert.PublicKey
}

// EncodePrivateKey returns key, an *[rsa.PrivateKey] or *[ecdsa.PrivateKey], as
// a PKCS#8 PEM block. It fails with a [*KeyError] for keys of other types and
// for those that [NewSigner] rejects.
func EncodePrivateKey(key crypto.Signer) ([]byte, error) {
	switch key.(type) {
	case *rsa.PrivateKey, *ecdsa.PrivateKey:
	default:
		return nil, &KeyError{Reason: ReasonType, Problem: fmt.Sprintf("type %T, want *rsa.PrivateKey or *ecdsa.PrivateKey", key)}
	}
	// The encoders of crypto/x509 expect a key that is whole.
	if _, err := NewSigner(key); err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, &KeyError{Reason: ReasonPrivateKey, Problem: "private key that can't be encoded"}
	}
	return pem.EncodeToMemory(&pem.Block{Type: blockPKCS8, Bytes: der}), nil
}

// EncodePublicKey returns pub as a PKIX PEM block. Such blocks may be put one
// after the other. Any error is a [*KeyError].
func EncodePublicKey(pub crypto.PublicKey) ([]byte, error) {
	if _, err := AlgorithmOf(pub); err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, &KeyError{Reason: ReasonPoint, Problem: "public key that can't be encoded"}
	}
	return pem.EncodeToMemory(&pem.Block{Type: blockPublicKey, Bytes: der}), nil
}
