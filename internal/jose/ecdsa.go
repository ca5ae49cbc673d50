package jose

import (
	"crypto/ecdsa"
	"errors"
)

// JWS spells an ECDSA signature r||s, each half as long as a coordinate of the
// curve (RFC 7518, section 3.4); crypto/ecdsa, and every key elsewhere, spells it
// in ASN.1. The two functions here go from one to the other. They parse nothing
// but this one structure, without the reflection of encoding/asn1.

const (
	// maxECDSABytes is the length of r||s on P-521.
	maxECDSABytes = 2 * 66
	// maxASN1Bytes is the length of the longest ASN.1 form of it.
	maxASN1Bytes = 3 + 2*(2+1+66)

	tagInteger  = 0x02
	tagSequence = 0x30
)

func coordinateBytes(key *ecdsa.PublicKey) int { return (key.Curve.Params().BitSize + 7) / 8 }

// toASN1 appends the ASN.1 form of the signature r||s, of which each half has
// size bytes: nil if it is of another length.
func toASN1(dst, signature []byte, size int) []byte {
	if len(signature) != 2*size {
		return nil
	}
	r, s := trimZeros(signature[:size]), trimZeros(signature[size:])
	n := integerLen(r) + integerLen(s)
	dst = append(dst, tagSequence)
	if n >= 0x80 {
		dst = append(dst, 0x81)
	}
	dst = append(dst, byte(n))
	return appendInteger(appendInteger(dst, r), s)
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
		dst = append(dst, tagInteger, byte(len(b)+1), 0)
	} else {
		dst = append(dst, tagInteger, byte(len(b)))
	}
	return append(dst, b...)
}

var errASN1 = errors.New("the key returned no ASN.1 ECDSA signature of its curve")

// fromASN1 appends r||s, each half size bytes long, for a signature in ASN.1.
func fromASN1(dst, der []byte, size int) ([]byte, error) {
	body, rest := element(der, tagSequence)
	if len(rest) != 0 {
		return nil, errASN1
	}
	for range 2 {
		var number []byte
		if number, body = element(body, tagInteger); len(number) == 0 || number[0]&0x80 != 0 {
			return nil, errASN1
		}
		number = trimZeros(number)
		if len(number) > size {
			return nil, errASN1
		}
		for range size - len(number) {
			dst = append(dst, 0)
		}
		dst = append(dst, number...)
	}
	if len(body) != 0 {
		return nil, errASN1
	}
	return dst, nil
}

// element returns the content of the DER element that b begins with, and what
// follows it: nothing if there is none, or one without content.
func element(b []byte, tag byte) (content, rest []byte) {
	if len(b) < 3 || b[0] != tag {
		return nil, nil
	}
	n, b := int(b[1]), b[2:]
	if n == 0x81 {
		n, b = int(b[0]), b[1:]
	} else if n >= 0x80 {
		return nil, nil
	}
	if len(b) < n {
		return nil, nil
	}
	return b[:n], b[n:]
}
