package keys_test

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/kubesa/serviceaccount/keys"
)

// A ring behind an ExternalService signs what an ExternalSigner accepts, before and
// after its keys were replaced (KEY-40..47).
func TestRingExternalService(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	clock := func() time.Time { return now }
	ring, err := keys.NewRing(keys.RingConfig{MaxAge: time.Minute, MaxTokenLifetime: time.Hour, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	first := addKey(t, ring, keys.ES256)
	if err := ring.Promote(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	signer, err := keys.NewExternalSigner(t.Context(), keys.ExternalSignerConfig{Service: ring.ExternalService(), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	const payload = `{"sub":"a"}`
	wantSigned(t, signer, ring, payload, first)
	if max, _, err := signer.Lifetimes(t.Context(), 0, time.Hour); err != nil || max != time.Hour {
		t.Errorf("Lifetimes() = %v, %v, want the ring's hour", max, err)
	}
	now = now.Add(time.Hour)
	second := addKey(t, ring, keys.RS256)
	answer, err := ring.ExternalService().FetchKeys(t.Context())
	if err != nil || len(answer.Keys) != 2 || !answer.DataTimestamp.Equal(now) || answer.RefreshHint != 30*time.Second {
		t.Errorf("FetchKeys() = %+v, %v, want two keys, changed at %v, to be fetched again after 30 s", answer, err, now)
	}
	now = now.Add(time.Hour)
	if err := ring.Promote(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	wantSigned(t, signer, ring, payload, second)
}

func addKey(t *testing.T, ring *keys.Ring, alg keys.Algorithm) string {
	t.Helper()
	key, err := keys.Generate(alg)
	if err != nil {
		t.Fatal(err)
	}
	id, err := ring.Add(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func wantSigned(t *testing.T, signer *keys.ExternalSigner, ring *keys.Ring, payload, id string) {
	t.Helper()
	token, err := signer.Sign(t.Context(), []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	header, err := base64.RawURLEncoding.DecodeString(token[:strings.Index(token, ".")])
	if err != nil || !strings.Contains(string(header), `"kid":"`+id+`","typ":"JWT"}`) {
		t.Errorf("the header is %s, %v, want key %s and the type", header, err, id)
	}
	known, err := ring.PublicKeys(t.Context(), id)
	if err != nil || len(known) != 1 {
		t.Fatalf("PublicKeys(%s) = %v, %v", id, known, err)
	}
}

func TestRingExternalServiceRefuses(t *testing.T) {
	ring, err := keys.NewRing(keys.RingConfig{})
	if err != nil {
		t.Fatal(err)
	}
	service := ring.ExternalService()
	encode := base64.RawURLEncoding.EncodeToString
	good := encode([]byte(`{}`))
	if _, err := service.FetchKeys(t.Context()); !errors.Is(err, keys.ErrNoSigningKey) {
		t.Errorf("FetchKeys() of an empty ring: %v, want ErrNoSigningKey", err)
	}
	if _, _, err := service.Sign(t.Context(), good); !errors.Is(err, keys.ErrNoSigningKey) {
		t.Errorf("Sign() with an empty ring: %v, want ErrNoSigningKey", err)
	}
	if err := ring.Promote(t.Context(), addKey(t, ring, keys.ES256)); err != nil {
		t.Fatal(err)
	}
	for name, claims := range map[string]string{
		"nothing": "", "no base64": "e30!", "padded": "e30=", "a line break": "e3\n0", "spare bits": "e31", "an array": encode([]byte(`[]`)),
		"broken": encode([]byte(`{"a":`)), "two": encode([]byte(`{}{}`)), "standard base64": "e30+", "white space": encode([]byte(` {}`)),
	} {
		if _, _, err := service.Sign(t.Context(), claims); !errors.Is(err, keys.ErrBadClaims) {
			t.Errorf("Sign(%s): %v, want ErrBadClaims", name, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := service.Sign(ended, good); !errors.Is(err, context.Canceled) {
		t.Errorf("Sign() after the end: %v, want context.Canceled", err)
	}
}
