package memory

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// How many places there are, and for how long one is kept for whoever doesn't come
// back.
const (
	MaxPlaces    = 256
	maxOfGroup   = MaxPlaces / 4
	placeTimeout = time.Minute
)

// Places remembers how far the attempts at an object have come, by its UID. It is
// safe for concurrent use.
type Places[T any] struct {
	Now func() time.Time // required

	mu  sync.Mutex
	all map[types.UID]place[T]
}

type place[T any] struct {
	group string
	value T
	used  time.Time
}

// Take returns what is remembered of an object, and forgets it, so that an attempt
// at the same time starts anew.
func (p *Places[T]) Take(uid types.UID) (value T, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	taken, ok := p.all[uid]
	delete(p.all, uid)
	return taken.value, ok
}

// Len returns how many places are taken.
func (p *Places[T]) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.all)
}

// Put remembers value, unless all places are taken, or a quarter by objects of the same
// group, such as a namespace: whoever has one gets ready first, so that many large
// objects can't keep each other from it.
func (p *Places[T]) Put(uid types.UID, group string, value T) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.Now()
	if p.full(group) {
		for other, taken := range p.all {
			if age := now.Sub(taken.used); age < 0 || age > placeTimeout {
				delete(p.all, other)
			}
		}
	}
	if p.full(group) {
		return false
	}
	if p.all == nil {
		p.all = map[types.UID]place[T]{}
	}
	p.all[uid] = place[T]{group, value, now}
	return true
}

// full reports whether there is no place for group.
func (p *Places[T]) full(group string) bool {
	of := 0
	for _, taken := range p.all {
		if taken.group == group {
			of++
		}
	}
	return of >= maxOfGroup || len(p.all) >= MaxPlaces
}
