package flight

import (
	"context"
	"sync"
	"time"
)

// A Group makes one call at a time for each key. The zero Group is ready for use.
// It is safe for concurrent use and must not be copied after first use.
type Group[K comparable, V any] struct {
	// JoinWithin is how old a call may be that another caller joins: whoever asks
	// later gets an answer from a call of its own, so an answer says nothing of a
	// time further back than that. The older call goes on for those who wait
	// for it. Zero means that every call is joined until it returns.
	JoinWithin time.Duration

	mu    sync.Mutex
	calls map[K]*Call[V]
}

// A Call is one call of a [Group], for any number of callers.
type Call[V any] struct {
	began time.Time
	done  chan struct{}
	value V // both are set when done is closed
	err   error
}

// Do is [Group.Start] and [Call.Wait].
func (g *Group[K, V]) Do(ctx context.Context, key K, f func(context.Context) (V, error)) (V, error) {
	return g.Start(ctx, key, f).Wait(ctx)
}

// Start returns the call for key that is under way, or else calls f in a goroutine
// of its own. A caller that starts calls under its own mutex, and whose f stores
// the answer under the same one, never starts a call for what has just been
// stored: f returns before its call leaves the Group.
//
// The context of f has the values of ctx, but goes on when ctx is done: others may
// wait for the answer. So f must end by itself; it sets a timeout and calls
// through a [Guard] what may ignore it. If it panics, the error is a
// [*PanicError].
func (g *Group[K, V]) Start(ctx context.Context, key K, f func(context.Context) (V, error)) *Call[V] {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c := g.running(key); c != nil {
		return c
	}
	c := &Call[V]{began: time.Now(), done: make(chan struct{})}
	if g.calls == nil {
		g.calls = map[K]*Call[V]{}
	}
	g.calls[key] = c
	go finish("the call", func() (V, error) { return f(context.WithoutCancel(ctx)) }, func(value V, err error) {
		c.value, c.err = value, err
		g.mu.Lock()
		if g.calls[key] == c {
			delete(g.calls, key)
		}
		g.mu.Unlock()
		close(c.done)
	})
	return c
}

// Running returns the call that [Group.Start] would join, or nil.
func (g *Group[K, V]) Running(key K) *Call[V] {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.running(key)
}

func (g *Group[K, V]) running(key K) *Call[V] {
	c := g.calls[key]
	if c != nil && g.JoinWithin > 0 && time.Since(c.began) >= g.JoinWithin {
		return nil
	}
	return c
}

// Began returns when the call was started, with the reading of the monotonic
// clock: what it found was true then or later.
func (c *Call[V]) Began() time.Time { return c.began }

// Wait returns what the call returns, or the error of ctx if that is done first.
func (c *Call[V]) Wait(ctx context.Context) (V, error) {
	select {
	case <-c.done:
		return c.value, c.err
	default:
	}
	select {
	case <-c.done:
		return c.value, c.err
	case <-ctx.Done():
		var none V
		return none, ctx.Err()
	}
}
