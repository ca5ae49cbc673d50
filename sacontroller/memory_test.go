package sacontroller

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// SECURITY C15
func TestThrottle(t *testing.T) {
	now := time.Unix(1000, 0)
	p := throttle{now: func() time.Time { return now }}
	key, other := Key{Kind: kindSecret, Name: "a"}, Key{Kind: kindSecret, Name: "b"}
	for i := range maxWrites {
		if wait := p.wait(key); wait != 0 {
			t.Fatalf("wait() of write %d = %v, want 0", i+1, wait)
		}
		p.wrote(key)
	}
	now = now.Add(20 * time.Second)
	if got := p.wait(key); got != 40*time.Second {
		t.Errorf("wait() of write %d after 20 s = %v, want 40s", maxWrites+1, got)
	}
	if got := p.wait(other); got != 0 {
		t.Errorf("wait() for another key = %v, want 0", got)
	}
	now = now.Add(40 * time.Second)
	if got := p.wait(key); got != 0 {
		t.Errorf("wait() after the minute = %v, want 0", got)
	}
	for range maxWrites {
		p.wrote(key)
	}
	now = now.Add(-time.Hour)
	if got := p.wait(key); got != 0 {
		t.Errorf("wait() after the clock was set back = %v, want 0", got)
	}
	for i := range 100_000 {
		now = now.Add(time.Second / 10)
		p.wrote(Key{Name: fmt.Sprint(i)})
	}
	if len(p.windows) > 3000 {
		t.Errorf("100,000 keys of nearly three hours left %d windows, want those of a minute and some", len(p.windows))
	}
}

func TestFailures(t *testing.T) {
	var f failures
	key, first, second := Key{Name: "a"}, errors.New("first"), errors.New("second")
	f.note(key, nil)
	f.note(key, first)
	f.note(key, second)
	if got := f.get(key); got != second {
		t.Errorf("get() after two errors = %v, want the second", got)
	}
	f.note(key, nil)
	if got := f.get(key); got != nil {
		t.Errorf("get() after a success = %v, want nil", got)
	}
	f.note(key, errors.New(strings.Repeat("x", 1<<20)))
	if got := f.get(key).Error(); len(got) > maxErrorText+len("…") {
		t.Errorf("get() of an error with 1 MiB of text has %d bytes, want it cut", len(got))
	}
	f.note(key, nil)
	for i := range 2 * maxFailures {
		f.note(Key{Name: fmt.Sprint(i)}, first)
	}
	last := Key{Name: fmt.Sprint(2*maxFailures - 1)}
	if len(f.last) != maxFailures || f.get(last) != first {
		t.Errorf("%d failing keys left %d and %v for the last, want %d and its error", 2*maxFailures, len(f.last), f.get(last), maxFailures)
	}
}

func TestKeyString(t *testing.T) {
	for want, key := range map[string]Key{
		"Namespace ns":  {Kind: "Namespace", Name: "ns", UID: "1"},
		"Secret ns/tok": {Kind: "Secret", Namespace: "ns", Name: "tok", UID: "1", ServiceAccountName: "sa", ServiceAccountUID: "2"},
	} {
		if got := key.String(); got != want {
			t.Errorf("String() = %q, want %q", got, want)
		}
	}
}
