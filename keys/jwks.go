package keys

import (
	"errors"
	"fmt"
	"strings"

	"github.com/kubesa/serviceaccount/internal/jose"
	"github.com/kubesa/serviceaccount/keys/internal/wrap"
)

// ErrMalformedJWKS means that a text isn't a JWK Set: not one JSON object with one
// array "keys", longer than 1 MiB, or with more than 1,024 keys.
var ErrMalformedJWKS = errors.New("keys: malformed JWK Set")

// ErrNoKeys means that there is no key to publish.
var ErrNoKeys = errors.New("keys: no keys provided for validating keyset")

// ParseJWKS returns the keys of a JWK Set (RFC 7517) under the ids in it. A key that
// can't be used is left out, see [Set.Skipped]: one of an unsupported type or curve,
// for encryption or another algorithm, weak, broken, or ambiguous; the second of two
// with the same id; more than 64. Private and symmetric keys are left out too: others
// have them. A key without an id verifies tokens without one.
//
// The error wraps [ErrMalformedJWKS]: data is no JWK Set. It never holds any of the
// text.
func ParseJWKS(data []byte) (*Set, error) {
	list, skipped, err := jose.ParseJWKS(data)
	if e, ok := errors.AsType[*jose.MalformedError](err); ok {
		return nil, fmt.Errorf("%w: %s", ErrMalformedJWKS, e.Fault)
	}
	keys := make([]PublicKey, len(list))
	for i, key := range list {
		keys[i] = PublicKey{ID: key.KeyID, Algorithm: Algorithm(key.Algorithm), Key: key.Key}
	}
	set := SetOf(keys)
	for _, e := range skipped {
		reason, _ := errors.AsType[*KeyError](keyError(e))
		set.skipped = append(set.skipped, &JWKError{Index: e.Index, ID: e.KeyID, Err: reason})
	}
	return set, nil
}

// A JWKError says which key of a JWK Set is left out, and why.
type JWKError struct {
	Index int    // of the key in the set, from 0
	ID    string // its "kid", empty if it has none that can be read
	Err   *KeyError
}

func (e *JWKError) Error() string {
	where := fmt.Sprintf("keys: JWK Set: key #%d", e.Index)
	if e.ID != "" {
		where += fmt.Sprintf(" %.64q", e.ID)
	}
	return where + strings.TrimPrefix(e.Err.Error(), "keys")
}

func (e *JWKError) Unwrap() error { return e.Err }

// Skipped returns which keys [ParseJWKS] left out, and why: a [*JWKError] each, which
// wraps a [*KeyError].
func (s *Set) Skipped() []error { return s.skipped }

// JWKS returns the JWK Set that publishes the keys of s, byte for byte that of
// Kubernetes, or [ErrNoKeys].
func (s *Set) JWKS() ([]byte, error) {
	data, _, err := EncodeJWKS(s.keys)
	return data, err
}

// EncodeJWKS returns the JWK Set that publishes list, as [Set.JWKS] does. Keys that
// are Unpublished are left out, and so are those that [AlgorithmOf] rejects, which a
// [Source] should not have: bad has a [*KeyError] for each. If none is left the error
// is [ErrNoKeys].
func EncodeJWKS(list []PublicKey) (data []byte, bad []error, err error) {
	var published []jose.JWK
	for i, key := range list {
		if key.Unpublished { // KEY-32
			continue
		}
		alg, err := AlgorithmOf(key.Key)
		if err != nil {
			bad = append(bad, wrap.Errorf(badKeyError(err), "keys: could not marshal issuer discovery JSON, error: error constructing JWK for key #%d", i))
			continue
		}
		published = append(published, jose.JWK{KeyID: key.ID, Algorithm: string(alg), Key: key.Key})
	}
	if len(published) == 0 {
		return nil, bad, ErrNoKeys
	}
	data, err = jose.EncodeJWKS(published)
	return data, bad, keyError(err)
}

// badKeyError adds to err what Kubernetes says of such keys (KEY-33).
func badKeyError(err error) error {
	e, _ := errors.AsType[*KeyError](err)
	switch e.Reason {
	case ReasonType, ReasonMissing:
		return wrap.Errorf(err, "keys: unknown public key type, must be *rsa.PublicKey, *ecdsa.PublicKey, or jose.OpaqueSigner")
	case ReasonCurve:
		return wrap.Errorf(err, "keys: unknown private key curve, must be 256, 384, or 521")
	}
	return err
}
