package keys

import (
	"errors"

	"github.com/kubesa/serviceaccount/internal/jose"
)

// A Fault says in one word or two why a key isn't used.
type Fault string

// The faults of keys.
const (
	FaultMissing  Fault = jose.FaultMissing  // nil, a nil pointer, or a key without numbers
	FaultType     Fault = jose.FaultType     // neither RSA nor ECDSA
	FaultSize     Fault = jose.FaultSize     // RSA modulus shorter than 2048 or longer than 8192 bits
	FaultModulus  Fault = jose.FaultModulus  // RSA modulus that isn't the product of two primes
	FaultExponent Fault = jose.FaultExponent // RSA exponent even, below 3 or above 2³¹-1
	FaultCurve    Fault = jose.FaultCurve    // not P-256, P-384 or P-521
	FaultPoint    Fault = jose.FaultPoint    // not a point of its curve
	FaultROCA     Fault = jose.FaultROCA     // primes that can be found (CVE-2017-15361)
	FaultPrivate  Fault = jose.FaultPrivate  // private key that isn't its public key's, or is where no private key belongs
	FaultUse      Fault = jose.FaultUse      // published for another use or another algorithm
	FaultKeyID    Fault = jose.FaultKeyID    // published without an id, or with that of another key
)

// A KeyError reports a key that is too weak, broken or of a kind that isn't
// used. Nothing but another key helps. It never holds key material.
type KeyError struct {
	Fault  Fault
	Detail string // what was found and what is wanted, in words
}

func (e *KeyError) Error() string { return "keys: unusable key: " + e.Detail }

// keyError turns a *jose.KeyError into a *KeyError and returns other errors as
// they are.
func keyError(err error) error {
	if e, ok := errors.AsType[*jose.KeyError](err); ok {
		return &KeyError{Fault: Fault(e.Fault), Detail: e.Detail}
	}
	return err
}

// ErrUnavailable means that a [Source] has no keys, or only keys that are too
// old, because they could not be fetched. It says nothing about a token: try
// again.
var ErrUnavailable = errors.New("keys: the keys could not be fetched")

// ErrNoSigningKey means that a [Signer] has no key that signs yet.
var ErrNoSigningKey = errors.New("keys: there is no signing key")
