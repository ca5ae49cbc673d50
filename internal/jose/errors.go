package jose

import (
	"errors"
	"fmt"
)

// The errors of [Token.Verify].
var (
	// ErrAlgorithm means that the header names another algorithm than the one
	// that belongs to the key.
	ErrAlgorithm = errors.New("jose: the algorithm of the token is not the algorithm of the key")
	// ErrSignature means that the key didn't make the signature.
	ErrSignature = errors.New("jose: the signature does not match")
)

// A MalformedError says why a text isn't a compact JWS of the accepted form.
// It never holds any of the text.
type MalformedError struct {
	Part  string // "token", "header", "payload", "signature", "object" or "JWK Set"
	Fault string // what is wrong with it, in words
}

// FaultEncoding is the Fault of a part that can't be decoded.
const FaultEncoding = "not canonical base64url"

func (e *MalformedError) Error() string { return "jose: malformed " + e.Part + ": " + e.Fault }

// The faults of keys, the values of [KeyError.Fault].
const (
	FaultMissing  = "Missing"    // nil, a nil pointer, or a key without numbers
	FaultType     = "Type"       // neither RSA nor ECDSA, or not a public key
	FaultSize     = "Size"       // RSA modulus too short or too long
	FaultModulus  = "Modulus"    // RSA modulus that can't be the product of two primes
	FaultExponent = "Exponent"   // RSA public exponent even, too small or too large
	FaultCurve    = "Curve"      // not P-256, P-384 or P-521
	FaultPoint    = "Point"      // not a point of the curve
	FaultROCA     = "WeakPrimes" // made by a generator whose keys can be factored (CVE-2017-15361)
	FaultPrivate  = "PrivateKey" // doesn't belong to the public key, or is where no private key belongs
	FaultUse      = "Use"        // published for another use or algorithm
	FaultKeyID    = "KeyID"      // too long, or that of another key
	FaultTooMany  = "TooMany"    // usable, but one too many
)

// A KeyError says why a key isn't used. It never holds key material.
type KeyError struct {
	Fault  string // one of the Fault constants
	Detail string // what was found and what is wanted
}

func (e *KeyError) Error() string { return "jose: unusable key: " + e.Detail }

// A JWKError says which key of a JWK Set isn't used, and why.
type JWKError struct {
	Index int    // of the key in the set, from 0
	KeyID string // its "kid", if it has one that can be read
	Err   *KeyError
}

func (e *JWKError) Error() string {
	if e.KeyID == "" {
		return fmt.Sprintf("key #%d: %v", e.Index, e.Err)
	}
	return fmt.Sprintf("key #%d %.64q: %v", e.Index, e.KeyID, e.Err)
}

func (e *JWKError) Unwrap() error { return e.Err }
