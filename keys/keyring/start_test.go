package keyring_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/internal/keystest"
	"github.com/kubesa/serviceaccount/keys/keyring"
)

func TestRingEnsureSigning(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	cfg := keyring.Config{MaxAge: time.Minute, MaxTokenLifetime: time.Hour, Now: func() time.Time { return now }}
	newRing := func(t *testing.T) *keyring.Ring {
		ring, err := keyring.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return ring
	}
	want := func(t *testing.T, ring *keyring.Ring, wantID string, wantKeys int) {
		t.Helper()
		id, err := ring.EnsureSigning(t.Context(), keys.ES256)
		if err != nil || wantID != "" && id != wantID {
			t.Errorf("EnsureSigning() = %q, %v, want %q", id, err, wantID)
		}
		known := ring.Keys()
		if len(known) != wantKeys {
			t.Errorf("the ring has %d keys, want %d", len(known), wantKeys)
		}
		for _, key := range known {
			if (key.State() == keyring.Signing) != (key.ID == id) {
				t.Errorf("key %s is %s, and %s was returned", key.ID, key.State(), id)
			}
		}
		if _, err := ring.Sign(t.Context(), []byte(`{}`)); err != nil {
			t.Errorf("Sign() = %v", err)
		}
	}
	t.Run("empty, and again", func(t *testing.T) {
		ring := newRing(t)
		want(t, ring, "", 1)
		want(t, ring, ring.Keys()[0].ID, 1)
	})
	t.Run("ended before the first key was promoted", func(t *testing.T) {
		ring := newRing(t)
		want(t, ring, addKey(t, ring, keys.ES384), 1)
	})
	t.Run("keys of others only", func(t *testing.T) {
		ring := newRing(t)
		other, err := keys.Generate(keys.ES256)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ring.AddPublic(t.Context(), other.Public()); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second attempt must not add another
			_, err := ring.EnsureSigning(t.Context(), keys.ES256)
			if early, ok := errors.AsType[*keyring.StepError](err); !ok || early.Reason != keyring.ReasonTooEarly || len(ring.Keys()) != 2 {
				t.Fatalf("EnsureSigning() = %v with %d keys, want a *StepError that says when, and one new key", err, len(ring.Keys()))
			}
		}
		now = now.Add(time.Hour)
		want(t, ring, ring.Keys()[1].ID, 2)
	})
	t.Run("no algorithm", func(t *testing.T) {
		ring := newRing(t)
		if _, err := ring.EnsureSigning(t.Context(), "HS256"); err == nil || !strings.Contains(err.Error(), "HS256") || len(ring.Keys()) != 0 {
			t.Errorf("EnsureSigning(HS256) = %v with %d keys, want an error and none", err, len(ring.Keys()))
		}
	})
}

// Observe is told of each step, also of one that is refused, and of the changes of
// others, once.
func TestRingObserve(t *testing.T) {
	clock, dir := keystest.NewClock(), t.TempDir()
	cfg := ringConfig(clock)
	var events []keys.Event
	cfg.Observe = func(_ context.Context, e keys.Event) { events = append(events, e) }
	ring := keystest.Must(keyring.Open(t.Context(), dir, cfg))
	other := keystest.Must(keyring.Open(t.Context(), dir, ringConfig(clock)))
	want := func(want ...keys.Event) {
		t.Helper()
		if len(events) != len(want) {
			t.Fatalf("Observe got %+v, want %+v", events, want)
		}
		for i, e := range events {
			if e.Keys != want[i].Keys || e.Changed != want[i].Changed || (e.Err == nil) != (want[i].Err == nil) {
				t.Errorf("Observe got %+v, want %+v", events, want)
			}
		}
		events = nil
	}
	id := keystest.Must(ring.EnsureSigning(t.Context(), keys.ES256))
	want(keys.Event{}, keys.Event{Keys: 1, Changed: true}) // there is no key to promote; one is added and promoted
	err := ring.Retire(t.Context(), id)
	want(keys.Event{Keys: 1, Err: err})
	keystest.Must(other.Add(t.Context(), keystest.NewKey()))
	clock.Add(time.Second)
	for range 2 {
		ring.Keys()
	}
	want(keys.Event{Keys: 2, Changed: true})
	state := filepath.Join(dir, "ring.json")
	good, err := os.ReadFile(state)
	ok(t, err)
	ok(t, os.WriteFile(state, []byte("{"), 0o644))
	clock.Add(time.Second)
	ring.Keys()
	want(keys.Event{Keys: 2, Err: ring.Err()})
	ok(t, os.WriteFile(state, good, 0o644))
	for range 2 { // the end of the failure is told once
		clock.Add(time.Second)
		ring.Keys()
	}
	want(keys.Event{Keys: 2})
}

// Replicas that start together agree on one key.
func TestRingEnsureSigningTogether(t *testing.T) {
	dir := t.TempDir()
	ids := make([]string, 8)
	var replicas sync.WaitGroup
	for i := range ids {
		replicas.Go(func() {
			ring, err := keyring.Open(t.Context(), dir, keyring.Config{})
			if err != nil {
				t.Error(err)
				return
			}
			if ids[i], err = ring.EnsureSigning(t.Context(), keys.ES256); err != nil {
				t.Error(err)
			}
		})
	}
	replicas.Wait()
	ring, err := keyring.Open(t.Context(), dir, keyring.Config{})
	if err != nil || len(ring.Keys()) != 1 {
		t.Fatalf("the folder has the keys %v, %v, want one", ring.Keys(), err)
	}
	for _, id := range ids {
		if id != ring.Keys()[0].ID {
			t.Errorf("a replica got %q, want %q", id, ring.Keys()[0].ID)
		}
	}
}

func addKey(t *testing.T, ring *keyring.Ring, alg keys.Algorithm) string {
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
