package keyring

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubesa/serviceaccount/keys"
)

// A State is what a key of a [Ring] does.
type State string

// The states of a key, in the order in which it goes through them.
const (
	Published State = "Published" // verifiers learn of it; it has signed nothing
	Signing   State = "Signing"   // signs
	Retiring  State = "Retiring"  // has signed tokens that may still be valid
)

// A Key is what a [Ring] knows of one of its keys.
type Key struct {
	ID        string
	Algorithm keys.Algorithm
	Added     time.Time // when it was published
	Promoted  time.Time // when it last began to sign; zero if it never did
	Demoted   time.Time // when it last ceased to sign; zero if it didn't

	// First is true of a key that was added to an empty ring.
	First bool
	// VerifyOnly is true of a key without its private half. It is assumed to have
	// signed until it was added.
	VerifyOnly bool
}

// State returns what the key does.
func (k Key) State() State {
	switch {
	case !k.Demoted.IsZero():
		return Retiring
	case !k.Promoted.IsZero():
		return Signing
	}
	return Published
}

// An Action is a kind of step.
type Action string

// The actions. [Ring.Plan] returns steps with Promote and Retire.
const (
	Add     Action = "Add"
	Promote Action = "Promote"
	Retire  Action = "Retire"
	Revoke  Action = "Revoke"
)

// A Step is an action that [Ring.Take] takes.
type Step struct {
	Action   Action // Promote or Retire
	ID       string
	Earliest time.Time // the step is denied before
}

// A Reason says why a step is denied.
type Reason string

// The reasons for which a step is denied.
const (
	ReasonTooEarly     Reason = "TooEarly"     // StepError.Earliest says when
	ReasonUnknownKey   Reason = "UnknownKey"   // the ring has no such key
	ReasonKnownKey     Reason = "KnownKey"     // the ring has it already
	ReasonInUse        Reason = "InUse"        // it signs: promote another one first
	ReasonNoPrivateKey Reason = "NoPrivateKey" // it only verifies
	ReasonNoOtherKey   Reason = "NoOtherKey"   // no other key can take over: add one first
	ReasonTooManyKeys  Reason = "TooManyKeys"  // retire some first
)

// problems are the reasons in words.
var problems = map[Reason]string{
	ReasonTooEarly:     "too early",
	ReasonUnknownKey:   "unknown key",
	ReasonKnownKey:     "the ring has it already",
	ReasonInUse:        "it signs",
	ReasonNoPrivateKey: "no private key",
	ReasonNoOtherKey:   "no other key",
	ReasonTooManyKeys:  "too many keys",
}

// A StepError reports a step that was denied because it would invalidate tokens that
// are still valid, or makes no sense. Nothing has changed.
type StepError struct {
	Action Action
	ID     string
	Reason Reason

	// Earliest is when the step is allowed, if the reason is ReasonTooEarly.
	Earliest time.Time
}

func (e *StepError) Error() string {
	text := fmt.Sprintf("keyring: can't %s key %q: %s", strings.ToLower(string(e.Action)), e.ID, problems[e.Reason])
	if e.Reason == ReasonTooEarly {
		text += ", want " + e.Earliest.UTC().Format(time.RFC3339) + " or later"
	}
	return text
}

// settle is added to both waiting times: replicas notice changes a little later,
// clocks differ, and verifiers allow a leeway of a minute.
const settle = 2 * time.Minute

// maxKeys is how many keys a ring has at most.
const maxKeys = 64

// latest returns the last of some times.
func latest(t time.Time, others ...time.Time) time.Time {
	for _, other := range others {
		if other.After(t) {
			t = other
		}
	}
	return t
}

// A rotation is the rules by which keys come, sign and go. Its methods are pure
// and return changed copies of keys.
type rotation struct {
	maxAge      time.Duration // how long verifiers keep a copy of the keys
	maxLifetime time.Duration // how long the longest token lasts
}

func find(all []Key, id string) int {
	return slices.IndexFunc(all, func(k Key) bool { return k.ID == id })
}

func findSigning(all []Key) int {
	return slices.IndexFunc(all, func(k Key) bool { return k.State() == Signing })
}

// add publishes a key.
func (r rotation) add(all []Key, key Key, now time.Time) ([]Key, error) {
	if find(all, key.ID) >= 0 {
		return nil, &StepError{Action: Add, ID: key.ID, Reason: ReasonKnownKey}
	}
	if len(all) >= maxKeys {
		return nil, &StepError{Action: Add, ID: key.ID, Reason: ReasonTooManyKeys}
	}
	key.Added, key.Promoted, key.Demoted = now, time.Time{}, time.Time{}
	key.First = len(all) == 0
	if key.VerifyOnly {
		key.Demoted = now
	}
	return append(slices.Clone(all), key), nil
}

