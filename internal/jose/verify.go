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
	sum := digestFor(alg, &digest, t.signed)
	switch key := key.(type) {
	case *rsa.PublicKey:
		if rsa.VerifyPKCS1v15(key, crypto.SHA256, sum, t.signature) == nil {
			return nil
		}
	case *ecdsa.PublicKey:
		var buf [maxASN1Bytes]byte
		if der, ok := toASN1(buf[:0], t.signature, (key.Curve.Params().BitSize+7)/8); ok && ecdsa.VerifyASN1(key, sum, der) {
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
func digestFor(alg string, digest *[sha512.Size]byte, message string) []byte {
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

// maxASN1Bytes is the length of the longest ASN.1 form of a P-521 signature.
const maxASN1Bytes = 3 + 2*(2+1+66)

// toASN1 appends the ASN.1 form of the ECDSA signature r||s, of which each
// half has size bytes (RFC 7518, section 3.4).
func toASN1(dst, signature []byte, size int) (der []byte, ok bool) {
	if len(signature) != 2*size {
		return nil, false
	}
	r, s := trimZeros(signature[:size]), trimZeros(signature[size:])
	n := integerLen(r) + integerLen(s)
	dst = append(dst, 0x30)
	if n >= 0x80 {
		dst = append(dst, 0x81)
	}
	dst = append(dst, byte(n))
	return appendInteger(appendInteger(dst, r), s), true
}

// trimZeros removes leading zeros but leaves one byte.
func trimZeros(b []byte) []byte {
	for len(b) > 1 && b[0] == 0 {
		b = b[1:]
	}
	return b
}

func integerLen(b []byte) int {
	if b[0]&0x80 != 0 {
		return 3 + len(b)
	}
	return 2 + len(b)
}

func appendInteger(dst, b []byte) []byte {
	if b[0]&0x80 != 0 {
		dst = append(dst, 0x02, byte(len(b)+1), 0)
	} else {
		dst = append(dst, 0x02, byte(len(b)))
	}
	return append(dst, b...)
}
