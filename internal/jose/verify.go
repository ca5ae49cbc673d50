package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
)

// Verify checks that key made the signature of t. It returns nil,
// [ErrSignature], [ErrAlgorithm] if the header doesn't name the algorithm of
// key, or a [*KeyError] if key isn't one that verifies anything.
func (t *Token) Verify(key crypto.PublicKey) error {
	alg, err := algorithmFor(key)
	if err != nil {
		return err
	}
	if alg != t.Algorithm {
		return ErrAlgorithm
	}
	var digest [sha512.Size]byte
	return verify(key, alg, digestFor(alg, &digest, t.signed), t.signature)
}

// Names reports whether the header of t names the algorithm of key, so that Verify
// would check the signature.
func (t *Token) Names(key crypto.PublicKey) bool {
	alg, err := algorithmFor(key)
	return err == nil && alg == t.Algorithm
}

// verify checks the signature of a digest. The key must be one for which
// algorithmFor returns alg.
func verify(key crypto.PublicKey, alg string, digest, signature []byte) error {
	switch key := key.(type) {
	case *rsa.PublicKey:
		if rsa.VerifyPKCS1v15(key, hashFor(alg), digest, signature) == nil {
			return nil
		}
	case *ecdsa.PublicKey:
		var buf [maxASN1Bytes]byte
		if ecdsa.VerifyASN1(key, digest, toASN1(buf[:0], signature, coordinateBytes(key))) {
			return nil
		}
	}
	return ErrSignature
}

// hashFor returns the hash of an algorithm in use.
func hashFor(alg string) crypto.Hash {
	switch alg {
	case ES384:
		return crypto.SHA384
	case ES512:
		return crypto.SHA512
	}
	return crypto.SHA256
}

// digestFor hashes message with the hash of alg into digest.
func digestFor[T string | []byte](alg string, digest *[sha512.Size]byte, message T) []byte {
	switch hashFor(alg) {
	case crypto.SHA384:
		sum := sha512.Sum384([]byte(message))
		return digest[:copy(digest[:], sum[:])]
	case crypto.SHA512:
		*digest = sha512.Sum512([]byte(message))
		return digest[:]
	}
	sum := sha256.Sum256([]byte(message))
	return digest[:copy(digest[:], sum[:])]
}
