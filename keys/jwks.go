package keys

import (
	"errors"
	"fmt"

	"github.com/kubesa/serviceaccount/internal/jose"
	"github.com/kubesa/serviceaccount/keys/internal/wrap"
)

// ErrMalformedJWKS means that a text isn't a JWK Set: not one JSON object with an
// array "keys", longer than 1 MiB, with more than 64 keys, nested too deep, or
// ambiguous, so that two decoders could read different keys.
var ErrMalformedJWKS = errors.New("keys: malformed JWK Set")

// ErrNoKeys means that there is no key to publish.
var ErrNoKeys = errors.New("keys: no keys provided for validating keyset")

// ParseJWKS returns the keys of a JWK Set (RFC 7517) under the ids in it. Keys of
// unsupported types and curves are left out, see [Set.Skipped]. Any other mistake
// fails the whole set, because its publisher may mean something else than we would
// read: private and symmetric keys, missing and repeated ids, keys for encryption or
// for an algorithm that isn't theirs, weak and broken keys.
//
// The error wraps [ErrMalformedJWKS] or a [*KeyError]. It never holds any of
// the text.
func ParseJWKS(data []byte) (*Set, error) {
	list, skipped, err := jose.ParseJWKS(data)
	if err != nil {
		return nil, jwksError(err)
	}
	keys := make([]PublicKey, len(list))
	for i, key := range list {
		keys[i] = PublicKey{ID: key.KeyID, Algorithm: Algorithm(key.Algorithm), Key: key.Key}
	}
	set := SetOf(keys)
	for _, err := range skipped {
		set.skipped = append(set.skipped, jwksError(err))
	}
	return set, nil
}

// jwksError turns an error of jose.ParseJWKS into one of this package.
func jwksError(err error) error {
	if e, ok := errors.AsType[*jose.MalformedError](err); ok {
		return fmt.Errorf("%w: %s", ErrMalformedJWKS, e.Fault)
	}
	if e, ok := errors.AsType[*jose.JWKError](err); ok {
		return wrap.Errorf(keyError(e.Err), "keys: JWK Set: key #%d", e.Index)
	}
	return err
}

// Skipped returns why [ParseJWKS] left keys out, one [*KeyError] each.
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
