package sacontroller

import (
	"sync"
	"time"
)

// Somebody else who undoes every write would otherwise make a controller write
// for ever, as fast as it can.
const (
	paceWrites = 60
	paceWindow = time.Minute
)

// pace bounds how often the same key leads to a write. It is safe for concurrent
// use.
type pace struct {
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

// wait returns how long to wait because there were paceWrites writes for key in
// paceWindow, or zero.
func (p *pace) wait(key Key) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if w := p.current(key, now); w.writes >= paceWrites {
		return w.start.Add(paceWindow).Sub(now)
	}
	return 0
}

// wrote counts a write for key.
func (p *pace) wrote(key Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	p.sweep(now)
	if p.windows == nil {
		p.windows = map[Key]window{}
	}
	w := p.current(key, now)
	w.writes++
	p.windows[key] = w
}

// current returns the window of key at now, which is a new one if the last is
// over.
func (p *pace) current(key Key, now time.Time) window {
	w := p.windows[key]
	if age := now.Sub(w.start); age < 0 || age >= paceWindow {
		return window{start: now}
	}
	return w
}

// sweep forgets windows that are over, once there are twice as many as there
// were after the last sweep.
func (p *pace) sweep(now time.Time) {
	if len(p.windows) < max(p.sweepAt, 1024) {
		return
	}
	for key, w := range p.windows {
		if now.Sub(w.start) >= paceWindow {
			delete(p.windows, key)
		}
	}
	p.sweepAt = 2 * len(p.windows)
}
