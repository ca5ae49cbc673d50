// Package bounded is a cache that is bounded in bytes. A miss costs a constant
// number of steps, and a flood of keys that are asked for once evicts no entry that
// is in use.
//
// New entries are young. When there is no room, the oldest young entry goes, or
// grows old if it was used meanwhile; only when the young ones are few does an old
// one go that wasn't used since it was last considered. So a flood passes through a
// quarter of the cache (the idea of S3-FIFO, SOSP 2023).
package bounded

import (
	"sync"
	"sync/atomic"
	"unsafe"
)

const (
	// youngShare is the part of the bytes that the young entries keep.
	youngShare = 4
	// maxSpared is how many entries in use one Add passes over.
	maxSpared = 8
	// slotOverhead is what a map and the allocator need beside an entry.
	slotOverhead = 64
)

// A Cache maps keys to values. It is safe for concurrent use. What is in it is
// shared with all callers.
type Cache[K comparable, V any] struct {
	maxBytes int64

	mu         sync.RWMutex
	entries    map[K]*entry[K, V]
	young, old list[K, V]
}

// New returns an empty Cache for up to maxBytes bytes.
func New[K comparable, V any](maxBytes int64) *Cache[K, V] {
	return &Cache[K, V]{maxBytes: maxBytes, entries: map[K]*entry[K, V]{}}
}

// Get returns the value of key, and whether there is one.
func (c *Cache[K, V]) Get(key K) (value V, ok bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	e := c.entries[key]
	if e == nil {
		return value, false
	}
	if !e.used.Load() {
		e.used.Store(true)
	}
	return e.value, true
}

// Add sets the value of key. The two hold on to size bytes besides themselves. An
// entry of more than a quarter of the cache isn't kept, nor one for which several
// others in use would have to go.
func (c *Cache[K, V]) Add(key K, value V, size int64) {
	size += overhead[K, V]()
	c.mu.Lock()
	defer c.mu.Unlock()
	e := &entry[K, V]{key: key, value: value, size: size}
	if was := c.entries[key]; was != nil {
		e.isOld = was.isOld
		e.used.Store(was.used.Load())
		c.remove(was)
	}
	if size > c.maxBytes/youngShare || !c.makeRoom(size) {
		return
	}
	c.entries[key] = e
	c.listOf(e).pushNewest(e)
}

// Delete removes key.
func (c *Cache[K, V]) Delete(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[key]; e != nil {
		c.remove(e)
	}
}

// Bytes returns how many bytes the entries hold on to, and Len their number.
func (c *Cache[K, V]) Bytes() int64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.young.bytes + c.old.bytes
}

// Len returns the number of entries.
func (c *Cache[K, V]) Len() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.entries)
}

// makeRoom removes entries until there is room for size bytes. It reports false if
// that would take too many steps; each that it removes has paid for its own when it
// was added.
func (c *Cache[K, V]) makeRoom(size int64) bool {
	for spared := 0; c.young.bytes+c.old.bytes+size > c.maxBytes; {
		from := &c.old
		if c.young.bytes+size > c.maxBytes/youngShare {
			from = &c.young
		}
		e := from.oldest // there is one: size is no more than a quarter
		if !e.used.Swap(false) {
			c.remove(e)
			continue
		}
		from.unlink(e)
		e.isOld = true
		c.old.pushNewest(e)
		if spared++; spared == maxSpared {
			return false
		}
	}
	return true
}

func (c *Cache[K, V]) remove(e *entry[K, V]) {
	delete(c.entries, e.key)
	c.listOf(e).unlink(e)
}

func (c *Cache[K, V]) listOf(e *entry[K, V]) *list[K, V] {
	if e.isOld {
		return &c.old
	}
	return &c.young
}

// overhead is what an entry takes besides what its key and value hold on to.
func overhead[K comparable, V any]() int64 {
	var e entry[K, V]
	return int64(unsafe.Sizeof(e)+2*unsafe.Sizeof(e.key)) + slotOverhead
}

// An entry is in one list.
type entry[K comparable, V any] struct {
	key          K
	value        V
	size         int64
	isOld        bool
	used         atomic.Bool // since it was added or last considered
	older, newer *entry[K, V]
}

// A list has entries by age. Its zero value is empty.
type list[K comparable, V any] struct {
	oldest, newest *entry[K, V]
	bytes          int64
}

func (l *list[K, V]) pushNewest(e *entry[K, V]) {
	e.older, e.newer = l.newest, nil
	if l.newest != nil {
		l.newest.newer = e
	} else {
		l.oldest = e
	}
	l.newest = e
	l.bytes += e.size
}

func (l *list[K, V]) unlink(e *entry[K, V]) {
	if e.older != nil {
		e.older.newer = e.newer
	} else {
		l.oldest = e.newer
	}
	if e.newer != nil {
		e.newer.older = e.older
	} else {
		l.newest = e.older
	}
	l.bytes -= e.size
}
