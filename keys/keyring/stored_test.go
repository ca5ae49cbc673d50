package keyring

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubesa/serviceaccount/keys"
)

// A hookedStore calls its hooks, if there are, before the store.
type hookedStore struct {
	Store
	load func(ctx context.Context, n int) (*Stored, error) // both nil for what the store has
	swap func(version string) error
	n    int // calls of Load
}

func (h *hookedStore) Load(ctx context.Context) (*Stored, error) {
	h.n++
	if h.load != nil {
		if stored, err := h.load(ctx, h.n); stored != nil || err != nil {
			return stored, err
		}
	}
	return h.Store.Load(ctx)
}

func (h *hookedStore) Swap(ctx context.Context, version string, change Change) (string, error) {
	if h.swap != nil {
		if err := h.swap(version); err != nil {
			return "", err
		}
	}
	return h.Store.Swap(ctx, version, change)
}

func mustOpen(t *testing.T, store Store, cfg Config) *Ring {
	t.Helper()
	ring, err := OpenStore(t.Context(), store, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func mustAdd(t *testing.T, ring *Ring) (id string) {
	t.Helper()
	key, err := keys.Generate(keys.ES256)
	if err == nil {
		id, err = ring.Add(t.Context(), key)
	}
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// Steps that wait for each other are taken one after the other, each on what the last one
// has left.
func TestRingStepsInTurn(t *testing.T) {
	for name, store := range map[string]Store{"memory": nil, "store": &Memory{}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told []error
				observe := func(_ context.Context, e keys.Event) {
					if !e.Changed {
						told = append(told, e.Err)
					}
				}
				ring, err := newRing(Config{Observe: observe}, store, false)
				if err == nil && store != nil {
					err = ring.open(t.Context())
				}
				if err != nil {
					t.Fatal(err)
				}
				ring.steps <- struct{}{}
				all, _, _ := scriptKeys(t)
				for _, key := range all {
					go func() {
						if _, err := ring.Add(t.Context(), key); err != nil {
							t.Error(err)
						}
					}()
				}
				synctest.Wait()
				given, cancel := context.WithCancel(t.Context())
				go func() {
					if err := ring.Promote(given, "x"); !errors.Is(err, context.Canceled) {
						t.Errorf("Promote() for one who has given up = %v", err)
					}
				}()
				synctest.Wait()
				cancel()
				synctest.Wait()
				<-ring.steps
				synctest.Wait()
				if got := len(ring.Keys()); got != 4 || len(told) != 1 || !errors.Is(told[0], context.Canceled) {
					t.Errorf("the ring has %d keys, want 4; Observe got %v", got, told)
				}
			})
		})
	}
}

