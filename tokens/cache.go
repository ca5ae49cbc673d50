package tokens

import (
	"crypto/sha256"
	"sync"
	"sync/atomic"

	"github.com/kubesa/serviceaccount/tokens/internal/payload"
)

// DefaultSignatureCacheSize is the default number of verified signatures that an
// [Authenticator] caches. Each takes about 2 kB.
const DefaultSignatureCacheSize = 4096

// A digest stands for one token text. The cache keeps no tokens.
type digest [sha256.Size]byte

// A signatureCache remembers which tokens were signed by which key, and what
// follows from the text of such a token alone: its claims. Only tokens with a
// good signature enter, so a flood of made-up ones changes nothing. It is
// bounded: when it is full, an entry goes that wasn't used since it was last
// considered (the SIEVE algorithm), so that what is in use outlives a burst of
// tokens that are used once. It is safe for concurrent use.
type signatureCache struct {
	mu      sync.RWMutex
	entries map[digest]*signatureEntry
	ring    []*signatureEntry // in the order of insertion, until it is full
	hand    int
	size    int
}

type signatureEntry struct {
	digest digest
	signedBy
	claims *payload.Claims
	used   atomic.Bool
}

func newSignatureCache(size int) *signatureCache {
	return &signatureCache{entries: map[digest]*signatureEntry{}, size: size}
}

// get returns what is known of a token, nil if nothing.
func (c *signatureCache) get(d digest) *signatureEntry {
	c.mu.RLock()
	e := c.entries[d]
	c.mu.RUnlock()
	if e != nil && !e.used.Load() {
		e.used.Store(true)
	}
	return e
}

// add remembers e.
func (c *signatureCache) add(e *signatureEntry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries[e.digest] != nil {
		return
	}
	if len(c.ring) < c.size {
		c.ring = append(c.ring, e)
	} else {
		for c.ring[c.hand].used.Swap(false) {
			c.hand = (c.hand + 1) % c.size
		}
		delete(c.entries, c.ring[c.hand].digest)
		c.ring[c.hand] = e
		c.hand = (c.hand + 1) % c.size
	}
	c.entries[e.digest] = e
}

// clear forgets everything.
func (c *signatureCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.entries)
	clear(c.ring)
	c.ring, c.hand = c.ring[:0], 0
}