// promoteFrom returns when a key may sign: once every verifier knows it. The
// first key of all may at once: no verifier has a copy of the keys without it.
func (r rotation) promoteFrom(key Key) time.Time {
	if key.First {
		return key.Added
	}
	return key.Added.Add(r.maxAge + settle)
}

// promote has a key sign instead of the one that does. Doing it again changes
// nothing.
func (r rotation) promote(all []Key, id string, now time.Time) ([]Key, error) {
	i := find(all, id)
	switch {
	case i < 0:
		return nil, &StepError{Action: Promote, ID: id, Reason: ReasonUnknownKey}
	case all[i].VerifyOnly:
		return nil, &StepError{Action: Promote, ID: id, Reason: ReasonNoPrivateKey}
	case all[i].State() == Signing:
		return all, nil
	}
	if from := r.promoteFrom(all[i]); now.Before(from) {
		return nil, &StepError{Action: Promote, ID: id, Reason: ReasonTooEarly, Earliest: from}
	}
	return replaceSigner(all, i, now), nil
}

// start has a key sign if none does, the one that was published first of those that
// may, and returns its id: none if a key has to be added. It is an error if there is
// one that may sign later.
func (r rotation) start(all []Key, now time.Time) (_ []Key, id string, err error) {
	if i := findSigning(all); i >= 0 {
		return all, all[i].ID, nil
	}
	for _, key := range all {
		if key.State() != Published {
			continue
		}
		promoted, perr := r.promote(all, key.ID, now)
		if perr == nil {
			return promoted, key.ID, nil
		}
		if err == nil {
			err = perr
		}
	}
	return all, "", err
}

func replaceSigner(all []Key, i int, now time.Time) []Key {
	all = slices.Clone(all)
	if old := findSigning(all); old >= 0 {
		// A clock that was set back must not shorten the time that is left.
		all[old].Demoted = latest(now, all[old].Promoted, all[old].Added)
	}
	all[i].Promoted, all[i].Demoted = latest(now, all[i].Added), time.Time{}
	return all
}

// retireFrom returns when nothing that a key has signed is valid any more, which one that
// has signed nothing never was.
func (r rotation) retireFrom(key Key) time.Time {
	return key.Demoted.Add(r.maxLifetime + settle)
}

// retire forgets a key.
func (r rotation) retire(all []Key, id string, now time.Time) ([]Key, error) {
	i := find(all, id)
	switch {
	case i < 0:
		return nil, &StepError{Action: Retire, ID: id, Reason: ReasonUnknownKey}
	case all[i].State() == Signing:
		return nil, &StepError{Action: Retire, ID: id, Reason: ReasonInUse}
	case len(all) == 1:
		// Verifiers would keep a copy that the next key, as the first, isn't in.
		return nil, &StepError{Action: Retire, ID: id, Reason: ReasonNoOtherKey}
	}
	if from := r.retireFrom(all[i]); now.Before(from) {
		return nil, &StepError{Action: Retire, ID: id, Reason: ReasonTooEarly, Earliest: from}
	}
	return slices.Delete(slices.Clone(all), i, i+1), nil
}

// revoke forgets a key whatever it has signed. If it signs, the key that has
// been published the longest takes over.
func (r rotation) revoke(all []Key, id string, now time.Time) ([]Key, error) {
	i := find(all, id)
	if i < 0 {
		return nil, &StepError{Action: Revoke, ID: id, Reason: ReasonUnknownKey}
	}
	if all[i].State() == Signing {
		next := -1
		for j, key := range all {
			if j != i && !key.VerifyOnly && (next < 0 || key.Added.Before(all[next].Added)) {
				next = j
			}
		}
		if next < 0 {
			return nil, &StepError{Action: Revoke, ID: id, Reason: ReasonNoOtherKey}
		}
		all = replaceSigner(all, next, now)
	}
	return slices.Delete(slices.Clone(all), i, i+1), nil
}

// plan returns the steps that lead on from keys, the earliest first: to promote
// each published key, to retire each that has signed.
func (r rotation) plan(all []Key) []Step {
	var steps []Step
	for _, key := range all {
		switch key.State() {
		case Published:
			steps = append(steps, Step{Promote, key.ID, r.promoteFrom(key)})
		case Retiring:
			steps = append(steps, Step{Retire, key.ID, r.retireFrom(key)})
		}
	}
	slices.SortStableFunc(steps, func(a, b Step) int {
		return cmp.Or(a.Earliest.Compare(b.Earliest), cmp.Compare(a.Action, b.Action))
	})
	return steps
}
