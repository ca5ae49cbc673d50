package keystest

import (
	"crypto"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kubesa/serviceaccount/keys"
)

// A Clock is moved by hand.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a Clock of 2026.
func NewClock() *Clock { return &Clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

// Now returns the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Add moves the clock.
func (c *Clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Algorithms returns the algorithms of all keys of source.
func Algorithms(t *testing.T, source keys.Source) string {
	t.Helper()
	list, err := source.PublicKeys(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, key := range list {
		out = append(out, string(key.Algorithm))
	}
	return strings.Join(out, " ")
}

// PEMs returns the public halves of keys, one PEM block each.
func PEMs(list ...crypto.Signer) (out string) {
	for _, key := range list {
		out += PKIX(key.Public())
	}
	return out
}

// KeyAndID returns a new key.
func KeyAndID(t *testing.T) (key crypto.Signer, id string) {
	t.Helper()
	key, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	id, err = keys.ID(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return key, id
}

// WantKnown checks whether r knows id, without an error.
func WantKnown(t *testing.T, r keys.Source, id string, known bool) {
	t.Helper()
	list, err := r.PublicKeys(t.Context(), id)
	if err != nil || (len(list) > 0) != known {
		t.Fatalf("got %d keys and %v, want that the key is known: %t", len(list), err, known)
	}
}

// WantUnavailable checks that r could not be asked for id, for a reason with text in it.
func WantUnavailable(t *testing.T, r keys.Source, id, text string) {
	t.Helper()
	list, err := r.PublicKeys(t.Context(), id)
	if !errors.Is(err, keys.ErrUnavailable) || !strings.Contains(err.Error(), text) || len(list) > 0 {
		t.Fatalf("got %d keys and %v, want ErrUnavailable with %q", len(list), err, text)
	}
}

// NewKey returns a new key.
func NewKey() crypto.Signer { return Must(keys.Generate(keys.ES256)) }

// ID returns the id of a key's public half.
func ID(key crypto.Signer) string { return Must(keys.ID(key.Public())) }
