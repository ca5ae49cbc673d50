package keyring

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Who takes over from a revoked key has been published the longest, whatever the order
// of the keys: clocks may have been set back. A key that only verifies can't.
func TestRotationRevoke(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func(minutes int) time.Time { return start.Add(time.Duration(minutes) * time.Minute) }
	signs := Key{ID: "signs", Added: at(0), Promoted: at(0), First: true}
	public := Key{ID: "public", Added: at(-9), Demoted: at(-9), VerifyOnly: true}
	old := Key{ID: "old", Added: at(-5), Promoted: at(-4), Demoted: at(-3)}
	early, late := Key{ID: "early", Added: at(1)}, Key{ID: "late", Added: at(2)}
	rules := rotation{time.Hour, 24 * time.Hour}
	for _, tt := range []struct {
		name string
		all  []Key
		want string // the id of the key that signs then
	}{
		{"in order", []Key{signs, early, late}, "early"},
		{"the other way round", []Key{late, early, signs}, "early"},
		{"the first of all", []Key{early, late, signs}, "early"},
		{"one in the middle", []Key{late, signs, early, public}, "early"},
		{"as old as the other", []Key{signs, early, {ID: "same", Added: early.Added}}, "early"},
		{"one that signed before", []Key{early, old, signs}, "old"},
		{"only one that verifies", []Key{public, signs}, ""},
		{"alone", []Key{signs}, ""},
	} {
		got, err := rules.revoke(tt.all, "signs", at(3))
		if tt.want == "" {
			if e, ok := errors.AsType[*StepError](err); !ok || e.Reason != ReasonNoOtherKey || got != nil {
				t.Errorf("%s: revoke() = %v, %v, want a StepError", tt.name, got, err)
			}
			continue
		}
		i := findSigning(got)
		if err != nil || i < 0 || got[i].ID != tt.want || got[i].Promoted != at(3) || !got[i].Demoted.IsZero() || len(got) != len(tt.all)-1 || find(got, "signs") >= 0 {
			t.Errorf("%s: revoke() = %+v, %v, want %s to sign", tt.name, got, err, tt.want)
		}
	}
}

// A key that doesn't sign goes, and nothing else changes.
func TestRotationRevokeOther(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	signs, other, late := Key{ID: "signs", Added: start, Promoted: start}, Key{ID: "other", Added: start}, Key{ID: "late", Added: start}
	got, err := rotation{time.Hour, time.Hour}.revoke([]Key{signs, other, late}, "other", start.Add(time.Hour))
	if diff := cmp.Diff([]Key{signs, late}, got); diff != "" || err != nil {
		t.Errorf("revoke() = %v (-want +got):\n%s", err, diff)
	}
}

// Of steps that are possible at the same time, keys are promoted first.
func TestRotationPlan(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	rules := rotation{time.Hour, time.Hour}
	first := Key{ID: "first", Added: start, First: true}
	retiring := Key{ID: "retiring", Added: start, Promoted: start, Demoted: start}
	published, other := Key{ID: "published", Added: start}, Key{ID: "other", Added: start}
	at := start.Add(time.Hour + settle)
	want := []Step{{Promote, "first", start}, {Promote, "published", at}, {Promote, "other", at}, {Retire, "retiring", at}}
	if diff := cmp.Diff(want, rules.plan([]Key{retiring, published, other, first})); diff != "" {
		t.Errorf("plan() (-want +got):\n%s", diff)
	}
}

// The key that was published first signs, of those that may; that it only verifies, or
// has signed before, doesn't make it one.
func TestRotationStart(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	rules := rotation{time.Hour, time.Hour}
	allowed := start.Add(time.Hour + settle)
	public := Key{ID: "public", Added: start, Demoted: start, VerifyOnly: true}
	retiring := Key{ID: "retiring", Added: start, Promoted: start, Demoted: start}
	one, two := Key{ID: "one", Added: start.Add(time.Second)}, Key{ID: "two", Added: start}
	for _, tt := range []struct {
		name  string
		all   []Key
		now   time.Time
		want  string
		early time.Time // when the first may sign
	}{
		{name: "none", now: start},
		{name: "none that may ever", all: []Key{public, retiring}, now: allowed.Add(time.Hour)},
		{name: "too early", all: []Key{public, one, two}, now: allowed.Add(-1), early: allowed.Add(time.Second)},
		{name: "the second may", all: []Key{public, one, two}, now: allowed, want: "two"},
		{name: "both may", all: []Key{retiring, one, two}, now: allowed.Add(time.Second), want: "one"},
		{name: "one signs", all: []Key{one, {ID: "signs", Added: start, Promoted: start}}, now: allowed.Add(time.Hour), want: "signs"},
	} {
		all, id, err := rules.start(tt.all, tt.now)
		if id != tt.want || (id == "") != (findSigning(all) < 0) || id != "" && (err != nil || all[findSigning(all)].ID != id) {
			t.Errorf("%s: start() = %+v, %q, %v, want %q to sign", tt.name, all, id, err, tt.want)
		}
		e, _ := errors.AsType[*StepError](err)
		if (e == nil) != tt.early.IsZero() || e != nil && (e.Reason != ReasonTooEarly || !e.Earliest.Equal(tt.early)) {
			t.Errorf("%s: start() = %v, want a StepError with %v", tt.name, err, tt.early)
		}
	}
}
