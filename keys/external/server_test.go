package external_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/external"
	"github.com/kubesa/serviceaccount/keys/internal/keystest"
	"github.com/kubesa/serviceaccount/keys/keyring"
)

// A ring behind a Service signs what an Signer accepts, before and
// after its keys were replaced (KEY-40..47).
func TestServer(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	clock := func() time.Time { return now }
	ring, err := keyring.New(keyring.Config{MaxAge: time.Minute, MaxTokenLifetime: time.Hour, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	first := keystest.Must(ring.Add(t.Context(), keystest.NewKey()))
	if err := ring.Promote(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	service := newServer(t, ring)
	signer, err := external.NewSigner(external.SignerConfig{Service: service, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	const payload = `{"sub":"a"}`
	wantSigned(t, signer, ring, payload, first)
	if max, _, err := signer.Lifetimes(t.Context(), 0, time.Hour); err != nil || max != time.Hour {
		t.Errorf("Lifetimes() = %v, %v, want the ring's hour", max, err)
	}
	now = now.Add(time.Hour)
	second := keystest.Must(ring.Add(t.Context(), keystest.RSAKey()))
	answer, err := service.FetchKeys(t.Context())
	if err != nil || len(answer.Keys) != 2 || !answer.DataTimestamp.Equal(now) || answer.RefreshHint != 30*time.Second {
		t.Errorf("FetchKeys() = %+v, %v, want two keys, changed at %v, to be fetched again after 30 s", answer, err, now)
	}
	now = now.Add(time.Hour)
	if err := ring.Promote(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	wantSigned(t, signer, ring, payload, second)
}

func newServer(t *testing.T, ring *keyring.Ring) *external.Server {
	t.Helper()
	server, err := external.NewServer(external.ServerConfig{Signer: ring, Keys: ring, MaxTokenLifetime: ring.MaxTokenLifetime()})
	if err != nil {
		t.Fatal(err)
	}
	return server
}

func wantSigned(t *testing.T, signer *external.Signer, ring *keyring.Ring, payload, id string) {
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

func TestServerRefuses(t *testing.T) {
	ring, err := keyring.New(keyring.Config{})
	if err != nil {
		t.Fatal(err)
	}
	service := newServer(t, ring)
	encode := base64.RawURLEncoding.EncodeToString
	good := encode([]byte(`{}`))
	if _, err := service.FetchKeys(t.Context()); !errors.Is(err, keys.ErrNoSigningKey) {
		t.Errorf("FetchKeys() of an empty ring: %v, want ErrNoSigningKey", err)
	}
	if _, _, err := service.Sign(t.Context(), good); !errors.Is(err, keys.ErrNoSigningKey) {
		t.Errorf("Sign() with an empty ring: %v, want ErrNoSigningKey", err)
	}
	if err := ring.Promote(t.Context(), keystest.Must(ring.Add(t.Context(), keystest.NewKey()))); err != nil {
		t.Fatal(err)
	}
	for name, claims := range map[string]string{
		"nothing": "", "no base64": "e30!", "padded": "e30=", "a line break": "e3\n0", "spare bits": "e31", "an array": encode([]byte(`[]`)),
		"broken": encode([]byte(`{"a":`)), "two": encode([]byte(`{}{}`)), "standard base64": "e30+", "white space": encode([]byte(` {}`)),
	} {
		if _, _, err := service.Sign(t.Context(), claims); !errors.Is(err, external.ErrBadClaims) {
			t.Errorf("Sign(%s): %v, want ErrBadClaims", name, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := service.Sign(ended, good); !errors.Is(err, context.Canceled) {
		t.Errorf("Sign() after the end: %v, want context.Canceled", err)
	}
}

// A signer that breaks its contract gives an error that says so.
func TestServerSignsNothing(t *testing.T) {
	set := keystest.Must(keys.NewSet(keystest.NewKey().Public()))
	for _, token := range []brokenSigner{"", "e30", "e30.e30", "e30.e30."} {
		service, err := external.NewServer(external.ServerConfig{Signer: token, Keys: set, MaxTokenLifetime: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		if header, _, err := service.Sign(t.Context(), "e30"); header != "" || fmt.Sprint(err) != "external: the signer returned neither a token nor an error" {
			t.Errorf("Sign() of a signer that returns %q = %q, %v", token, header, err)
		}
	}
}

// A brokenSigner is what it returns.
type brokenSigner string

func (s brokenSigner) SignTyped(context.Context, []byte) (string, error) { return string(s), nil }

// A source that doesn't say when its keys changed: the answers say when that was
// noticed, and clients are told of each change once.
func TestServerNoticesChanges(t *testing.T) {
	clock := keystest.NewClock()
	signer := keystest.Must(keys.NewSigner(keystest.P256Key()))
	source := &sourceOf{list: []keys.PublicKey{signer.PublicKey()}}
	server := keystest.Must(external.NewServer(external.ServerConfig{
		Signer: signer, Keys: source, MaxTokenLifetime: time.Hour, RefreshHint: time.Minute, Now: clock.Now}))
	started := clock.Now()
	want := func(n int, changed time.Time) {
		t.Helper()
		answer, err := server.FetchKeys(t.Context())
		if err != nil || len(answer.Keys) != n || !answer.DataTimestamp.Equal(changed) || answer.RefreshHint != time.Minute {
			t.Fatalf("FetchKeys() = %+v, %v, want %d keys, changed at %v", answer, err, n, changed)
		}
		for i, key := range source.list {
			if got := answer.Keys[i]; got.ID != key.ID || got.ExcludeFromDiscovery != key.Unpublished {
				t.Errorf("FetchKeys() returns %+v, want that it is %s, unpublished: %t", got, key.ID, key.Unpublished)
			}
		}
	}
	want(1, started)
	clock.Add(time.Hour)
	want(1, started)
	source.list = append(source.list, keystest.Must(keys.NewPublicKey(keystest.P384Key().Public())))
	want(2, clock.Now())
	clock.Add(time.Hour)
	want(2, clock.Now().Add(-time.Hour))
	hidden := append([]keys.PublicKey(nil), source.list...)
	hidden[1].Unpublished = true
	source.list = hidden
	want(2, clock.Now())
	source.list = []keys.PublicKey{{ID: "bad"}}
	if _, err := server.FetchKeys(t.Context()); err == nil || !strings.HasPrefix(err.Error(), `external: encoding public key "bad": `) {
		t.Errorf("FetchKeys() of a key that can't be encoded = %v", err)
	}
	source.err = errors.New("down")
	if _, err := server.FetchKeys(t.Context()); !errors.Is(err, source.err) {
		t.Errorf("FetchKeys() = %v, want the error of the source", err)
	}
}

// SECURITY: every mistake is told, and what is as little as may be is none.
func TestNewServer(t *testing.T) {
	signer := keystest.Must(keys.NewSigner(keystest.P256Key()))
	_, err := external.NewServer(external.ServerConfig{Keys: (*keys.Set)(nil), MaxTokenLifetime: 10*time.Minute - 1, RefreshHint: time.Second - 1})
	const want = `external: ServerConfig.Signer is required, want a keys.TypedSigner
external: ServerConfig.Keys is required, want a keys.Source
external: ServerConfig.MaxTokenLifetime is 9m59.999999999s, want at least 10m0s
external: ServerConfig.RefreshHint is 999.999999ms, want at least 1s`
	if _, ok := errors.AsType[*external.ConfigError](err); !ok || err.Error() != want {
		t.Errorf("NewServer() =\n%v\nwant\n%s", err, want)
	}
	if _, err := external.NewServer(external.ServerConfig{Signer: signer, Keys: &sourceOf{}, MaxTokenLifetime: time.Hour, RefreshHint: -1}); err == nil {
		t.Error("NewServer() with a negative RefreshHint = nil")
	}
	source := &sourceOf{list: []keys.PublicKey{signer.PublicKey()}}
	for hint, want := range map[time.Duration]time.Duration{0: time.Second, time.Second: time.Second} { // half of 1.5 s is too little
		server := keystest.Must(external.NewServer(external.ServerConfig{Signer: signer, Keys: agedSource{source}, MaxTokenLifetime: 10 * time.Minute, RefreshHint: hint}))
		if answer, err := server.FetchKeys(t.Context()); err != nil || answer.RefreshHint != want || time.Since(answer.DataTimestamp) > time.Hour {
			t.Errorf("RefreshHint %v: FetchKeys() = %+v, %v, want a hint of %v", hint, answer, err, want)
		}
	}
}

// An agedSource may be remembered for a second and a half.
type agedSource struct{ keys.Source }

func (agedSource) MaxAge() time.Duration { return 1500 * time.Millisecond }

// A sourceOf is a Source of a list that tests change.
type sourceOf struct {
	list []keys.PublicKey
	err  error
}

func (s *sourceOf) PublicKeys(context.Context, string) ([]keys.PublicKey, error) {
	return s.list, s.err
}
