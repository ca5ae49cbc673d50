package external

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/internal/wrap"
)

// A Service has the three calls of ExternalJWTSigner, the API of Kubernetes' external
// signers. It must be safe for concurrent use, and its calls must return when their
// context is done.
type Service interface {
	// Sign signs claims, a payload in base64url without padding, and returns
	// the header and the signature that belong to it in the same encoding.
	Sign(ctx context.Context, claims string) (header, signature string, err error)
	// FetchKeys returns all keys that verify tokens.
	FetchKeys(ctx context.Context) (*Keys, error)
	// MaxTokenLifetime returns how long the tokens may last that Sign signs.
	MaxTokenLifetime(ctx context.Context) (time.Duration, error)
}

// Keys is what [Service].FetchKeys returns.
type Keys struct {
	Keys          []Key         // up to 64
	DataTimestamp time.Time     // when the keys were last changed; any time, even zero
	RefreshHint   time.Duration // when to fetch them again
}

// Limits of what a service answers. The largest key that [keys.AlgorithmOf] accepts
// takes half of maxKeyBytes.
const (
	maxKeys     = 64
	maxKeyBytes = 2 << 10
)

// A Key is a public key in PKIX DER, under the id that its owner has
// given it.
type Key struct {
	ID                   string
	PKIX                 []byte
	ExcludeFromDiscovery bool
}

// check returns the keys, or what is wrong with them (KEY-42).
func (a *Keys) check() (*keys.Set, error) {
	switch {
	case a == nil:
		return nil, errors.New("found no keys")
	case a.RefreshHint <= 0:
		return nil, fmt.Errorf("found invalid refresh hint (%ds)", int64(a.RefreshHint/time.Second))
	case len(a.Keys) == 0:
		return nil, errors.New("found no keys")
	case len(a.Keys) > maxKeys:
		return nil, fmt.Errorf("found %d public keys, want at most %d", len(a.Keys), maxKeys)
	}
	list := make([]keys.PublicKey, len(a.Keys))
	for i, key := range a.Keys {
		if key.ID == "" || len(key.ID) > 1024 {
			return nil, fmt.Errorf("found invalid public key id %.64q", key.ID)
		}
		if len(key.PKIX) == 0 {
			return nil, errors.New("found empty public key")
		}
		if len(key.PKIX) > maxKeyBytes {
			return nil, fmt.Errorf("found a public key %.64q of %d bytes, want at most %d", key.ID, len(key.PKIX), maxKeyBytes)
		}
		pub, err := x509.ParsePKIXPublicKey(key.PKIX)
		if err != nil {
			return nil, fmt.Errorf("while parsing external public keys: key %.64q: not PKIX DER", key.ID)
		}
		public, err := keys.NewPublicKey(pub)
		if err != nil {
			return nil, wrap.Errorf(err, "while parsing external public keys: key %.64q", key.ID)
		}
		public.ID, public.Unpublished = key.ID, key.ExcludeFromDiscovery
		list[i] = public
	}
	return keys.SetOf(list), nil
}
