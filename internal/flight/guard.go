package flight

import (
	"context"
	"fmt"
	"sync"

	"github.com/kubesa/serviceaccount/tenant"
)

// A Guard bounds the calls of code that may hang. It is safe for concurrent use.
type Guard struct {
	name string
	all  *slots

	mu      sync.Mutex
	tenants map[string]*slots // of those with calls that run or wait
}

// tenantShare is the part of a Guard's limit that is one tenant's at most, so that one
// whose calls hang leaves room for the others.
const tenantShare = 4

// NewGuard returns a Guard for up to limit calls at a time of what errors call
// name, such as "the signer". Of contexts of one tenant there are up to a quarter of
// limit, and one at least; of those that name none there is no other limit.
func NewGuard(name string, limit int) *Guard {
	return &Guard{name: name, all: newSlots(limit), tenants: map[string]*slots{}}
}

// A HungError means that a call was not made because Calls earlier ones, all that
// the [Guard] allows the tenant, have outlived their callers and still not returned. Try again
// later: the first that returns makes room.
type HungError struct {
	Name  string // of the Guard
	Calls int
}

func (e *HungError) Error() string {
	return fmt.Sprintf("%s hangs: %d calls have not returned", e.Name, e.Calls)
}

// Do calls f in a goroutine of its own and returns what it returns, a
// [*PanicError] if it panics, or the error of ctx if it hasn't returned when ctx
// is done. Over the limit of g, it waits for another call to return, until ctx is
// done; if all of them hang, it fails at once with a [*HungError].
//
// A call that outlives ctx goes on: what f uses must not be changed afterwards,
// and what it returns is dropped.
func Do[V any](ctx context.Context, g *Guard, f func(context.Context) (V, error)) (V, error) {
	var none V
	own, err := g.enter(ctx)
	if err != nil {
		return none, err
	}
	c := guarded[V]{done: make(chan struct{})}
	go finish(g.name, func() (V, error) { return f(ctx) }, func(value V, err error) {
		c.value, c.err = value, err
		g.mu.Lock()
		close(c.done)
		if c.left {
			g.addHung(own, -1)
		}
		g.leave(own)
		g.mu.Unlock()
	})
	select {
	case <-c.done:
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-c.done: // or both at once
		return c.value, c.err
	default:
		c.left = true
		g.addHung(own, 1)
		return none, ctx.Err()
	}
}

// guarded is one call of Do. The value and the error are set when done is closed.
type guarded[V any] struct {
	done  chan struct{}
	value V
	err   error
	left  bool // the caller has left, under the Guard's mu
}

// slots are those of all calls, or of those of one tenant.
type slots struct {
	tenant string
	taken  chan struct{} // one for each call, until it returns

	// Under the Guard's mu:
	users int           // calls that run or wait
	hung  int           // calls that outlived their caller
	stuck chan struct{} // closed while hung == cap(taken)
}

func newSlots(limit int) *slots {
	return &slots{taken: make(chan struct{}, limit), stuck: make(chan struct{})}
}

// enter takes a slot of the tenant of ctx, if that names one, which is returned, and
// one of all.
func (g *Guard) enter(ctx context.Context) (own *slots, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	name := tenant.Of(ctx)
	if name == "" {
		return nil, g.take(ctx, g.all)
	}
	g.mu.Lock()
	own = g.tenants[name]
	if own == nil {
		own = newSlots(max(cap(g.all.taken)/tenantShare, 1))
		own.tenant = name
		g.tenants[name] = own
	}
	own.users++
	g.mu.Unlock()
	if err = g.take(ctx, own); err == nil {
		if err = g.take(ctx, g.all); err == nil {
			return own, nil
		}
		<-own.taken
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.forget(own)
	return nil, err
}

// take takes a slot of s.
func (g *Guard) take(ctx context.Context, s *slots) error {
	select {
	case s.taken <- struct{}{}:
		return nil
	default:
	}
	g.mu.Lock()
	stuck := s.stuck
	g.mu.Unlock()
	select {
	case <-stuck:
		return &HungError{g.name, cap(s.taken)}
	case s.taken <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// leave frees what enter took. The caller holds mu, here and below.
func (g *Guard) leave(own *slots) {
	<-g.all.taken
	if own != nil {
		<-own.taken
		g.forget(own)
	}
}

// forget counts a call of own that has ended, and forgets own with the last one.
func (g *Guard) forget(own *slots) {
	if own.users--; own.users == 0 {
		delete(g.tenants, own.tenant)
	}
}

// addHung counts a call that hangs, or one that has returned late.
func (g *Guard) addHung(own *slots, n int) {
	g.all.addHung(n)
	if own != nil {
		own.addHung(n)
	}
}

func (s *slots) addHung(n int) {
	was := s.hung
	s.hung += n
	switch cap(s.taken) {
	case s.hung:
		close(s.stuck)
	case was:
		s.stuck = make(chan struct{})
	}
}
