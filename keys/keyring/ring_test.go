package keyring_test

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kubesa/serviceaccount/internal/jose"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/internal/keystest"
	"github.com/kubesa/serviceaccount/keys/keyring"
)

// The times of the tests, and what is added to both of them.
const (
	maxAge   = time.Hour
	lifetime = 24 * time.Hour
	settle   = 2 * time.Minute
)

func ringConfig(c *keystest.Clock) keyring.Config {
	return keyring.Config{MaxAge: maxAge, MaxTokenLifetime: lifetime, Now: c.Now}
}

// mint signs a token, verifies reports whether a source verifies it.
func mint(t *testing.T, signer keys.Signer) *jose.Token {
	t.Helper()
	raw, err := signer.Sign(t.Context(), []byte(`{"sub":"system:serviceaccount:default:default"}`))
	if err != nil {
		t.Fatalf("Sign() = %v", err)
	}
	return keystest.Must(jose.Parse(raw, 0))
}

func verifies(t *testing.T, source keys.Source, token *jose.Token) bool {
	t.Helper()
	list, err := source.PublicKeys(t.Context(), token.KeyID)
	if err != nil {
		t.Fatalf("PublicKeys() = %v", err)
	}
	for _, key := range list {
		if string(key.Algorithm) == token.Algorithm && token.Verify(key.Key) == nil {
			return true
		}
	}
	return false
}

