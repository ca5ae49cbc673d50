package keys

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrBadClaims reports claims that can't be signed: they are no JSON object in
// base64url. It is the caller's mistake, who must not try again.
var ErrBadClaims = errors.New("keys: claims are not a JSON object in base64url without padding")

// ExternalService returns the service that a kube-apiserver with
// --service-account-signing-endpoint asks for: it signs with the ring's keys and
// tells which they are (KEY-40..47), so that they can be replaced while the API
// server runs. Package keys/externaljwt serves it on a socket. Whoever reaches it
// can have anything signed.
//
// Its keys are to be fetched twice in [RingConfig].MaxAge, but not more often than
// once a second, and its tokens may last for [RingConfig].MaxTokenLifetime. Sign fails
// with [ErrNoSigningKey], with [ErrBadClaims], or as the key does; FetchKeys fails
// while the ring has no key. It is safe for concurrent use.
func (r *Ring) ExternalService() ExternalService { return ringService{r} }

type ringService struct{ ring *Ring }

// Sign implements [ExternalService].
func (s ringService) Sign(ctx context.Context, claims string) (header, signature string, err error) {
	payload, err := base64.RawURLEncoding.DecodeString(claims)
	// Line breaks are decoded too, and would be gone from what is signed.
	if err != nil || base64.RawURLEncoding.EncodeToString(payload) != claims || len(payload) == 0 || payload[0] != '{' || !json.Valid(payload) {
		return "", "", ErrBadClaims
	}
	signer := s.ring.fresh().signing
	if signer == nil {
		return "", "", ErrNoSigningKey
	}
	token, err := signer.signer.SignTyped(ctx, payload)
	if err != nil {
		return "", "", err
	}
	header, rest, _ := strings.Cut(token, ".")
	_, signature, _ = strings.Cut(rest, ".")
	return header, signature, nil
}

// FetchKeys implements [ExternalService].
func (s ringService) FetchKeys(ctx context.Context) (*ExternalKeys, error) {
	state := s.ring.fresh()
	known, err := state.set.PublicKeys(ctx, "")
	if err != nil {
		return nil, err
	}
	if len(known) == 0 {
		return nil, ErrNoSigningKey // no keys is no answer (KEY-42)
	}
	answer := &ExternalKeys{RefreshHint: max(time.Second, s.ring.MaxAge()/2)}
	for _, key := range known {
		pkix, err := x509.MarshalPKIXPublicKey(key.Key)
		if err != nil {
			return nil, fmt.Errorf("keys: encoding public key %q: %w", key.ID, err)
		}
		answer.Keys = append(answer.Keys, ExternalKey{ID: key.ID, PKIX: pkix, ExcludeFromDiscovery: key.Unpublished})
	}
	for _, key := range state.keys {
		for _, at := range []time.Time{key.Added, key.Promoted, key.Demoted} {
			if at.After(answer.DataTimestamp) {
				answer.DataTimestamp = at
			}
		}
	}
	return answer, nil
}

// MaxTokenLifetime implements [ExternalService].
func (s ringService) MaxTokenLifetime(context.Context) (time.Duration, error) {
	return s.ring.rules.maxLifetime, nil
}
