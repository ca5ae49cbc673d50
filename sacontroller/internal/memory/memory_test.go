package memory

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// SECURITY C15
func TestThrottle(t *testing.T) {
	now := time.Unix(1000, 0)
	p := Throttle[string]{Now: func() time.Time { return now }}
	key, other := "a", "b"
	for i := range MaxWrites {
		if wait := p.Wait(key); wait != 0 {
			t.Fatalf("Wait() of write %d = %v, want 0", i+1, wait)
		}
		p.Wrote(key)
	}
	now = now.Add(20 * time.Second)
	if got := p.Wait(key); got != 40*time.Second {
		t.Errorf("Wait() of write %d after 20 s = %v, want 40s", MaxWrites+1, got)
	}
	if got := p.Wait(other); got != 0 {
		t.Errorf("Wait() for another key = %v, want 0", got)
	}
	now = now.Add(40 * time.Second)
	if got := p.Wait(key); got != 0 {
		t.Errorf("Wait() after the minute = %v, want 0", got)
	}
	for range MaxWrites {
		p.Wrote(key)
	}
	now = now.Add(-time.Hour)
	if got := p.Wait(key); got != 0 {
		t.Errorf("Wait() after the clock was set back = %v, want 0", got)
	}
	for i := range 100_000 {
		now = now.Add(time.Second / 10)
		p.Wrote(fmt.Sprint(i))
	}
	if len(p.windows) > 3000 {
		t.Errorf("100,000 keys of nearly three hours left %d windows, want those of a minute and some", len(p.windows))
	}
}

func TestFailures(t *testing.T) {
	var f Failures[string]
	key, first, second := "a", errors.New("first"), errors.New("second")
	f.Note(key, nil)
	f.Note(key, first)
	f.Note(key, second)
	if got := f.Get(key); got != second {
		t.Errorf("Get() after two errors = %v, want the second", got)
	}
	f.Note(key, nil)
	if got := f.Get(key); got != nil {
		t.Errorf("Get() after a success = %v, want nil", got)
	}
	f.Note(key, errors.New(strings.Repeat("x", 1<<20)))
	if got := f.Get(key).Error(); len(got) > maxErrorText+len("…") {
		t.Errorf("Get() of an error with 1 MiB of text has %d bytes, want it cut", len(got))
	}
	f.Note(key, nil)
	for i := range 2 * maxFailures {
		f.Note(fmt.Sprint(i), first)
	}
	last := fmt.Sprint(2*maxFailures - 1)
	if len(f.last) != maxFailures || f.Get(last) != first {
		t.Errorf("%d failing keys left %d and %v for the last, want %d and its error", 2*maxFailures, len(f.last), f.Get(last), maxFailures)
	}
}

// DESIGN 5: what is remembered of many large objects is bounded. Those that have a
// place get ready; another one waits, until they are done or don't come back.
func TestPlaces(t *testing.T) {
	now := time.Unix(1000, 0)
	p := Places[int]{Now: func() time.Time { return now }}
	uid := func(i int) types.UID { return types.UID(fmt.Sprint(i)) }
	put := func(uid types.UID, want bool) {
		t.Helper()
		if got := p.Put(uid, string(uid), 7); got != want {
			t.Errorf("Put(%q) after %v = %t, want %t", uid, now.Sub(time.Unix(1000, 0)), got, want)
		}
	}
	for i := range MaxPlaces {
		put(uid(i), true)
	}
	put("more", false)
	if n := p.Len(); n != MaxPlaces {
		t.Errorf("Len() = %d, want %d", n, MaxPlaces)
	}
	if value, ok := p.Take(uid(0)); value != 7 || !ok {
		t.Errorf("Take() = %d, %t, want 7, true", value, ok)
	}
	if value, ok := p.Take(uid(0)); value != 0 || ok {
		t.Errorf("Take() once more = %d, %t, want 0, false", value, ok)
	}
	put(uid(0), true)
	now = now.Add(placeTimeout)
	put("more", false)
	p.Take(uid(0))
	put(uid(0), true)
	now = now.Add(time.Second)
	put("more", true)
	if _, ok := p.all[uid(0)]; len(p.all) != 2 || !ok {
		t.Errorf("%d places are taken, want the one in use and the new one", len(p.all))
	}
	for i := range MaxPlaces - 1 {
		put(uid(i), true)
	}
	put("another", false)
	now = now.Add(-time.Hour) // the clock is set back
	put("another", true)
}

// DESIGN 5: the large objects of one namespace leave places to others, and keep their
// own whatever others take.
func TestPlacesOfGroups(t *testing.T) {
	now := time.Unix(1000, 0)
	p := Places[int]{Now: func() time.Time { return now }}
	for _, group := range []string{"a", "b", "c"} {
		for i := range maxOfGroup + 9 {
			if got, want := p.Put(types.UID(fmt.Sprint(group, i)), group, i), i < maxOfGroup; got != want {
				t.Errorf("Put() of the %dth of %s = %t, want %t", i+1, group, got, want)
			}
		}
	}
	if !p.Put("d", "d", 1) {
		t.Error("there is no place for another namespace")
	}
	if value, ok := p.Take("a7"); value != 7 || !ok || !p.Put("a7", "a", value) {
		t.Error("an object has lost its place")
	}
	now = now.Add(placeTimeout + time.Second)
	if !p.Put("a+", "a", 1) || p.Len() != 1 {
		t.Errorf("%d places are taken once nobody has come back, want that of the new one", p.Len())
	}
}
