package flight

import (
	"context"
	"fmt"
	"sync"
)

// A Guard bounds the calls of code that may hang. It is safe for concurrent use.
type Guard struct {
	name  string
	slots chan struct{} // one for each call, until it returns

	mu    sync.Mutex
	hung  int           // calls that outlived their caller
	stuck chan struct{} // closed while hung == cap(slots)
}

// NewGuard returns a Guard for up to limit calls at a time of what errors call
// name, such as "the signer".
func NewGuard(name string, limit int) *Guard {
	return &Guard{name: name, slots: make(chan struct{}, limit), stuck: make(chan struct{})}
}

// A HungError means that a call was not made because Calls earlier ones, all that
// the [Guard] allows, have outlived their callers and still not returned. Try again
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
	if err := g.enter(ctx); err != nil {
		return none, err
	}
	c := guarded[V]{done: make(chan struct{})}
	go finish(g.name, func() (V, error) { return f(ctx) }, func(value V, err error) {
		c.value, c.err = value, err
		g.mu.Lock()
		close(c.done)
		if c.left {
			g.addHung(-1)
		}
		g.mu.Unlock()
		<-g.slots
	})
	select {
	case <-c.done:
		return c.value, c.err
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-c.done: // both at once
		return c.value, c.err
	default:
		c.left = true
		g.addHung(1)
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

// enter takes a slot.
func (g *Guard) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case g.slots <- struct{}{}:
		return nil
	default:
	}
	g.mu.Lock()
	stuck := g.stuck
	g.mu.Unlock()
	select {
	case <-stuck:
		return &HungError{g.name, cap(g.slots)}
	case g.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// addHung counts a call that hangs, or one that has returned late. The caller
// holds mu.
func (g *Guard) addHung(n int) {
	was := g.hung
	g.hung += n
	switch cap(g.slots) {
	case g.hung:
		close(g.stuck)
	case was:
		g.stuck = make(chan struct{})
	}
}
