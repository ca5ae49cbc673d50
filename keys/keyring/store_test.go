package keyring_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/internal/keystest"
	"github.com/kubesa/serviceaccount/keys/keyring"
	"github.com/kubesa/serviceaccount/keys/keyring/storetest"
)

func TestStores(t *testing.T) {
	t.Run("Memory", func(t *testing.T) {
		storetest.Run(t, func(*testing.T) func() keyring.Store {
			var m keyring.Memory
			return func() keyring.Store { return &m }
		})
	})
	t.Run("folder", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) func() keyring.Store {
			dir := t.TempDir()
			return func() keyring.Store { return keyring.NewFolder(dir) }
		})
	})
}

func TestOpenStoreRefuses(t *testing.T) {
	for _, tt := range []struct {
		name  string
		store keyring.Store
		cfg   keyring.Config
		want  string
	}{
		{"no store", nil, keyring.Config{}, "keyring: Config.Store is required, want a Store"},
		{"typed nil", (*keyring.Memory)(nil), keyring.Config{}, "keyring: Config.Store is required, want a Store"},
		{"for folders", &keyring.Memory{}, keyring.Config{InsecureParents: true}, "keyring: Config.InsecureParents is set, which is for folders only"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ring, err := keyring.OpenStore(t.Context(), tt.store, tt.cfg)
			if _, ok := errors.AsType[*keyring.ConfigError](err); !ok || ring != nil || err.Error() != tt.want {
				t.Errorf("OpenStore() = %v, %v, want %s", ring, err, tt.want)
			}
		})
	}
}

// A ring whose store is gone or fails keeps its keys; a step that others keep undoing ends.
func TestStoreFails(t *testing.T) {
	clock := keystest.NewClock()
	fault := storetest.None
	faulty := func(s keyring.Store) keyring.Store {
		return storetest.NewFaulty(s, func(call string) storetest.Fault {
			if call == "Load" && fault == storetest.Conflict {
				return storetest.None
			}
			return fault
		})
	}
	s := &movable{&keyring.Memory{}}
	ring := keystest.Must(keyring.OpenStore(t.Context(), faulty(s), ringConfig(clock)))
	id := keystest.Must(ring.EnsureSigning(t.Context(), keys.ES256))
	full := s.Store
	for _, tt := range []struct {
		name  string
		store keyring.Store
		fault storetest.Fault
		err   string
	}{
		{"gone", &keyring.Memory{}, storetest.None, "keyring: reading ring: ring.json in memory is gone"},
		{"failing", full, storetest.Refused, "keyring: reading ring: storetest: the store failed"},
		{"back", full, storetest.None, ""},
	} {
		s.Store, fault = tt.store, tt.fault
		clock.Add(maxAge)
		token := mint(t, ring)
		if got := ring.Err(); token.KeyID != id || got == nil && tt.err != "" || got != nil && got.Error() != tt.err {
			t.Errorf("%s: the ring signs with %s, Err() = %v, want %s", tt.name, token.KeyID, got, tt.err)
		}
		if _, err := ring.Add(t.Context(), keystest.NewKey()); tt.err != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.err)) {
			t.Errorf("%s: Add() = %v, want %s", tt.name, err, tt.err)
		}
	}
	fault = storetest.Conflict
	before := len(ring.Keys())
	if _, err := ring.Add(t.Context(), keystest.NewKey()); !errors.Is(err, keyring.ErrConflict) || len(ring.Keys()) != before {
		t.Errorf("Add() while others are faster all the time = %v, want ErrConflict", err)
	}
}

// A movable is a Store that can be replaced.
type movable struct{ keyring.Store }

func TestMemoryGivesUp(t *testing.T) {
	var m keyring.Memory
	stored, err := m.Load(t.Context())
	if err == nil {
		_, err = stored.Entry("a.key")
	}
	if err == nil || err.Error() != "read a.key: file does not exist" {
		t.Errorf("an entry that isn't there: %v", err)
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Load(done); !errors.Is(err, context.Canceled) {
		t.Errorf("Load() = %v, want that of the context", err)
	}
	if _, err := m.Swap(done, "", keyring.Change{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Swap() = %v, want that of the context", err)
	}
}

func TestMemoryPrintsNothing(t *testing.T) {
	var m keyring.Memory
	keystest.Must(keystest.Must(keyring.OpenStore(t.Context(), &m, keyring.Config{})).EnsureSigning(t.Context(), keys.ES256))
	if text := fmt.Sprintf("%v %+v %#v %s", &m, &m, &m, &m); strings.Contains(text, "KEY") || strings.Contains(text, "entries") || strings.Count(text, "keyring.Memory(") != 4 {
		t.Errorf("it prints as %.100s", text)
	}
}
