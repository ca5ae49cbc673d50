package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"

	"github.com/kubesa/serviceaccount/keys/keyring"
)

// Run checks that stores keep the promises of [keyring.Store]. newPlace returns a func that
// opens one new, empty place again and again, as several processes do.
func Run(t *testing.T, newPlace func(*testing.T) (open func() keyring.Store)) {
	for _, promise := range []struct {
		name  string
		check func(t *testing.T, open func() keyring.Store)
	}{
		{"first", checkFirst}, {"conflict", checkConflict}, {"remove", checkRemove}, {"copies", checkCopies},
		{"context", checkContext}, {"largest", checkLargest}, {"race", checkRace}, {"rings", checkRings},
	} {
		t.Run(promise.name, func(t *testing.T) { promise.check(t, newPlace(t)) })
	}
}

// id returns the id of a key, one for each n.
func id(n int) string { return fmt.Sprintf("%043d", n) }

// index returns an index with those keys, as a ring writes it.
func index(ids ...int) []byte {
	var keys []string
	for _, n := range ids {
		keys = append(keys, fmt.Sprintf(`{"id": %q, "alg": "ES256", "added": "2026-01-02T03:04:05Z"}`, id(n)))
	}
	return []byte(`{"version": 1, "keys": [` + strings.Join(keys, ", ") + "]}\n")
}

// with returns the Change to an index with ids, of which add is new.
func with(add int, ids ...int) keyring.Change {
	return keyring.Change{Index: index(ids...), Add: map[string][]byte{id(add) + ".key": content(add)}}
}

func content(n int) []byte { return fmt.Appendf(nil, "key %d", n) }

func load(t *testing.T, s keyring.Store) *keyring.Stored {
	t.Helper()
	stored, err := s.Load(t.Context())
	if err != nil || stored == nil {
		t.Fatalf("Load() = %v, %v, want what is stored", stored, err)
	}
	if stored.Version == "" && stored.Index != nil || stored.Entry == nil {
		t.Fatalf("Load() returns an index without a version, or no Entry")
	}
	return stored
}

func swap(t *testing.T, s keyring.Store, version string, change keyring.Change) string {
	t.Helper()
	next, err := s.Swap(t.Context(), version, change)
	if err != nil || next == version {
		t.Fatalf("Swap() of the version that is stored = %q, %v, want another version", next, err)
	}
	return next
}

// has reports whether the index that is stored names a key.
func has(stored *keyring.Stored, n int) bool {
	var index struct{ Keys []struct{ ID string } }
	if json.Unmarshal(stored.Index, &index) != nil {
		return false
	}
	for _, key := range index.Keys {
		if key.ID == id(n) {
			return true
		}
	}
	return false
}

// start puts a ring without keys into a place, if there is none.
func start(t *testing.T, s keyring.Store) string {
	t.Helper()
	stored := load(t, s)
	if has(stored, 1) {
		t.Fatal("the place isn't empty")
	}
	return swap(t, s, stored.Version, keyring.Change{Index: index()})
}

func checkFirst(t *testing.T, open func() keyring.Store) {
	s := open()
	version := swap(t, s, start(t, s), with(1, 1))
	for what, s := range map[string]keyring.Store{"the store that wrote": s, "another one": open()} {
		stored := load(t, s)
		if stored.Version != version || !has(stored, 1) {
			t.Errorf("%s has version %q, want %q, with the change", what, stored.Version, version)
		}
		if data, err := stored.Entry(id(1) + ".key"); string(data) != string(content(1)) || err != nil {
			t.Errorf("%s: Entry() = %q, %v, want what was added", what, data, err)
		}
		if data, err := stored.Entry(id(2) + ".key"); data != nil || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: Entry() of none = %q, %v, want fs.ErrNotExist", what, data, err)
		}
		if again := load(t, s); again.Version != version {
			t.Errorf("%s: the version changes without a change", what)
		}
		if !strings.Contains(s.Name("ring.json"), "ring.json") {
			t.Errorf("Name(ring.json) = %q, want a text with the name of the entry", s.Name("ring.json"))
		}
	}
}

func checkConflict(t *testing.T, open func() keyring.Store) {
	s, other := open(), open()
	empty := load(t, s).Version
	old := start(t, s)
	version := swap(t, other, old, with(1, 1))
	for _, stale := range []string{empty, old, version + "x"} {
		if next, err := s.Swap(t.Context(), stale, with(2, 2)); next != "" || !errors.Is(err, keyring.ErrConflict) {
			t.Errorf("Swap() of a version that isn't stored any more = %q, %v, want ErrConflict", next, err)
		}
	}
	stored := load(t, open())
	if stored.Version != version || !has(stored, 1) || has(stored, 2) {
		t.Error("a Swap with a conflict must change nothing")
	}
	if _, err := stored.Entry(id(2) + ".key"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a Swap with a conflict left its key: %v", err)
	}
}

