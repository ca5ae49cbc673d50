package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/keyring"
)

// Replicas of a ring take random steps, while calls fail, answers are lost, others are
// faster and processes are killed. A step that succeeds is there, one that is denied has
// changed nothing, and any other was made whole or not at all.
func checkRings(t *testing.T, open func() keyring.Store) {
	const replicas, steps = 3, 80
	m := &model{t: t, rng: rand.New(rand.NewPCG(1, 2)), now: time.Unix(1_800_000_000, 0), open: open, faulty: true}
	m.truth = m.ring(open())
	for range replicas {
		m.replicas = append(m.replicas, m.replica())
	}
	for i := range steps {
		m.step(i)
	}
	m.faulty = false
	m.now = m.now.Add(time.Minute)
	if _, err := m.truth.EnsureSigning(t.Context(), keys.ES256); err != nil {
		if denied, ok := errors.AsType[*keyring.StepError](err); !ok || denied.Reason != keyring.ReasonTooEarly {
			t.Fatal(err)
		}
		m.now = m.now.Add(time.Hour)
		if _, err := m.truth.EnsureSigning(t.Context(), keys.ES256); err != nil {
			t.Fatal(err)
		}
	}
	m.now = m.now.Add(time.Minute)
	for i, r := range m.replicas {
		if err := r.Err(); r.String() != m.truth.String() || err != nil {
			t.Errorf("replica %d ends as %v, %v, want %v", i, r, err, m.truth)
		}
		for _, other := range m.replicas {
			if err := keys.SelfTest(t.Context(), r, other); err != nil {
				t.Errorf("what replica %d signs, another one doesn't verify: %v", i, err)
			}
		}
	}
}

type model struct {
	t        *testing.T
	rng      *rand.Rand
	now      time.Time
	open     func() keyring.Store
	faulty   bool
	truth    *keyring.Ring // without faults
	replicas []*keyring.Ring
}

func (m *model) ring(s keyring.Store) *keyring.Ring {
	m.t.Helper()
	for {
		r, err := keyring.OpenStore(m.t.Context(), s, keyring.Config{
			MaxAge: time.Minute, MaxTokenLifetime: time.Minute, Now: func() time.Time { return m.now },
		})
		if err == nil {
			return r
		}
		if !errors.Is(err, ErrFault) {
			m.t.Fatalf("OpenStore() = %v", err)
		}
	}
}

// replica opens a ring whose store fails now and then.
func (m *model) replica() *keyring.Ring {
	return m.ring(NewFaulty(m.open(), func(string) Fault {
		if !m.faulty || m.rng.IntN(5) > 0 {
			return None
		}
		return [...]Fault{Refused, LostAnswer, Conflict}[m.rng.IntN(3)]
	}))
}

// look returns what is stored, in words, and which key signs.
func (m *model) look() (state map[string]keyring.State, signing string) {
	m.t.Helper()
	m.now = m.now.Add(2 * time.Second)
	state = map[string]keyring.State{}
	for _, key := range m.truth.Keys() {
		state[key.ID] = key.State()
		if key.State() == keyring.Signing {
			if signing != "" {
				m.t.Fatal("two keys sign")
			}
			signing = key.ID
		}
	}
	if err := m.truth.Err(); err != nil {
		m.t.Fatalf("the store can't be read: %v", err)
	}
	return state, signing
}

func (m *model) step(n int) {
	m.t.Helper()
	before, signed := m.look()
	i := m.rng.IntN(len(m.replicas))
	r, ctx := m.replicas[i], m.t.Context()
	id := "unknown"
	for known := range before {
		id = max(id, known)
	}
	if all := r.Keys(); len(all) > 0 {
		id = all[m.rng.IntN(len(all))].ID
	}
	var what string
	var err error
	var taken func(after map[string]keyring.State, signing string) bool
	switch m.rng.IntN(7) {
	case 0: // it is killed, and starts again
		m.replicas[i] = m.replica()
		return
	case 1:
		what = "EnsureSigning"
		_, err = r.EnsureSigning(ctx, keys.ES256)
		taken = func(_ map[string]keyring.State, signing string) bool { return signing != "" }
	case 2, 3:
		key, genErr := keys.Generate(keys.ES256)
		if genErr != nil {
			m.t.Fatal(genErr)
		}
		what = "Add"
		id, err = r.Add(ctx, key)
		taken = func(after map[string]keyring.State, _ string) bool { return after[id] != "" }
	case 4:
		what = "Promote"
		err = r.Promote(ctx, id)
		taken = func(_ map[string]keyring.State, signing string) bool { return signing == id }
	case 5:
		what = "Retire"
		err = r.Retire(ctx, id)
		taken = func(after map[string]keyring.State, _ string) bool { return after[id] == "" }
	default:
		what = "Revoke"
		err = r.Revoke(ctx, id)
		taken = func(after map[string]keyring.State, _ string) bool { return after[id] == "" }
	}
	after, signing := m.look()
	_, denied := errors.AsType[*keyring.StepError](err)
	same := fmt.Sprint(before) == fmt.Sprint(after)
	switch {
	case err == nil && !taken(after, signing):
		m.t.Fatalf("step %d: %s has succeeded, but isn't there", n, what)
	case err != nil && !denied && !errors.Is(err, ErrFault) && !errors.Is(err, keyring.ErrConflict):
		m.t.Fatalf("step %d: %s = %v", n, what, err)
	case err != nil && !same && !taken(after, signing):
		m.t.Fatalf("step %d: %s = %v, but was made by half: %v, then %v", n, what, err, before, after)
	case signed != "" && signing == "":
		m.t.Fatalf("step %d: %s = %v, and no key signs any more", n, what, err)
	case err != nil && strings.Contains(err.Error(), "PRIVATE"):
		m.t.Fatalf("step %d: %s has a key in its error", n, what)
	}
	m.now = m.now.Add(time.Duration(m.rng.IntN(180)) * time.Second)
}
