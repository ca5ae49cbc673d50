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
	for i := range 60 {
		if wait := p.Wait(key); wait != 0 {
			t.Fatalf("Wait() of write %d = %v, want 0", i+1, wait)
		}
		p.Wrote(key)
	}
	now = now.Add(20 * time.Second)
	if got := p.Wait(key); got != 40*time.Second {
		t.Errorf("Wait() of write %d after 20 s = %v, want 40s", 61, got)
	}
	if got := p.Wait(other); got != 0 {
		t.Errorf("Wait() for another key = %v, want 0", got)
	}
	now = now.Add(40 * time.Second)
	if got := p.Wait(key); got != 0 {
		t.Errorf("Wait() after the minute = %v, want 0", got)
	}
	for range 60 {
		p.Wrote(key)
	}
	now = now.Add(1)
	if got := p.Wait(key); got != time.Minute-1 {
		t.Errorf("Wait() in the next window = %v, want all of it", got)
	}
	for i := range 3000 { // which forgets windows that are over
		p.Wrote(fmt.Sprint("other ", i))
	}
	if got := p.Wait(key); got != time.Minute-1 {
		t.Errorf("Wait() after writes for others = %v, want the same", got)
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
	for i := range 1500 {
		p.Wrote(fmt.Sprint("before ", i))
	}
	now = now.Add(-24 * time.Hour) // the clock is set back: their windows are over
	most := 0
	for i := range 10_000 {
		now = now.Add(time.Second / 10)
		p.Wrote(fmt.Sprint("again ", i))
		most = max(most, len(p.windows))
	}
	if most > 3000 {
		t.Errorf("10,000 keys since the clock was set back left up to %d windows, want those of a minute and some", most)
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
	full := strings.Repeat("x", 4096)
	for text, want := range map[string]string{full: full, full + "x": full + "…", full + full: full + "…"} {
		f.Note(key, errors.New(text))
		if got := f.Get(key).Error(); got != want {
			t.Errorf("Get() of an error with a text of %d bytes has %d, want %d", len(text), len(got), len(want))
		}
	}
	f.Note(key, nil)
	for i := range 4096 + 9 {
		f.Note(fmt.Sprint(i), first)
	}
	last := fmt.Sprint(4096 + 8)
	f.Note(last, second) // it has a place already
	if len(f.last) != 4096 || f.Get(last) != second {
		t.Errorf("%d failing keys left %d and %v for the last, want %d and its error", 4096+9, len(f.last), f.Get(last), 4096)
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
	for i := range 256 {
		put(uid(i), true)
	}
	put("more", false)
	if n := p.Len(); n != 256 {
		t.Errorf("Len() = %d, want %d", n, 256)
	}
	if value, ok := p.Take(uid(0)); value != 7 || !ok {
		t.Errorf("Take() = %d, %t, want 7, true", value, ok)
	}
	if value, ok := p.Take(uid(0)); value != 0 || ok {
		t.Errorf("Take() once more = %d, %t, want 0, false", value, ok)
	}
	put(uid(0), true)
	now = now.Add(time.Minute)
	put("more", false)
	p.Take(uid(0))
	put(uid(0), true)
	now = now.Add(time.Second)
	put("more", true)
	if _, ok := p.all[uid(0)]; len(p.all) != 2 || !ok {
		t.Errorf("%d places are taken, want the one in use and the new one", len(p.all))
	}
	for i := range 256 - 1 {
		put(uid(i), true)
	}
	put("another", false)
	now = now.Add(-time.Hour) // the clock is set back
	put("another", true)
}

// Who comes back late has kept his place while there was room.
func TestPlacesWithRoom(t *testing.T) {
	now := time.Unix(1000, 0)
	p := Places[int]{Now: func() time.Time { return now }}
	p.Put("late", "shop", 7)
	now = now.Add(time.Hour)
	p.Put("other", "shop", 8)
	if value, ok := p.Take("late"); value != 7 || !ok {
		t.Errorf("Take() = %d, %t, want 7", value, ok)
	}
}

func TestPending(t *testing.T) {
	var p Pending
	if got := p.Get("a"); got != "" || p.Len() != 0 {
		t.Errorf("Get() of nothing = %q of %d", got, p.Len())
	}
	p.Forget("a")
	p.Set("a", "token-1")
	p.Set("b", "token-2")
	p.Set("a", "token-3")
	if a, b := p.Get("a"), p.Get("b"); a != "token-3" || b != "token-2" || p.Len() != 2 {
		t.Errorf("Get() = %q and %q of %d, want token-3 and token-2 of 2", a, b, p.Len())
	}
	p.Forget("a")
	if a, b := p.Get("a"), p.Get("b"); a != "" || b != "token-2" || p.Len() != 1 {
		t.Errorf("Get() after Forget() = %q and %q of %d, want token-2 of 1", a, b, p.Len())
	}
}

// Each tenant has its own, from when it is first asked for until it is forgotten.
func TestTenants(t *testing.T) {
	tenants := Tenants[Pending]{New: func() *Pending { return &Pending{names: map[types.UID]string{"new": "yes"}} }}
	if got := tenants.Known("red"); got != nil {
		t.Errorf("Known() of nothing = %v", got)
	}
	red, blue := tenants.Of("red"), tenants.Of("blue")
	if red == nil || red == blue || red.Get("new") != "yes" || tenants.Of("red") != red || tenants.Known("red") != red || tenants.Known("blue") != blue {
		t.Error("Of() doesn't return what each tenant has")
	}
	var without Tenants[Pending]
	if without.Of("red") == nil {
		t.Error("Of() is nil where there is no New")
	}
	tenants.Forget("red")
	if tenants.Known("red") != nil || tenants.Of("blue") != blue || tenants.Of("red") == red {
		t.Error("Forget() doesn't forget one tenant, and only one")
	}
}

// DESIGN 5: the large objects of one namespace leave places to others, and keep their
// own whatever others take.
func TestPlacesOfGroups(t *testing.T) {
	now := time.Unix(1000, 0)
	p := Places[int]{Now: func() time.Time { return now }}
	for _, group := range []string{"a", "b", "c"} {
		for i := range 64 + 9 {
			if got, want := p.Put(types.UID(fmt.Sprint(group, i)), group, i), i < 64; got != want {
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
	now = now.Add(time.Minute + time.Second)
	if !p.Put("a+", "a", 1) || p.Len() != 1 {
		t.Errorf("%d places are taken once nobody has come back, want that of the new one", p.Len())
	}
}
