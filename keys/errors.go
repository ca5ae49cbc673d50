package keys

import (
	"errors"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/internal/jose"
)

// A ConfigError is one mistake in a [FileSourceConfig]. It has the fields Config, Field
// and Problem. Only another config helps.
type ConfigError = configerror.Error

// A Reason says why a key is not used.
type Reason string

// The reasons for which a key is not used.
const (
	ReasonMissing    Reason = jose.FaultMissing  // nil, a nil pointer, or a key without numbers
	ReasonType       Reason = jose.FaultType     // neither RSA nor ECDSA
	ReasonSize       Reason = jose.FaultSize     // RSA modulus shorter than 2048 or longer than 8192 bits
	ReasonModulus    Reason = jose.FaultModulus  // RSA modulus that isn't the product of two primes
	ReasonExponent   Reason = jose.FaultExponent // RSA exponent even, below 3 or above 2³¹-1
	ReasonCurve      Reason = jose.FaultCurve    // not P-256, P-384 or P-521
	ReasonPoint      Reason = jose.FaultPoint    // not a point of its curve
	ReasonWeakPrimes Reason = jose.FaultROCA     // primes that can be found (CVE-2017-15361)
	ReasonPrivateKey Reason = jose.FaultPrivate  // private key that doesn't match its public key, or is not allowed here
	ReasonUse        Reason = jose.FaultUse      // published for another use or algorithm
	ReasonKeyID      Reason = jose.FaultKeyID    // published with an id that is too long, or that of another key
	ReasonTooMany    Reason = jose.FaultTooMany  // usable, but one too many of its set
)

// A KeyError reports a key that is weak, broken or of an unsupported kind. Only another
// key helps. It never holds key material.
type KeyError struct {
	Reason  Reason
	Problem string // what was found and what is wanted
}

func (e *KeyError) Error() string { return "keys: unusable key: " + e.Problem }

// keyError turns a *jose.KeyError into a *KeyError and returns other errors as
// they are.
func keyError(err error) error {
	if e, ok := errors.AsType[*jose.KeyError](err); ok {
		return &KeyError{Reason: Reason(e.Fault), Problem: e.Detail}
	}
	return err
}

// ErrUnavailable means that a [Source] has no keys, or only stale ones, because they
// could not be fetched. It says nothing about a token: retry.
var ErrUnavailable = errors.New("keys: the keys could not be fetched")

// ErrNoSigningKey means that a [Signer] has no key that signs yet.
var ErrNoSigningKey = errors.New("keys: there is no signing key")