// Nothing of a key that is gone stays in memory.
func TestRingForgetsKeys(t *testing.T) {
	ring, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	first := mustAdd(t, ring)
	other, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	public, err := ring.AddPublic(t.Context(), other.Public())
	if err != nil {
		t.Fatal(err)
	}
	mustAdd(t, ring)
	if list, err := ring.PublicKeys(t.Context(), public); err != nil || len(list) != 1 || list[0].ID != public || list[0].Algorithm != keys.ES256 || !other.Public().(*ecdsa.PublicKey).Equal(list[0].Key) {
		t.Errorf("PublicKeys() of one that only verifies = %+v, %v", list, err)
	}
	view := ring.current.Load()
	if len(view.signers) != 2 || len(view.publics) != 1 {
		t.Errorf("there are %d private and %d public keys, want 2 and 1", len(view.signers), len(view.publics))
	}
	for _, id := range []string{first, public} {
		if err := ring.Revoke(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if view := ring.current.Load(); len(view.signers) != 1 || len(view.publics) != 0 || view.signers[first] != nil {
		t.Errorf("there are %d private and %d public keys, want 1 and 0", len(view.signers), len(view.publics))
	}
}

// What is said of a ring: its defaults, when it changed, and its keys.
func TestRingSays(t *testing.T) {
	now := scriptStart
	ring, err := New(Config{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	if ring.MaxAge() != time.Hour || ring.MaxTokenLifetime() != 365*24*time.Hour || ring.every != time.Second || !ring.ChangedAt().IsZero() {
		t.Errorf("by default MaxAge() = %v, MaxTokenLifetime() = %v, ReloadEvery %v, ChangedAt() = %v", ring.MaxAge(), ring.MaxTokenLifetime(), ring.every, ring.ChangedAt())
	}
	for name, sign := range map[string]func(context.Context, []byte) (string, error){"Sign": ring.Sign, "SignTyped": ring.SignTyped} {
		if token, err := sign(t.Context(), []byte("{}")); token != "" || !errors.Is(err, keys.ErrNoSigningKey) {
			t.Errorf("%s() of an empty ring = %q, %v", name, token, err)
		}
	}
	var ids []string
	for _, step := range []func(){
		func() { ids = append(ids, mustAdd(t, ring)) },
		func() { ids = append(ids, mustAdd(t, ring)) },
		func() { err = ring.Promote(t.Context(), ids[0]) },
		func() { err = ring.Promote(t.Context(), ids[1]) }, // which demotes the other
	} {
		now = now.Add(2 * time.Hour)
		if step(); err != nil || !ring.ChangedAt().Equal(now) {
			t.Errorf("ChangedAt() = %v, %v, want %v", ring.ChangedAt(), err, now)
		}
	}
	if token, err := ring.SignTyped(t.Context(), []byte("{}")); err != nil || token == "" {
		t.Errorf("SignTyped() = %q, %v", token, err)
	}
	if got, want := ring.String(), fmt.Sprintf("keyring.Ring(%s Retiring, %s Signing)", ids[0], ids[1]); got != want {
		t.Errorf("String() = %s, want %s", got, want)
	}
}

// Changes of others are looked for once a second: not before, and by one at a time.
func TestRingReloads(t *testing.T) {
	now := scriptStart
	store := &hookedStore{Store: &Memory{}}
	ring := mustOpen(t, store, Config{Now: func() time.Time { return now }})
	other := mustOpen(t, store, Config{})
	mustAdd(t, other)
	before := store.n
	for _, tt := range []struct {
		wait        time.Duration
		keys, loads int
	}{{0, 0, 0}, {time.Second - 1, 0, 0}, {1, 1, 1}, {0, 1, 1}, {time.Second, 1, 2}} {
		now = now.Add(tt.wait)
		if got := len(ring.Keys()); got != tt.keys || store.n-before != tt.loads {
			t.Errorf("after %v more the ring has %d keys and was loaded %d times, want %d and %d", tt.wait, got, store.n-before, tt.keys, tt.loads)
		}
	}
	ring.loadMu.Lock()
	now = now.Add(time.Second)
	if ring.Keys(); store.n-before != 2 {
		t.Error("the store was loaded while another one looks")
	}
	ring.loadMu.Unlock()
}

// A store that hangs delays the one that it is loaded for: half a second if it may be far,
// two seconds if it is a folder, no longer than he waits; and it is given up after ten.
func TestRingStoreHangs(t *testing.T) {
	for _, tt := range []struct {
		name           string
		remote         bool
		patience, want time.Duration
	}{
		{"remote", true, time.Minute, time.Second / 2},
		{"folder", false, time.Minute, 2 * time.Second},
		{"folder, for one who gives up", false, time.Second, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				observed := make(chan keys.Event, 16) // by one goroutine after another
				events := func() (list []keys.Event) {
					for len(observed) > 0 {
						list = append(list, <-observed)
					}
					return list
				}
				store := &hookedStore{Store: &Memory{}}
				ring, err := newRing(Config{Observe: func(_ context.Context, e keys.Event) { observed <- e }}, store, tt.remote)
				if err == nil {
					err = ring.open(t.Context())
				}
				if err != nil {
					t.Fatal(err)
				}
				id := mustAdd(t, ring)
				if err := ring.Promote(t.Context(), id); err != nil {
					t.Fatal(err)
				}
				events()
				synctest.Wait()
				store.load = func(ctx context.Context, _ int) (*Stored, error) { <-ctx.Done(); return nil, ctx.Err() }
				time.Sleep(time.Second)
				ctx, cancel := context.WithTimeout(t.Context(), tt.patience)
				defer cancel()
				began := time.Now()
				if list, err := ring.PublicKeys(ctx, id); err != nil || len(list) != 1 || time.Since(began) != tt.want {
					t.Errorf("PublicKeys() = %d keys, %v after %v, want the key after %v", len(list), err, time.Since(began), tt.want)
				}
				time.Sleep(10*time.Second - time.Since(began) - 1)
				synctest.Wait()
				if got := events(); ring.Err() != nil || len(got) != 0 {
					t.Errorf("before ten seconds Err() = %v, and Observe got %+v", ring.Err(), got)
				}
				time.Sleep(time.Nanosecond)
				synctest.Wait()
				if got := events(); !errors.Is(ring.Err(), context.DeadlineExceeded) || len(got) != 1 || got[0].Took != 10*time.Second || got[0].Err == nil {
					t.Errorf("after ten seconds Err() = %v, and Observe got %+v", ring.Err(), got)
				}
				synctest.Wait()
				store.load = func(context.Context, int) (*Stored, error) { time.Sleep(3 * time.Second); return nil, nil }
				err = ring.Promote(t.Context(), id)
				if got := events(); err != nil || len(got) != 1 || got[0].Took != 3*time.Second {
					t.Errorf("Promote() = %v, and Observe got %+v, want one step of 3s", err, got)
				}
				// Nobody knows whether there is a key while the store hangs.
				synctest.Wait()
				store.load = nil
				time.Sleep(time.Second)
				if ring.Keys(); ring.Err() != nil {
					t.Errorf("Err() = %v, and the store answers", ring.Err())
				}
				synctest.Wait()
				store.load = func(ctx context.Context, _ int) (*Stored, error) { <-ctx.Done(); return nil, ctx.Err() }
				if list, err := ring.PublicKeys(t.Context(), "x"); !errors.Is(err, keys.ErrUnavailable) || list != nil {
					t.Errorf("PublicKeys() of an unknown key = %v, %v, want ErrUnavailable", list, err)
				}
				time.Sleep(20 * time.Second)
				events()
				ring.steps <- struct{}{} // somebody takes a step: it isn't read, so no end of the failure is told
				ring.Keys()
				if got := events(); len(got) != 0 {
					t.Errorf("Observe got %+v, want nothing", got)
				}
				<-ring.steps
				var call context.Context
				synctest.Wait()
				store.load = func(ctx context.Context, _ int) (*Stored, error) { call = ctx; return nil, nil }
				time.Sleep(time.Second)
				ring.Keys()
				if synctest.Wait(); !errors.Is(call.Err(), context.Canceled) {
					t.Errorf("the context of a call that has returned: %v", call.Err())
				}
			})
		})
	}
}

// A key whose entry is missing has been retired since, or is an error.
func TestRingLoadsAgain(t *testing.T) {
	var memory Memory
	ring := mustOpen(t, &memory, Config{})
	first := mustAdd(t, ring)
	mustAdd(t, ring)
	old, err := memory.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := ring.Retire(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	gone := &fs.PathError{Op: "read", Path: "x", Err: fs.ErrNotExist}
	stale := &Stored{Version: old.Version, Index: old.Index, Entry: func(string) ([]byte, error) { return nil, gone }}
	boom := errors.New("boom")
	for _, tt := range []struct {
		name string
		load func(ctx context.Context, n int) (*Stored, error)
		keys int
		want error
	}{
		{"retired meanwhile", func(_ context.Context, n int) (*Stored, error) {
			if n == 1 {
				return stale, nil
			}
			return nil, nil
		}, 1, nil},
		{"missing", func(context.Context, int) (*Stored, error) { return stale, nil }, 0, fs.ErrNotExist},
		{"missing, then not read", func(_ context.Context, n int) (*Stored, error) {
			if n == 1 {
				return stale, nil
			}
			return nil, boom
		}, 0, fs.ErrNotExist},
		{"not read", func(context.Context, int) (*Stored, error) { return nil, boom }, 0, boom},
	} {
		again, err := OpenStore(t.Context(), &hookedStore{Store: &memory, load: tt.load}, Config{})
		if !errors.Is(err, tt.want) || tt.want == nil && len(again.Keys()) != tt.keys {
			t.Errorf("%s: OpenStore() = %v, %v, want %d keys, %v", tt.name, again, err, tt.keys, tt.want)
		}
	}
}

// Entries go with their keys, public and private ones.
func TestRingRemovesEntries(t *testing.T) {
	memory := &Memory{}
	ring := mustOpen(t, memory, Config{})
	first := mustAdd(t, ring)
	key, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	public, err := ring.AddPublic(t.Context(), key.Public())
	if err != nil {
		t.Fatal(err)
	}
	last := mustAdd(t, ring)
	if len(memory.entries) != 3 || memory.entries[first+privateSuffix] == nil || memory.entries[public+publicSuffix] == nil {
		t.Errorf("there are %d entries, want 3", len(memory.entries))
	}
	for _, id := range []string{first, public} {
		if err := ring.Revoke(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if len(memory.entries) != 1 || memory.entries[last+privateSuffix] == nil {
		t.Errorf("there are %d entries, want that of the last key", len(memory.entries))
	}
}

// An entry has the key that the index says, and no other, not even of its kind.
func TestReadEntries(t *testing.T) {
	mine, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	other, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	added, err := newPrivateKey(mine)
	if err != nil {
		t.Fatal(err)
	}
	private := func(key crypto.Signer) string {
		data, err := keys.EncodePrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	public := func(list ...crypto.Signer) (text string) {
		for _, key := range list {
			data, err := keys.EncodePublicKey(key.Public())
			if err != nil {
				t.Fatal(err)
			}
			text += string(data)
		}
		return text
	}
	for _, tt := range []struct {
		name, private, public string
		alg                   keys.Algorithm
		want                  string // the beginning of the error
	}{
		{"good", private(mine), public(mine), keys.ES256, ""},
		{"another key", private(other), public(other), keys.ES256, "it has another key"},
		{"another algorithm", private(mine), public(mine), keys.ES384, "it has another key"},
		{"no key", "canary", "canary", keys.ES256, "keys: data does not contain "},
	} {
		stored := &Stored{Entry: func(name string) ([]byte, error) {
			if strings.HasSuffix(name, privateSuffix) {
				return []byte(tt.private), nil
			}
			return []byte(tt.public), nil
		}}
		key := indexedKey{ID: added.public.ID, Algorithm: tt.alg}
		signer, err := readPrivate(key, stored)
		if (signer == nil) != (tt.want != "") || (err == nil) != (tt.want == "") || err != nil && !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: readPrivate() = %v, %v, want %s", tt.name, signer, err, tt.want)
		}
		pub, err := readPublic(key, stored)
		if (pub == nil) != (tt.want != "") || (err == nil) != (tt.want == "") || err != nil && !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: readPublic() = %v, %v, want %s", tt.name, pub, err, tt.want)
		}
	}
	two := &Stored{Entry: func(string) ([]byte, error) { return []byte(public(mine, other)), nil }}
	if _, err := readPublic(indexedKey{ID: added.public.ID, Algorithm: keys.ES256}, two); err != errOtherKey {
		t.Errorf("readPublic() of two keys = %v", err)
	}
}

// Keys that a ring has are not read again, whatever the others do.
func TestRingReadsNewKeysOnly(t *testing.T) {
	now := scriptStart
	store := &hookedStore{Store: &Memory{}}
	ring := mustOpen(t, store, Config{Now: func() time.Time { return now }})
	known := map[string]bool{mustAdd(t, ring) + privateSuffix: true}
	other, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	id, err := ring.AddPublic(t.Context(), other.Public())
	if err != nil {
		t.Fatal(err)
	}
	known[id+publicSuffix] = true
	added := mustAdd(t, mustOpen(t, store.Store, Config{}))
	var read []string
	store.load = func(ctx context.Context, _ int) (*Stored, error) {
		stored, err := store.Store.Load(ctx)
		if err != nil {
			return nil, err
		}
		entry := stored.Entry
		stored.Entry = func(name string) ([]byte, error) {
			read = append(read, name)
			return entry(name)
		}
		return stored, nil
	}
	now = now.Add(time.Second)
	if got := len(ring.Keys()); got != 3 || fmt.Sprint(read) != fmt.Sprint([]string{added + privateSuffix}) {
		t.Errorf("the ring has %d keys after it has read %q, want 3 after %s; known were %v", got, read, added, known)
	}
	if list, err := ring.PublicKeys(t.Context(), id); err != nil || len(list) != 1 || list[0].Key == nil {
		t.Errorf("PublicKeys() of one that only verifies = %+v, %v", list, err)
	}
	// A ring that was loaded is gone if there is none any more.
	store.load = func(context.Context, int) (*Stored, error) { return &Stored{}, nil }
	now = now.Add(time.Second)
	if got := len(ring.Keys()); got != 3 || ring.Err() == nil || !strings.HasSuffix(ring.Err().Error(), "ring.json in memory is gone") {
		t.Errorf("the ring has %d keys, Err() = %v, want 3, and that the store is gone", got, ring.Err())
	}
}

// A store without an index may have versions; a step that changes nothing writes nothing,
// and one that others keep undoing is tried 65 times.
func TestRingSwaps(t *testing.T) {
	empty := true
	var versions []string
	store := &hookedStore{Store: &Memory{}}
	store.load = func(context.Context, int) (*Stored, error) {
		if empty {
			return &Stored{Version: "made"}, nil
		}
		return nil, nil
	}
	store.swap = func(version string) error {
		versions = append(versions, version)
		return ErrConflict
	}
	ring := mustOpen(t, store, Config{})
	key, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ring.Add(t.Context(), key); !errors.Is(err, ErrConflict) || len(versions) != 65 || versions[0] != "made" || len(ring.Keys()) != 0 {
		t.Errorf("Add() = %v after %d attempts at the versions %q", err, len(versions), versions)
	}
	empty, store.swap = false, nil
	id := mustAdd(t, mustOpen(t, store, Config{}))
	ring = mustOpen(t, store, Config{})
	if err := ring.Promote(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	store.swap = func(string) error { return errors.New("there is nothing to write") }
	if err := ring.Promote(t.Context(), id); err != nil {
		t.Errorf("Promote() of the key that signs = %v", err)
	}
}

// A store that breaks its contract gives an error that says so, not a panic.
func TestStoreBreaksItsContract(t *testing.T) {
	memory := &Memory{}
	mustAdd(t, mustOpen(t, memory, Config{}))
	good, err := memory.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const incomplete = "keyring: reading ring: the store returned an index without a version or entries"
	for _, tt := range []struct {
		name   string
		stored *Stored
		want   string
	}{
		{"nothing", nil, "keyring: reading ring: the call returned neither an object nor an error"},
		{"no version", &Stored{Index: good.Index, Entry: good.Entry}, incomplete},
		{"no entries", &Stored{Version: "1", Index: good.Index}, incomplete},
	} {
		var told []error
		store := &answeringStore{stored: good}
		ring := mustOpen(t, store, Config{Observe: func(_ context.Context, e keys.Event) { told = append(told, e.Err) }})
		if _, err := OpenStore(t.Context(), &answeringStore{stored: tt.stored}, Config{}); fmt.Sprint(err) != tt.want {
			t.Errorf("%s: OpenStore() = %v, want %s", tt.name, err, tt.want)
		}
		store.stored = tt.stored
		if _, err := ring.EnsureSigning(t.Context(), keys.ES256); fmt.Sprint(err) != tt.want || len(told) != 1 || len(ring.Keys()) != 1 {
			t.Errorf("%s: EnsureSigning() = %v, told %v, want %s", tt.name, err, told, tt.want)
		}
	}
	ring := mustOpen(t, &answeringStore{stored: &Stored{}}, Config{})
	if _, err := ring.EnsureSigning(t.Context(), keys.ES256); fmt.Sprint(err) != "keyring: changing ring: the store returned neither a version nor an error" || len(ring.Keys()) != 0 {
		t.Errorf("EnsureSigning() without a version = %v with %d keys", err, len(ring.Keys()))
	}
}

// An answeringStore has stored whatever is changed.
type answeringStore struct{ stored *Stored }

func (s *answeringStore) Load(context.Context) (*Stored, error)                { return s.stored, nil }
func (s *answeringStore) Swap(context.Context, string, Change) (string, error) { return "", nil }
func (s *answeringStore) Name(entry string) string                             { return entry }

// What others do between the two steps of EnsureSigning decides, and a step that fails is
// an error.
func TestRingEnsureSigningSteps(t *testing.T) {
	memory := &Memory{}
	other := mustOpen(t, memory, Config{})
	var theirs string
	act := func() error { return nil }
	boom := errors.New("boom")
	for _, tt := range []struct {
		name      string
		meanwhile func() error
		swap      error
		keys      int
		reason    Reason
	}{
		{"faster", func() (err error) { theirs, err = other.EnsureSigning(t.Context(), keys.ES256); return err }, nil, 1, ""},
		{"published one", func() error { theirs = mustAdd(t, other); return nil }, nil, 1, ""},
		{"published two", func() error {
			mustAdd(t, other)
			mustAdd(t, other)
			return other.Retire(t.Context(), other.Keys()[0].ID)
		}, nil, 1, ReasonTooEarly},
		{"filled the ring", func() error {
			for range 64 {
				key, err := keys.Generate(keys.ES256)
				if err == nil {
					_, err = other.AddPublic(t.Context(), key.Public())
				}
				if err != nil {
					return err
				}
			}
			return nil
		}, nil, 64, ReasonTooManyKeys},
		{"failed", func() error { return nil }, boom, 0, ""},
	} {
		memory = &Memory{}
		other = mustOpen(t, memory, Config{})
		theirs, act = "", tt.meanwhile
		store := &hookedStore{Store: memory, swap: func(string) error { return tt.swap }}
		var told error
		ring := mustOpen(t, store, Config{Observe: func(_ context.Context, e keys.Event) { told = e.Err }})
		store.n = 0
		store.load = func(_ context.Context, n int) (*Stored, error) {
			if n == 2 {
				if err := act(); err != nil {
					t.Error(err)
				}
			}
			return nil, nil
		}
		id, err := ring.EnsureSigning(t.Context(), keys.ES256)
		e, _ := errors.AsType[*StepError](err)
		switch {
		case tt.swap != nil && !errors.Is(err, tt.swap), tt.reason != "" && (e == nil || e.Reason != tt.reason), tt.reason == "" && tt.swap == nil && err != nil:
			t.Errorf("%s: EnsureSigning() = %v", tt.name, err)
		case id != theirs || len(ring.Keys()) != tt.keys || len(memory.entries) != tt.keys || (told == nil) != (err == nil):
			t.Errorf("%s: EnsureSigning() = %q with %d keys, want %q with %d; Observe got %v", tt.name, id, len(ring.Keys()), theirs, tt.keys, told)
		}
	}
}

// SECURITY L02: a change prints as the names of its entries.
func TestChangePrintsNoKeys(t *testing.T) {
	c := Change{Index: []byte("{}"), Add: map[string][]byte{"b.key": []byte("hunter2"), "a.key": nil}, Remove: []string{"c.key"}}
	const want = `keyring.Change(add ["a.key" "b.key"], remove ["c.key"])`
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		if got := fmt.Sprintf(verb, c); got != want {
			t.Errorf("%s: %s, want %s", verb, got, want)
		}
	}
}

// kubeadm's keys are imported into an empty ring only.
func TestRingImportsOnce(t *testing.T) {
	all, _, names := scriptKeys(t)
	private, err := keys.EncodePrivateKey(all["d"])
	if err != nil {
		t.Fatal(err)
	}
	fsys := newMemFS(map[string]memFile{"ring/sa.key": {private, 0o600}})
	ring, err := openRing(t.Context(), "ring", Config{}, fsys, noLock)
	if err != nil || show(ring, names) != "d Signing" {
		t.Fatalf("the ring is %v, %v", ring, err)
	}
	for range 2 { // with one key, and with two
		before := ring.String()
		if err := ring.importKubeadm(t.Context(), &folder{dir: "ring", fsys: fsys, lock: noLock}); err != nil || ring.String() != before {
			t.Errorf("imported again: %v, and the ring is %v", err, ring)
		}
		mustAdd(t, ring)
	}
	// There is no room for all that another issuer has signed with.
	var public []byte
	for range 64 {
		key, err := keys.Generate(keys.ES256)
		if err != nil {
			t.Fatal(err)
		}
		one, err := keys.EncodePublicKey(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		public = append(public, one...)
	}
	fsys = newMemFS(map[string]memFile{"ring/sa.key": {private, 0o600}, "ring/sa.pub": {public, 0o644}})
	_, err = openRing(t.Context(), "ring", Config{}, fsys, noLock)
	if e, ok := errors.AsType[*StepError](err); !ok || e.Reason != ReasonTooManyKeys {
		t.Errorf("imported 65 keys: %v, want that they are too many", err)
	}
}
