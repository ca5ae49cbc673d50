package keys

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// A State is what a key of a [Ring] does.
type State string

// The states of a key, in the order in which it goes through them.
const (
	Published State = "published" // verifiers learn of it; it has signed nothing
	Signing   State = "signing"   // signs
	Retiring  State = "retiring"  // has signed tokens that may still be valid
)

// A RingKey says what a [Ring] knows of one of its keys.
type RingKey struct {
	ID        string
	Algorithm Algorithm
	Added     time.Time // when verifiers could first know it
	Promoted  time.Time // when it last began to sign; zero if it never did
	Demoted   time.Time // when it last ceased to sign; zero if it didn't

	// First is true of the key that was added when there was no other.
	First bool
	// VerifyOnly is true of keys whose private half is elsewhere. They are
	// taken to have signed until they were added.
	VerifyOnly bool
}

// State returns what the key does.
func (k RingKey) State() State {
	switch {
	case !k.Demoted.IsZero():
		return Retiring
	case !k.Promoted.IsZero():
		return Signing
	}
	return Published
}

// A RotationReason says why a step of a rotation is refused.
type RotationReason string

// The reasons for which a step is refused.
const (
	ReasonTooEarly   RotationReason = "too early"      // RotationError.Earliest says when
	ReasonUnknownKey RotationReason = "unknown key"    // the ring has no such key
	ReasonKnownKey   RotationReason = "known key"      // the ring has it already
	ReasonInUse      RotationReason = "key signs"      // promote another one first
	ReasonNoPrivate  RotationReason = "no private key" // it only verifies
	ReasonNoOther    RotationReason = "no other key"   // there is none to take over: add one first
	ReasonFull       RotationReason = "too many keys"  // retire some first
)

// A RotationError reports a step that was not taken because it would not be
// safe or makes no sense. Nothing has changed.
type RotationError struct {
	Step   string // "add", "promote", "retire" or "revoke"
	ID     string
	Reason RotationReason

	// Earliest is when the step will be safe, if the reason is ReasonTooEarly.
	Earliest time.Time
}

func (e *RotationError) Error() string {
	text := fmt.Sprintf("keys: can't %s key %q: %s", e.Step, e.ID, e.Reason)
	if e.Reason == ReasonTooEarly {
		text += ", want " + e.Earliest.UTC().Format(time.RFC3339) + " or later"
	}
	return text
}

// A Step is one that [Ring.Take] takes, and when.
type Step struct {
	Do       string // "promote" or "retire"
	ID       string
	Earliest time.Time // the step is refused before
}

// The names of steps.
const (
	stepAdd     = "add"
	stepPromote = "promote"
	stepRetire  = "retire"
	stepRevoke  = "revoke"
)

// settle is added to both waiting times: replicas notice changes a little later,
// clocks differ, and verifiers grant tokens a leeway of a minute.
const settle = 2 * time.Minute

// A rotation is the rules by which keys come, sign and go. Its methods are pure
// and return changed copies of keys.
type rotation struct {
	maxAge      time.Duration // how long verifiers keep a copy of the keys
	maxLifetime time.Duration // how long the longest token lasts
}

func find(keys []RingKey, id string) int {
	return slices.IndexFunc(keys, func(k RingKey) bool { return k.ID == id })
}

func findSigning(keys []RingKey) int {
	return slices.IndexFunc(keys, func(k RingKey) bool { return k.State() == Signing })
}

// add publishes a key.
func (r rotation) add(keys []RingKey, key RingKey, now time.Time) ([]RingKey, error) {
	if find(keys, key.ID) >= 0 {
		return nil, &RotationError{Step: stepAdd, ID: key.ID, Reason: ReasonKnownKey}
	}
	if len(keys) >= maxKeys {
		return nil, &RotationError{Step: stepAdd, ID: key.ID, Reason: ReasonFull}
	}
	key.Added, key.Promoted, key.Demoted = now, time.Time{}, time.Time{}
	key.First = len(keys) == 0
	if key.VerifyOnly {
		key.Demoted = now
	}
	return append(slices.Clone(keys), key), nil
}

// promoteFrom returns when a key may sign: once every verifier knows it. The
// first key of all may at once: no verifier has a copy of the keys without it.
func (r rotation) promoteFrom(key RingKey) time.Time {
	if key.First && key.State() == Published {
		return key.Added
	}
	return key.Added.Add(r.maxAge + settle)
}

