package sacontroller

import "sync"

// maxFailures bounds what failures remembers.
const maxFailures = 4096

// failures remembers the last error of each key that fails. It is safe for
// concurrent use.
type failures struct {
	mu   sync.Mutex
	last map[Key]error
}

// note records the outcome of an attempt at key; nil forgets it. When too many
// keys fail, any other one is forgotten: a failing key comes back by itself.
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
