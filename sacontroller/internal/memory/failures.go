// Package memory keeps what controllers remember from one attempt to the next. All of
// it is bounded, and nothing is wrong if it is lost.
package memory

import (
	"errors"
	"sync"
)

// What Failures remembers: so many errors, with texts of so many bytes. Some texts
// come from webhooks.
const (
	maxFailures  = 4096
	maxErrorText = 4096
)

// Failures remembers the last error of each key that fails. It is safe for
// concurrent use.
type Failures[K comparable] struct {
	mu   sync.Mutex
	last map[K]error
}

// Note records how an attempt at key ended; nil forgets it. When too many keys
// fail, any other one is forgotten: a failing key comes back by itself.
func (f *Failures[K]) Note(key K, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		delete(f.last, key)
		return
	}
	if f.last == nil {
		f.last = map[K]error{}
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

// Get returns the last error of key, or nil.
func (f *Failures[K]) Get(key K) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last[key]
}