// promote has a key sign instead of the one that does. Doing it again changes
// nothing.
func (r rotation) promote(keys []RingKey, id string, now time.Time) ([]RingKey, error) {
	i := find(keys, id)
	switch {
	case i < 0:
		return nil, &RotationError{Step: stepPromote, ID: id, Reason: ReasonUnknownKey}
	case keys[i].VerifyOnly:
		return nil, &RotationError{Step: stepPromote, ID: id, Reason: ReasonNoPrivate}
	case keys[i].State() == Signing:
		return keys, nil
	}
	if from := r.promoteFrom(keys[i]); now.Before(from) {
		return nil, &RotationError{Step: stepPromote, ID: id, Reason: ReasonTooEarly, Earliest: from}
	}
	return replaceSigner(keys, i, now), nil
}

// start has a key sign if none does, the one that was published first of those that
// may, and returns its id: none if a key has to be added. It is an error if there is
// one that may sign later.
func (r rotation) start(keys []RingKey, now time.Time) (_ []RingKey, id string, err error) {
	if i := findSigning(keys); i >= 0 {
		return keys, keys[i].ID, nil
	}
	for _, key := range keys {
		if key.VerifyOnly || key.State() != Published {
			continue
		}
		promoted, perr := r.promote(keys, key.ID, now)
		if perr == nil {
			return promoted, key.ID, nil
		}
		if err == nil {
			err = perr
		}
	}
	return keys, "", err
}

func replaceSigner(keys []RingKey, i int, now time.Time) []RingKey {
	keys = slices.Clone(keys)
	if old := findSigning(keys); old >= 0 {
		// A clock that was set back must not shorten the time that is left.
		keys[old].Demoted = latest(now, keys[old].Promoted, keys[old].Added)
	}
	keys[i].Promoted, keys[i].Demoted = latest(now, keys[i].Added), time.Time{}
	return keys
}

// retireFrom returns when nothing that key i has signed is valid any more.
func (r rotation) retireFrom(key RingKey) time.Time {
	if key.State() == Published {
		return key.Added
	}
	return key.Demoted.Add(r.maxLifetime + settle)
}

// retire forgets a key.
func (r rotation) retire(keys []RingKey, id string, now time.Time) ([]RingKey, error) {
	i := find(keys, id)
	switch {
	case i < 0:
		return nil, &RotationError{Step: stepRetire, ID: id, Reason: ReasonUnknownKey}
	case keys[i].State() == Signing:
		return nil, &RotationError{Step: stepRetire, ID: id, Reason: ReasonInUse}
	case len(keys) == 1:
		// Verifiers would keep a copy that the next key, as the first, isn't in.
		return nil, &RotationError{Step: stepRetire, ID: id, Reason: ReasonNoOther}
	}
	if from := r.retireFrom(keys[i]); now.Before(from) {
		return nil, &RotationError{Step: stepRetire, ID: id, Reason: ReasonTooEarly, Earliest: from}
	}
	return slices.Delete(slices.Clone(keys), i, i+1), nil
}

// revoke forgets a key whatever it has signed. If it signs, the key that has
// been published the longest takes over.
func (r rotation) revoke(keys []RingKey, id string, now time.Time) ([]RingKey, error) {
	i := find(keys, id)
	if i < 0 {
		return nil, &RotationError{Step: stepRevoke, ID: id, Reason: ReasonUnknownKey}
	}
	if keys[i].State() == Signing {
		next := -1
		for j, key := range keys {
			if j != i && !key.VerifyOnly && (next < 0 || key.Added.Before(keys[next].Added)) {
				next = j
			}
		}
		if next < 0 {
			return nil, &RotationError{Step: stepRevoke, ID: id, Reason: ReasonNoOther}
		}
		keys = replaceSigner(keys, next, now)
	}
	return slices.Delete(slices.Clone(keys), i, i+1), nil
}

// plan returns the steps that lead on from keys, the earliest first: to promote
// each published key, to retire each that has signed.
func (r rotation) plan(keys []RingKey) []Step {
	var steps []Step
	for _, key := range keys {
		switch key.State() {
		case Published:
			steps = append(steps, Step{stepPromote, key.ID, r.promoteFrom(key)})
		case Retiring:
			steps = append(steps, Step{stepRetire, key.ID, r.retireFrom(key)})
		}
	}
	slices.SortStableFunc(steps, func(a, b Step) int {
		return cmp.Or(a.Earliest.Compare(b.Earliest), cmp.Compare(a.Do, b.Do))
	})
	return steps
}