func checkRemove(t *testing.T, open func() keyring.Store) {
	s := open()
	version := swap(t, s, swap(t, s, start(t, s), with(1, 1)), with(2, 1, 2))
	before := load(t, s)
	swap(t, open(), version, keyring.Change{Index: index(2), Remove: []string{id(1) + ".key"}})
	stored := load(t, s)
	if has(stored, 1) || !has(stored, 2) {
		t.Error("the index isn't the one of the Change")
	}
	if _, err := stored.Entry(id(1) + ".key"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Entry() of a removed key = %v, want fs.ErrNotExist", err)
	}
	if data, err := before.Entry(id(1) + ".key"); err == nil && string(data) != string(content(1)) || err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Entry() of an earlier Load = %q, %v, want the key or fs.ErrNotExist", data, err)
	}
	if data, err := before.Entry(id(2) + ".key"); string(data) != string(content(2)) || err != nil {
		t.Errorf("Entry() of an earlier Load = %q, %v, want the key that is still there", data, err)
	}
}

func checkCopies(t *testing.T, open func() keyring.Store) {
	s := open()
	change := with(1, 1)
	swap(t, s, start(t, s), change)
	clear(change.Index)
	clear(change.Add[id(1)+".key"])
	stored := load(t, s)
	clear(stored.Index)
	data, err := stored.Entry(id(1) + ".key")
	if err != nil {
		t.Fatal(err)
	}
	clear(data)
	again := load(t, s)
	data, err = again.Entry(id(1) + ".key")
	if !has(again, 1) || string(data) != string(content(1)) || err != nil {
		t.Error("what a Store gets and returns belongs to the caller, who may change it")
	}
}

func checkContext(t *testing.T, open func() keyring.Store) {
	s := open()
	version := start(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Swap(ctx, version, with(1, 1)); err == nil {
		if stored := load(t, open()); !has(stored, 1) {
			t.Error("Swap() with a context that is done reports a change that isn't there")
		}
	} else if stored := load(t, open()); has(stored, 1) != (stored.Version != version) {
		t.Error("Swap() with a context that is done made half a change")
	}
}

// A ring has 64 keys at most, the largest of them of 8192 bits.
func checkLargest(t *testing.T, open func() keyring.Store) {
	const keys, size = 64, 6500
	s := open()
	change := keyring.Change{Add: map[string][]byte{}}
	var ids []int
	for n := range keys {
		ids = append(ids, n)
		change.Add[id(n)+".key"] = []byte(strings.Repeat("k", size))
	}
	change.Index = index(ids...)
	swap(t, s, start(t, s), change)
	stored := load(t, open())
	for n := range keys {
		if data, err := stored.Entry(id(n) + ".key"); len(data) != size || err != nil {
			t.Fatalf("Entry() of key %d of %d has %d bytes, %v, want %d", n, keys, len(data), err, size)
		}
	}
}

// Of those that change one version, one wins.
func checkRace(t *testing.T, open func() keyring.Store) {
	const writers, rounds = 4, 5
	start(t, open())
	var mu sync.Mutex
	winners := map[string]int{}
	var wg sync.WaitGroup
	for w := range writers {
		s := open()
		wg.Go(func() {
			for round := 0; round < rounds; {
				stored, err := s.Load(t.Context())
				if err != nil {
					t.Errorf("Load() while others write: %v", err)
					return
				}
				var ids []int
				for n := range writers * rounds {
					if has(stored, n) {
						ids = append(ids, n)
					}
				}
				n := w*rounds + round
				_, err = s.Swap(t.Context(), stored.Version, with(n, append(ids, n)...))
				switch {
				case err == nil:
					mu.Lock()
					winners[stored.Version]++
					mu.Unlock()
					round++
				case !errors.Is(err, keyring.ErrConflict):
					t.Errorf("Swap() while others write = %v, want ErrConflict", err)
					return
				}
			}
		})
	}
	wg.Wait()
	for _, n := range winners {
		if n > 1 {
			t.Error("two changed the same version: the second one must get ErrConflict")
		}
	}
	stored := load(t, open())
	for n := range writers * rounds {
		if data, err := stored.Entry(id(n) + ".key"); !has(stored, n) || string(data) != string(content(n)) || err != nil {
			t.Errorf("change %d was lost", n)
		}
	}
}
