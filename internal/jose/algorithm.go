package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"fmt"
	"math/big"
)

// The algorithms of RFC 7518 that are used.
const (
	RS256 = "RS256"
	ES256 = "ES256"
	ES384 = "ES384"
	ES512 = "ES512"
)

// The limits of RSA keys. The upper ones bound what one verification costs:
// 8192 bits take under a millisecond, 65536 bits would take 100.
const (
	minModulusBits = 2048
	maxModulusBits = 8192
	minExponent    = 3
	maxExponent    = 1<<maxExponentBits - 1

	maxExponentBits = 31
)

// AlgorithmOf returns the one algorithm that key may verify, after checking
// all that can be checked of a public key: that it is a *[rsa.PublicKey] of
// 2048 to 8192 bits with an odd exponent from 3 to 2³¹-1, and without the mark
// of the ROCA generator; or an *[ecdsa.PublicKey] that is a point of P-256,
// P-384 or P-521. Any error is a [*KeyError].
func AlgorithmOf(key crypto.PublicKey) (string, error) {
	alg, err := algorithmFor(key)
	if err != nil {
		return "", err
	}
	switch key := key.(type) {
	case *rsa.PublicKey:
		if hasROCAMark(key.N) {
			return "", &KeyError{FaultROCA, "RSA modulus has the mark of the ROCA generator (CVE-2017-15361)"}
		}
	case *ecdsa.PublicKey:
		if _, err := key.Bytes(); err != nil {
			return "", &KeyError{FaultPoint, "ECDSA public key is not a point of " + key.Curve.Params().Name}
		}
	}
	return alg, nil
}

// algorithmFor is AlgorithmOf without the checks that take longer than a
// microsecond: [Token.Verify] makes it every time, so that not even a key that
// was changed after it was checked is used outside its limits.
func algorithmFor(key crypto.PublicKey) (string, error) {
	switch key := key.(type) {
	case nil:
		return "", &KeyError{FaultMissing, "no key"}
	case *rsa.PublicKey:
		return algorithmForRSA(key)
	case *ecdsa.PublicKey:
		return algorithmForECDSA(key)
	default:
		return "", &KeyError{FaultType, fmt.Sprintf("type %T, want *rsa.PublicKey or *ecdsa.PublicKey", key)}
	}
}

func algorithmForRSA(key *rsa.PublicKey) (string, error) {
	if key == nil || key.N == nil || key.N.Sign() == 0 {
		return "", &KeyError{FaultMissing, "RSA public key without a modulus"}
	}
	if n := key.N.BitLen(); n < minModulusBits || n > maxModulusBits {
		return "", &KeyError{FaultSize, fmt.Sprintf("RSA modulus of %d bits, want %d to %d", n, minModulusBits, maxModulusBits)}
	}
	if key.N.Sign() < 0 || key.N.Bit(0) == 0 {
		return "", &KeyError{FaultModulus, "RSA modulus is negative or even"}
	}
	if key.E < minExponent || key.E > maxExponent || key.E%2 == 0 {
		return "", &KeyError{FaultExponent, fmt.Sprintf("RSA public exponent %d, want an odd number from %d to %d", key.E, minExponent, maxExponent)}
	}
	return RS256, nil
}

func algorithmForECDSA(key *ecdsa.PublicKey) (string, error) {
	//lint:ignore SA1019 a key that a caller put together may lack its coordinates, and all that could be asked instead panics then
	if key == nil || key.Curve == nil || key.X == nil || key.Y == nil {
		return "", &KeyError{FaultMissing, "ECDSA public key without a curve or a point"}
	}
	// By identity, not by name: an implementation of elliptic.Curve from
	// elsewhere may call itself P-256.
	switch key.Curve {
	case elliptic.P256():
		return ES256, nil
	case elliptic.P384():
		return ES384, nil
	case elliptic.P521():
		return ES512, nil
	}
	return "", &KeyError{FaultCurve, "ECDSA curve is none of P-256, P-384 and P-521"}
}

// rocaPrimes are the small primes modulo which 65537 doesn't generate every
// residue.
var rocaPrimes = [...]uint64{11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157}

// hasROCAMark reports whether n is a power of 65537 modulo all of rocaPrimes,
// as is every modulus of the generator of CVE-2017-15361 and one in some
// hundred million of the others (Nemec et al., "The Return of Coppersmith's
// Attack", CCS 2017).
func hasROCAMark(n *big.Int) bool {
	var m, r big.Int
	for _, p := range rocaPrimes {
		residue := r.Mod(n, m.SetUint64(p)).Uint64()
		power := uint64(1)
		for power != residue {
			power = power * 65537 % p
			if power == 1 {
				return false
			}
		}
	}
	return true
}