// refused checks that a step was refused for a reason, and until when.
func refused(t *testing.T, err error, action keyring.Action, id string, reason keyring.Reason, earliest time.Time) {
	t.Helper()
	e, ok := errors.AsType[*keyring.StepError](err)
	if !ok || e.Action != action || e.ID != id || e.Reason != reason || !e.Earliest.Equal(earliest) {
		t.Errorf("%s: %v (%+v), want it refused: %s, earliest %v", action, err, e, reason, earliest)
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func states(ring *keyring.Ring, names map[string]string) string {
	var out []string
	for _, key := range ring.Keys() {
		out = append(out, names[key.ID]+" "+string(key.State()))
	}
	return strings.Join(out, ", ")
}

// SECURITY K10: each step at the first moment at which it is safe, and refused a
// moment before.
func TestRingRotation(t *testing.T) {
	clock := keystest.NewClock()
	ring := keystest.Must(keyring.New(ringConfig(clock)))
	if _, err := ring.Sign(t.Context(), []byte("{}")); !errors.Is(err, keys.ErrNoSigningKey) {
		t.Errorf("Sign() of an empty ring = %v, want ErrNoSigningKey", err)
	}

	k1, k2 := keystest.NewKey(), keystest.NewKey()
	id1, id2 := keystest.ID(k1), keystest.ID(k2)
	names := map[string]string{id1: "k1", id2: "k2"}
	check := func(want string) {
		t.Helper()
		if got := states(ring, names); got != want {
			t.Errorf("the keys are: %s; want: %s", got, want)
		}
	}
	if got, err := ring.Add(t.Context(), k1); got != id1 || err != nil {
		t.Fatalf("Add() = %q, %v", got, err)
	}
	check("k1 Published")
	ok(t, ring.Promote(t.Context(), id1)) // the first key may at once
	check("k1 Signing")
	first := mint(t, ring)

	clock.Add(100 * time.Hour)
	added := clock.Now()
	keystest.Must(ring.Add(t.Context(), k2))
	check("k1 Signing, k2 Published")
	if token := mint(t, ring); token.KeyID != id1 {
		t.Error("a key that is only published signs")
	}
	clock.Add(maxAge + settle - 1)
	refused(t, ring.Promote(t.Context(), id2), keyring.Promote, id2, keyring.ReasonTooEarly, added.Add(maxAge+settle))
	refused(t, ring.Retire(t.Context(), id1), keyring.Retire, id1, keyring.ReasonInUse, time.Time{})
	clock.Add(1)
	last := mint(t, ring)
	ok(t, ring.Promote(t.Context(), id2))
	check("k1 Retiring, k2 Signing")
	ok(t, ring.Promote(t.Context(), id2)) // again: nothing happens
	promoted := clock.Now()
	clock.Add(lifetime + settle - 1)
	refused(t, ring.Retire(t.Context(), id1), keyring.Retire, id1, keyring.ReasonTooEarly, promoted.Add(lifetime+settle))
	for _, token := range []*jose.Token{first, last, mint(t, ring)} {
		if !verifies(t, ring, token) {
			t.Error("a token does not verify")
		}
	}
	clock.Add(1)
	ok(t, ring.Retire(t.Context(), id1))
	check("k2 Signing")
	if verifies(t, ring, last) {
		t.Error("a token of a retired key verifies")
	}

	want := []keyring.Key{{ID: id2, Algorithm: keys.ES256, Added: added, Promoted: promoted}}
	if diff := cmp.Diff(want, ring.Keys()); diff != "" {
		t.Errorf("Keys() (-want +got):\n%s", diff)
	}
	if ring.MaxAge() != maxAge || ring.Err() != nil {
		t.Errorf("MaxAge() = %s, Err() = %v", ring.MaxAge(), ring.Err())
	}
}

// Every step that is refused, and that it changes nothing.
func TestRingRefuses(t *testing.T) {
	clock := keystest.NewClock()
	start := clock.Now()
	ring := keystest.Must(keyring.New(ringConfig(clock)))
	k1, k2, other := keystest.NewKey(), keystest.NewKey(), keystest.NewKey()
	ok(t, ring.Promote(t.Context(), keystest.Must(ring.Add(t.Context(), k1))))
	public := keystest.Must(ring.AddPublic(t.Context(), other.Public()))
	alone := keystest.Must(keyring.New(ringConfig(clock)))
	refused(t, alone.Retire(t.Context(), keystest.Must(alone.Add(t.Context(), k2))), keyring.Retire, keystest.ID(k2), keyring.ReasonNoOtherKey, time.Time{})
	before := ring.String()

	add := func(key crypto.Signer) error { _, err := ring.Add(t.Context(), key); return err }
	refused(t, add(k1), keyring.Add, keystest.ID(k1), keyring.ReasonKnownKey, time.Time{})
	refused(t, add(other), keyring.Add, public, keyring.ReasonKnownKey, time.Time{})
	_, err := ring.AddPublic(t.Context(), k1.Public())
	refused(t, err, keyring.Add, keystest.ID(k1), keyring.ReasonKnownKey, time.Time{})
	refused(t, ring.Promote(t.Context(), keystest.ID(k2)), keyring.Promote, keystest.ID(k2), keyring.ReasonUnknownKey, time.Time{})
	refused(t, ring.Promote(t.Context(), public), keyring.Promote, public, keyring.ReasonNoPrivateKey, time.Time{})
	refused(t, ring.Retire(t.Context(), keystest.ID(k2)), keyring.Retire, keystest.ID(k2), keyring.ReasonUnknownKey, time.Time{})
	refused(t, ring.Retire(t.Context(), keystest.ID(k1)), keyring.Retire, keystest.ID(k1), keyring.ReasonInUse, time.Time{})
	refused(t, ring.Retire(t.Context(), public), keyring.Retire, public, keyring.ReasonTooEarly, start.Add(lifetime+settle))
	refused(t, ring.Revoke(t.Context(), keystest.ID(k2)), keyring.Revoke, keystest.ID(k2), keyring.ReasonUnknownKey, time.Time{})
	refused(t, ring.Revoke(t.Context(), keystest.ID(k1)), keyring.Revoke, keystest.ID(k1), keyring.ReasonNoOtherKey, time.Time{})
	for _, key := range []crypto.Signer{nil, keystest.WeakKey(), keystest.EdKey()} {
		if err := add(key); !isKeyError(err) {
			t.Errorf("Add(%T) = %v, want a KeyError", key, err)
		}
	}
	for _, key := range []crypto.PublicKey{nil, keystest.WeakKey().Public(), k2} {
		if _, err := ring.AddPublic(t.Context(), key); !isKeyError(err) {
			t.Errorf("AddPublic(%T) = %v, want a KeyError", key, err)
		}
	}
	if err := ring.Take(t.Context(), keyring.Step{Action: keyring.Revoke, ID: keystest.ID(k1)}); err == nil || err.Error() != `keyring: unknown action "Revoke", want Promote or Retire` {
		t.Errorf("Take() = %v", err)
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	for range 32 { // never by chance
		if _, err := ring.Add(done, k2); !errors.Is(err, context.Canceled) {
			t.Errorf("Add() = %v, want context.Canceled", err)
		}
	}
	if got := ring.String(); got != before {
		t.Errorf("the ring is %s, want %s", got, before)
	}

	for range 62 {
		keystest.Must(ring.Add(t.Context(), keystest.NewKey()))
	}
	refused(t, add(k2), keyring.Add, keystest.ID(k2), keyring.ReasonTooManyKeys, time.Time{})

	e := &keyring.StepError{Action: keyring.Promote, ID: "k", Reason: keyring.ReasonTooEarly, Earliest: start.In(time.FixedZone("x", 3600))}
	if got, want := e.Error(), `keyring: can't promote key "k": too early, want 2026-01-02T03:04:05Z or later`; got != want {
		t.Errorf("Error() = %s, want %s", got, want)
	}
	e = &keyring.StepError{Action: keyring.Retire, ID: "k", Reason: keyring.ReasonInUse}
	if got, want := e.Error(), `keyring: can't retire key "k": it signs`; got != want {
		t.Errorf("Error() = %s, want %s", got, want)
	}
	_, err = keyring.New(keyring.Config{MaxAge: -1, MaxTokenLifetime: -1, ReloadEvery: time.Hour})
	const mistakes = "keyring: Config.MaxAge is -1ns, want 0 for the default or a positive value\n" +
		"keyring: Config.MaxTokenLifetime is -1ns, want 0 for the default or a positive value\n" +
		"keyring: Config.ReloadEvery is 1h0m0s, want less than a minute"
	if err == nil || err.Error() != mistakes {
		t.Errorf("New() =\n%v\nwant\n%s", err, mistakes)
	}
	if _, err := keyring.New(keyring.Config{ReloadEvery: time.Minute - 1}); err != nil {
		t.Errorf("New() with ReloadEvery just below a minute = %v", err)
	}
	for _, cfg := range []keyring.Config{{MaxAge: -1}, {MaxTokenLifetime: -1}, {ReloadEvery: -1}, {ReloadEvery: time.Minute}} {
		_, err := keyring.New(cfg)
		if _, ok := errors.AsType[*keyring.ConfigError](err); !ok {
			t.Errorf("New(%+v) = %v, want a ConfigError", cfg, err)
		}
	}
}

// The first key may sign at once only if nobody can know others.
func TestRingFirstKey(t *testing.T) {
	for _, tt := range []struct {
		name  string
		first func(*testing.T, *keyring.Ring) error
		wait  bool
	}{
		{"alone", func(*testing.T, *keyring.Ring) error { return nil }, false},
		{"beside one that only verifies", func(t *testing.T, r *keyring.Ring) error {
			_, err := r.AddPublic(t.Context(), keystest.NewKey().Public())
			return err
		}, true},
		{"after another one", func(t *testing.T, r *keyring.Ring) error { _, err := r.Add(t.Context(), keystest.NewKey()); return err }, true},
		{"after another one that is gone", func(t *testing.T, r *keyring.Ring) error {
			first := keystest.Must(r.Add(t.Context(), keystest.NewKey()))
			keystest.Must(r.Add(t.Context(), keystest.NewKey()))
			return r.Retire(t.Context(), first)
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			clock := keystest.NewClock()
			ring := keystest.Must(keyring.New(ringConfig(clock)))
			ok(t, tt.first(t, ring))
			clock.Add(time.Minute)
			key := keystest.Must(ring.Add(t.Context(), keystest.NewKey()))
			if !tt.wait {
				ok(t, ring.Promote(t.Context(), key))
				return
			}
			refused(t, ring.Promote(t.Context(), key), keyring.Promote, key, keyring.ReasonTooEarly, clock.Now().Add(maxAge+settle))
		})
	}
}

// A key that others have goes at once, and the oldest one takes over.
func TestRingRevoke(t *testing.T) {
	clock := keystest.NewClock()
	ring := keystest.Must(keyring.New(ringConfig(clock)))
	k1, k2, k3 := keystest.NewKey(), keystest.NewKey(), keystest.NewKey()
	names := map[string]string{keystest.ID(k1): "k1", keystest.ID(k2): "k2", keystest.ID(k3): "k3"}
	ok(t, ring.Promote(t.Context(), keystest.Must(ring.Add(t.Context(), k1))))
	clock.Add(time.Minute)
	keystest.Must(ring.Add(t.Context(), k2))
	clock.Add(time.Minute)
	keystest.Must(ring.Add(t.Context(), k3))
	stolen := mint(t, ring)
	ok(t, ring.Revoke(t.Context(), keystest.ID(k1)))
	if got, want := states(ring, names), "k2 Signing, k3 Published"; got != want {
		t.Errorf("the keys are: %s; want: %s", got, want)
	}
	if verifies(t, ring, stolen) {
		t.Error("a token of a revoked key verifies")
	}
	if token := mint(t, ring); token.KeyID != keystest.ID(k2) || !verifies(t, ring, token) {
		t.Error("the next key does not sign")
	}
	ok(t, ring.Revoke(t.Context(), keystest.ID(k3)))
	refused(t, ring.Revoke(t.Context(), keystest.ID(k2)), keyring.Revoke, keystest.ID(k2), keyring.ReasonNoOtherKey, time.Time{})
}

// Plan says what Promote and Retire will accept, to the nanosecond.
func TestRingPlan(t *testing.T) {
	clock := keystest.NewClock()
	ring := keystest.Must(keyring.New(ringConfig(clock)))
	start := clock.Now()
	k1 := keystest.Must(ring.Add(t.Context(), keystest.NewKey()))
	check := func(wantSafe, wantLater []keyring.Step) {
		t.Helper()
		safe, later := ring.Plan(clock.Now())
		if diff := cmp.Diff([2][]keyring.Step{wantSafe, wantLater}, [2][]keyring.Step{append([]keyring.Step{}, safe...), append([]keyring.Step{}, later...)}); diff != "" {
			t.Errorf("Plan() (-want +got):\n%s", diff)
		}
	}
	check([]keyring.Step{{Action: keyring.Promote, ID: k1, Earliest: start}}, []keyring.Step{})
	ok(t, ring.Promote(t.Context(), k1))
	check([]keyring.Step{}, []keyring.Step{})
	clock.Add(time.Minute)
	k2 := keystest.Must(ring.Add(t.Context(), keystest.NewKey()))
	promote := keyring.Step{Action: keyring.Promote, ID: k2, Earliest: clock.Now().Add(maxAge + settle)}
	check([]keyring.Step{}, []keyring.Step{promote})
	clock.Add(maxAge + settle)
	check([]keyring.Step{promote}, []keyring.Step{})
	ok(t, ring.Take(t.Context(), promote))
	k3 := keystest.Must(ring.Add(t.Context(), keystest.NewKey()))
	promote = keyring.Step{Action: keyring.Promote, ID: k3, Earliest: clock.Now().Add(maxAge + settle)}
	retire := keyring.Step{Action: keyring.Retire, ID: k1, Earliest: clock.Now().Add(lifetime + settle)}
	check([]keyring.Step{}, []keyring.Step{promote, retire})
	clock.Add(lifetime)
	check([]keyring.Step{promote}, []keyring.Step{retire})
	clock.Add(settle)
	check([]keyring.Step{promote, retire}, []keyring.Step{})
	ok(t, ring.Take(t.Context(), retire))
	check([]keyring.Step{promote}, []keyring.Step{})
}

// SECURITY M09: a clock that is set back makes steps later, never earlier.
func TestRingClockSetBack(t *testing.T) {
	clock := keystest.NewClock()
	ring := keystest.Must(keyring.New(ringConfig(clock)))
	k1 := keystest.Must(ring.Add(t.Context(), keystest.NewKey()))
	ok(t, ring.Promote(t.Context(), k1))
	clock.Add(10 * time.Hour)
	k2 := keystest.Must(ring.Add(t.Context(), keystest.NewKey()))
	added := clock.Now()
	clock.Add(-time.Hour)
	clock.Add(maxAge + settle - 1)
	refused(t, ring.Promote(t.Context(), k2), keyring.Promote, k2, keyring.ReasonTooEarly, added.Add(maxAge+settle))
	clock.Add(time.Hour + 1)
	ok(t, ring.Promote(t.Context(), k2))
	promoted := clock.Now()
	token := mint(t, ring)

	clock.Add(-time.Hour)
	ok(t, ring.Promote(t.Context(), k1)) // back again: k2 has signed until promoted
	clock.Add(lifetime + settle)
	refused(t, ring.Retire(t.Context(), k2), keyring.Retire, k2, keyring.ReasonTooEarly, promoted.Add(lifetime+settle))
	if !verifies(t, ring, token) {
		t.Error("a token does not verify")
	}
	clock.Add(time.Hour)
	ok(t, ring.Retire(t.Context(), k2))
}

// SECURITY K10: whatever steps are taken whenever they are allowed, a verifier
// with a copy of the keys that is as old as it may be knows every token's key
// until the token expires. Only Revoke may break that.
func TestRingModel(t *testing.T) {
	type copyOfKeys struct {
		at  time.Time
		set map[string]bool
	}
	type minted struct {
		id      string
		expires time.Time
	}
	for seed := range uint64(40) {
		random := rand.New(rand.NewPCG(seed, 1))
		clock := keystest.NewClock()
		ring := keystest.Must(keyring.New(ringConfig(clock)))
		var copies []copyOfKeys
		var tokens []minted
		take := func() {
			set := map[string]bool{}
			for _, key := range ring.Keys() {
				set[key.ID] = true
			}
			copies = append(copies, copyOfKeys{clock.Now(), set})
		}
		steps := map[string]int{}
		for range 300 {
			all := ring.Keys()
			pick := func() string { return all[random.IntN(len(all))].ID }
			var err error
			name := "wait"
			switch n := random.IntN(10); {
			case n == 0 && len(all) < 6:
				name = "add"
				_, err = ring.Add(t.Context(), keystest.NewKey())
			case n == 1 && len(all) < 6 && random.IntN(5) == 0:
				name = "add public"
				_, err = ring.AddPublic(t.Context(), keystest.NewKey().Public())
			case n <= 3 && len(all) > 0:
				name, err = "promote", ring.Promote(t.Context(), pick())
			case n <= 5 && len(all) > 0:
				name, err = "retire", ring.Retire(t.Context(), pick())
			case n == 6:
				clock.Add(time.Duration(random.Int64N(int64(lifetime / 3))))
			default:
				clock.Add(time.Duration(random.Int64N(int64(2 * time.Minute))))
			}
			if e, refused := errors.AsType[*keyring.StepError](err); refused {
				name += " refused: " + string(e.Reason)
			} else if err != nil {
				t.Fatal(err)
			}
			steps[name]++
			take()
			now := clock.Now()
			for _, key := range ring.Keys() {
				if key.State() == keyring.Signing {
					tokens = append(tokens, minted{key.ID, now.Add(lifetime)})
				}
			}
			for _, c := range copies {
				if now.Sub(c.at) > maxAge {
					continue
				}
				for _, token := range tokens {
					// A copy that is older than the first token of all is one of
					// another issuer, or of none.
					if now.Before(token.expires) && len(c.set) > 0 && !c.set[token.id] {
						t.Fatalf("seed %d: at %v a copy of %v lacks the key of a token that expires at %v", seed, now, c.at, token.expires)
					}
				}
			}
			if len(copies) > 60 {
				copies = copies[1:]
			}
			if len(tokens) > 200 {
				tokens = tokens[1:]
			}
		}
		if seed == 0 {
			t.Log(steps)
		}
	}
}

// A load is workers that do something all the time.
type load struct {
	workers sync.WaitGroup
	rounds  []atomic.Int64 // that each worker has ended
	done    atomic.Bool
}

// startLoad has each worker do its i-th round.
func startLoad(workers int, do func(worker, i int)) *load {
	l := &load{rounds: make([]atomic.Int64, workers)}
	for w := range workers {
		l.workers.Go(func() {
			for i := 0; !l.done.Load(); i++ {
				do(w, i)
				l.rounds[w].Add(1)
			}
		})
	}
	return l
}

// wait returns when every worker has ended the round that it is in, and three more:
// what it did before is over.
func (l *load) wait() {
	for w := range l.rounds {
		for n := l.rounds[w].Load() + 4; l.rounds[w].Load() < n; {
			runtime.Gosched()
		}
	}
}

func (l *load) stop() (rounds int64) {
	l.done.Store(true)
	l.workers.Wait()
	for w := range l.rounds {
		rounds += l.rounds[w].Load()
	}
	return rounds
}

// SECURITY K10: tokens are signed and verified all the time while the ring
// rotates, by the ring itself and from published copies as old as they may be.
// None is ever refused.
func TestRingUnderLoad(t *testing.T) {
	clock := keystest.NewClock()
	ring := keystest.Must(keyring.New(ringConfig(clock)))
	ok(t, ring.Promote(t.Context(), keystest.Must(ring.Add(t.Context(), keystest.NewKey()))))
	published := func() *keys.Set {
		list, _ := ring.PublicKeys(t.Context(), "")
		var public []crypto.PublicKey
		for _, key := range list {
			public = append(public, key.Key)
		}
		return keystest.Must(keys.NewSet(public...))
	}
	var copied atomic.Pointer[keys.Set] // refreshed at the last moment
	copied.Store(published())

	var refused atomic.Int64
	load := startLoad(4, func(int, int) {
		token := mint(t, ring)
		if !verifies(t, ring, token) || !verifies(t, copied.Load(), token) {
			refused.Add(1)
		}
	})
	for range 2 {
		old := ring.Keys()[0].ID
		load.wait()
		next := keystest.Must(ring.Add(t.Context(), keystest.NewKey()))
		load.wait()
		clock.Add(maxAge)
		copied.Store(published())
		clock.Add(settle)
		ok(t, ring.Promote(t.Context(), next))
		load.wait()
		token := mint(t, ring)
		clock.Add(lifetime + settle)
		ok(t, ring.Retire(t.Context(), old))
		load.wait()
		copied.Store(published())
		if !verifies(t, ring, token) {
			t.Error("the signing key was retired")
		}
	}
	count := load.stop()
	if refused.Load() > 0 {
		t.Errorf("%d of %d tokens were refused", refused.Load(), count)
	}
}

// SECURITY L02: a ring prints as the ids of its keys.
func TestRingRedacts(t *testing.T) {
	clock := keystest.NewClock()
	ring := keystest.Must(keyring.New(ringConfig(clock)))
	key := keystest.Must(ring.Add(t.Context(), keystest.P256Key()))
	want := "keyring.Ring(" + key + " Published)"
	outputs := []string{ring.String(), fmt.Sprint(ring), string(keystest.Must(json.Marshal(map[string]any{"ring": ring})))}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		outputs = append(outputs, fmt.Sprintf(verb, ring), fmt.Sprintf(verb, struct{ S keys.Signer }{ring}))
	}
	for _, out := range outputs {
		if !strings.Contains(out, want) {
			t.Errorf("printed %q, want %q", out, want)
		}
	}
	var none *keyring.Ring
	if got := fmt.Sprint(none); got != "keyring.Ring(nil)" {
		t.Errorf("nil printed %q", got)
	}
}

func BenchmarkRing(b *testing.B) {
	ring := keystest.Must(keyring.New(keyring.Config{}))
	if err := ring.Promote(b.Context(), keystest.Must(ring.Add(b.Context(), keystest.P256Key()))); err != nil {
		b.Fatal(err)
	}
	folder := keystest.Must(keyring.Open(b.Context(), b.TempDir(), keyring.Config{}))
	if err := folder.Promote(b.Context(), keystest.Must(folder.Add(b.Context(), keystest.P256Key()))); err != nil {
		b.Fatal(err)
	}
	signer := keystest.Must(keys.NewSigner(keystest.P256Key()))
	payload := []byte(`{"sub":"system:serviceaccount:default:default"}`)
	for _, tt := range []struct {
		name   string
		signer keys.Signer
	}{{"LocalSigner", signer}, {"Ring", ring}, {"Open", folder}} {
		b.Run("Sign/"+tt.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := tt.signer.Sign(b.Context(), payload); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	for _, tt := range []struct {
		name   string
		source keys.Source
	}{{"Set", keystest.Must(keys.NewSet(keystest.P256Key()))}, {"Ring", ring}, {"Open", folder}} {
		b.Run("PublicKeys/"+tt.name, func(b *testing.B) {
			key := keystest.ID(keystest.P256Key())
			b.ReportAllocs()
			for b.Loop() {
				if list, err := tt.source.PublicKeys(b.Context(), key); err != nil || len(list) != 1 {
					b.Fatal(err)
				}
			}
		})
	}
}

func isKeyError(err error) bool {
	_, ok := errors.AsType[*keys.KeyError](err)
	return ok
}
