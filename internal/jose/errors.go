package jose

import (
	"errors"
	"fmt"
)

// The errors of [Token.Verify].
var (
	// ErrAlgorithm means that the header names another algorithm than that of the
	// key.
	ErrAlgorithm = errors.New("jose: the algorithm of the token is not the algorithm of the key")
	// ErrSignature means that the signature was not made with the key.
	ErrSignature = errors.New("jose: the signature does not match")
)

// A MalformedError says why a text isn't a compact JWS or a JWK Set. It holds nothing
// of the text.
type MalformedError struct {
	Part  string // "token", "header", "payload", "signature", "object" or "JWK Set"
	Fault string // what is wrong with it, in words
}

// FaultEncoding is the Fault of a part that is not base64url.
const FaultEncoding = "not canonical base64url"

func (e *MalformedError) Error() string { return "jose: malformed " + e.Part + ": " + e.Fault }

// The values of [KeyError.Fault].
const (
	FaultMissing  = "Missing"    // nil, a typed nil, or a key without numbers
	FaultType     = "Type"       // neither RSA nor ECDSA, or not a public key
	FaultSize     = "Size"       // RSA modulus too short or too long
	FaultModulus  = "Modulus"    // RSA modulus that is not the product of two primes
	FaultExponent = "Exponent"   // RSA public exponent even, too small or too large
	FaultCurve    = "Curve"      // not P-256, P-384 or P-521
	FaultPoint    = "Point"      // not a point of the curve
	FaultROCA     = "WeakPrimes" // made by a generator whose keys can be factored (CVE-2017-15361)
	FaultPrivate  = "PrivateKey" // doesn't match the public key, or is where a public key is required
	FaultUse      = "Use"        // published for another use or algorithm
	FaultKeyID    = "KeyID"      // too long, or the same as that of another key
	FaultTooMany  = "TooMany"    // usable, but over the limit
)

// A KeyError says why a key isn't used. It holds no key material.
type KeyError struct {
	Fault  string // one of the Fault constants
	Detail string // what was found and what is required
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
