package objectcache

import (
	"context"
	"sync/atomic"

	"github.com/kubesa/serviceaccount/internal/flight"
)

// Bounds of the lookups at a time, and so of those that may be left hanging: in all,
// and of one tenant among several, so that one whose server hangs leaves room for
// others.
const (
	maxLookups       = 1024
	maxTenantLookups = maxLookups / 4
)

// A tenant has lookups that run or wait.
type tenant struct {
	guard   *flight.Guard
	lookups int // under the cache's mu
}

// call makes a lookup for the tenant called name.
func (c *cache) call(ctx context.Context, name string, lookup func(context.Context) (any, error)) (any, error) {
	if c.cfg.SingleTenant {
		return flight.Do(ctx, c.guard, lookup)
	}
	t := c.enter(name)
	var left atomic.Bool // by the lookup when it ends, or else because it never ran
	object, err := flight.Do(ctx, t.guard, func(ctx context.Context) (any, error) {
		if !left.CompareAndSwap(false, true) {
			return nil, ctx.Err()
		}
		defer c.leave(name)
		select {
		case c.slots <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		defer func() { <-c.slots }()
		return lookup(ctx)
	})
	if left.CompareAndSwap(false, true) {
		c.leave(name)
	}
	return object, err
}

// enter counts a lookup of the tenant.
func (c *cache) enter(name string) *tenant {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.tenants[name]
	if t == nil {
		t = &tenant{guard: flight.NewGuard("the getter", maxTenantLookups)}
		c.tenants[name] = t
	}
	t.lookups++
	return t
}

// leave forgets the tenant along with its last lookup.
func (c *cache) leave(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.tenants[name]
	if t.lookups--; t.lookups == 0 {
		delete(c.tenants, name)
	}
}
