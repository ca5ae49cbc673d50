package keys

import (
	"context"
	"crypto"
	"errors"
	"reflect"
	"slices"
	"time"

	"github.com/kubesa/serviceaccount/keys/internal/wrap"
)

// MaxAge returns how long others may cache the keys of source: what its method
// MaxAge() time.Duration returns, such as that of [Set], or one hour if it has no
// such method.
func MaxAge(source Source) time.Duration {
	if s, ok := source.(interface{ MaxAge() time.Duration }); ok {
		return max(0, s.MaxAge())
	}
	return time.Hour // KEY-23
}

// A Set is a [Source] of keys that never change. It is safe for concurrent
// use.
type Set struct {
	keys []PublicKey
	byID map[string][]PublicKey

	skipped []error
}

// NewSet returns the Set of keys in their order, with duplicates; of a private key it
// has the public half. A set without keys verifies nothing. The error reports every
// key that [AlgorithmOf] rejects, each as a [*KeyError] with its index.
func NewSet(keys ...crypto.PublicKey) (*Set, error) {
	list := make([]PublicKey, 0, len(keys))
	var errs []error
	for i, key := range keys {
		pub, err := publicHalf(key)
		if err == nil {
			var public PublicKey
			public, err = NewPublicKey(pub)
			list = append(list, public)
		}
		if err != nil {
			errs = append(errs, wrap.Errorf(err, "keys: key #%d: failed to serialize public key to DER format", i))
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return SetOf(list), nil
}

// SetOf returns the Set of keys as they are, unchecked, under the ids that they
// have.
func SetOf(list []PublicKey) *Set {
	s := &Set{keys: slices.Clip(list), byID: make(map[string][]PublicKey, len(list))}
	for _, key := range list {
		// Clipped, so that callers that append to a result don't share it.
		s.byID[key.ID] = slices.Clip(append(s.byID[key.ID], key))
	}
	return s
}

// PublicKeys implements [Source]. It never fails.
func (s *Set) PublicKeys(_ context.Context, id string) ([]PublicKey, error) {
	if id == "" {
		return s.keys, nil
	}
	return s.byID[id], nil
}

// MaxAge returns how long others may keep a copy of the set: one hour.
func (s *Set) MaxAge() time.Duration { return time.Hour }

// publicHalf returns the public key of a private key, and any other key as it
// is.
func publicHalf(key any) (crypto.PublicKey, error) {
	if v := reflect.ValueOf(key); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, &KeyError{Reason: ReasonMissing, Problem: "no key"}
	}
	if private, ok := key.(crypto.Signer); ok {
		return private.Public(), nil
	}
	return key, nil
}
