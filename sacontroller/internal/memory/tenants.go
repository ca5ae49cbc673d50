package memory

import "sync"

// Tenants has a T for each tenant of which something is remembered, so that one of
// many leaves none of the others' to be forgotten. It is safe for concurrent use if T is.
type Tenants[T any] struct {
	New func() *T // returns an empty one; nil if the zero T is one

	mu  sync.Mutex
	all map[string]*T
}

// Of returns what is remembered of tenant, a new one if there is nothing.
func (t *Tenants[T]) Of(tenant string) *T {
	t.mu.Lock()
	defer t.mu.Unlock()
	known := t.all[tenant]
	if known == nil {
		if t.all == nil {
			t.all = map[string]*T{}
		}
		known = new(T)
		if t.New != nil {
			known = t.New()
		}
		t.all[tenant] = known
	}
	return known
}

// Known returns what is remembered of tenant, or nil.
func (t *Tenants[T]) Known(tenant string) *T {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.all[tenant]
}

// Forget drops what is remembered of tenant.
func (t *Tenants[T]) Forget(tenant string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.all, tenant)
}
