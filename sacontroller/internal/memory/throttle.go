package memory

import (
	"sync"
	"time"
)

// A writer that reverts every write would otherwise make a controller write for
// ever, as fast as it can.
const (
	MaxWrites   = 60
	writeWindow = time.Minute
)

// Throttle bounds how often the same key leads to a write. It is safe for
// concurrent use.
type Throttle[K comparable] struct {
	Now func() time.Time // required

	mu      sync.Mutex
	windows map[K]window
	sweepAt int
}

// A window counts the writes for one key since its start.
type window struct {
	start  time.Time
	writes int
}

// Wait returns how long to wait because there were MaxWrites writes for key in
// writeWindow, or zero.
func (t *Throttle[K]) Wait(key K) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.Now()
	if w := t.current(key, now); w.writes >= MaxWrites {
		return w.start.Add(writeWindow).Sub(now)
	}
	return 0
}

// Wrote counts a write for key.
func (t *Throttle[K]) Wrote(key K) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.Now()
	t.sweep(now)
	if t.windows == nil {
		t.windows = map[K]window{}
	}
	w := t.current(key, now)
	w.writes++
	t.windows[key] = w
}

// current returns the window of key at now, a new one if the last is over.
func (t *Throttle[K]) current(key K, now time.Time) window {
	w := t.windows[key]
	if age := now.Sub(w.start); age < 0 || age >= writeWindow {
		return window{start: now}
	}
	return w
}

// sweep forgets windows that are over, once there are twice as many as there
// were after the last sweep.
func (t *Throttle[K]) sweep(now time.Time) {
	if len(t.windows) < max(t.sweepAt, 1024) {
		return
	}
	for key := range t.windows {
		if t.current(key, now).writes == 0 {
			delete(t.windows, key)
		}
	}
	t.sweepAt = 2 * len(t.windows)
}
