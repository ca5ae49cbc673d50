package sacontroller

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// What failures remembers: so many errors, with texts of so many bytes. Some texts
// come from webhooks.
const (
	maxFailures  = 4096
	maxErrorText = 4096
)

// failures remembers the last error of each key that fails. It is safe for
// concurrent use.
type failures struct {
	mu   sync.Mutex
	last map[Key]error
}

// note records how an attempt at key ended; nil forgets it. When too many keys
// fail, any other one is forgotten: a failing key comes back by itself.
func (f *failures) note(key Key, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		delete(f.last, key)
		return
	}
	if f.last == nil {
		f.last = map[Key]error{}
	}
	if text := err.Error(); len(text) > maxErrorText {
		err = errors.New(text[:maxErrorText] + "…")
	}
	if _, known := f.last[key]; !known && len(f.last) >= maxFailures {
		for k := range f.last {
			delete(f.last, k)
			break
		}
	}
	f.last[key] = err
}

func (f *failures) get(key Key) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last[key]
}

// pending remembers, by the UID of the account, the name of the token Secret that
// is being generated for it, from before the create until the account lists the
// Secret or the Secret is deleted. Whatever fails in between, the next attempt finds
// it again, however stale the Reader is. It is safe for concurrent use.
type pending struct {
	mu    sync.Mutex
	names map[types.UID]string
}

func (p *pending) set(account types.UID, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.names == nil {
		p.names = map[types.UID]string{}
	}
	p.names[account] = name
}

// get returns the empty name if there is none.
func (p *pending) get(account types.UID) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.names[account]
}

func (p *pending) forget(account types.UID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.names, account)
}

// A writer that reverts every write would otherwise make a controller write for
// ever, as fast as it can.
const (
	maxWrites   = 60
	writeWindow = time.Minute
)

// throttle bounds how often the same key leads to a write. It is safe for
// concurrent use.
type throttle struct {
	now func() time.Time

	mu      sync.Mutex
	windows map[Key]window
	sweepAt int
}

// A window counts the writes for one key since its start.
type window struct {
	start  time.Time
	writes int
}

// wait returns how long to wait because there were maxWrites writes for key in
// writeWindow, or zero.
func (t *throttle) wait(key Key) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if w := t.current(key, now); w.writes >= maxWrites {
		return w.start.Add(writeWindow).Sub(now)
	}
	return 0
}

// wrote counts a write for key.
func (t *throttle) wrote(key Key) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	t.sweep(now)
	if t.windows == nil {
		t.windows = map[Key]window{}
	}
	w := t.current(key, now)
	w.writes++
	t.windows[key] = w
}

// current returns the window of key at now, a new one if the last is over.
func (t *throttle) current(key Key, now time.Time) window {
	w := t.windows[key]
	if age := now.Sub(w.start); age < 0 || age >= writeWindow {
		return window{start: now}
	}
	return w
}

// sweep forgets windows that are over, once there are twice as many as there
// were after the last sweep.
func (t *throttle) sweep(now time.Time) {
	if len(t.windows) < max(t.sweepAt, 1024) {
		return
	}
	for key, w := range t.windows {
		if now.Sub(w.start) >= writeWindow {
			delete(t.windows, key)
		}
	}
	t.sweepAt = 2 * len(t.windows)
}

// A pauseError says why a key is put off although no call failed.
type pauseError struct {
	problem string
	wait    time.Duration
}

func (e *pauseError) Error() string {
	return fmt.Sprintf("sacontroller: %s; the next attempt is in %v", e.problem, e.wait.Round(time.Second))
}

// reverted says that a write is put off because the last ones were reverted.
func reverted(key Key, wait time.Duration) error {
	return &pauseError{fmt.Sprintf("%s is being reverted by another writer, want it to stop", key), wait}
}
