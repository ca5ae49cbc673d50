package server

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/fake/internal/object"
	"github.com/kubesa/serviceaccount/fake/internal/store"
)

// A Reader is a cache of a [Server] that may lag, and never goes back in time. Its reads
// are no calls.
type Reader struct {
	Faults Faults // of its reads

	server *Server

	// What follows is guarded by server.mu.
	state store.Store
	seen  uint64 // the revision that state is at
	lag   uint64
}

// Reader returns a new cache, which sees every change immediately.
func (s *Server) Reader() *Reader {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &Reader{server: s, Faults: Faults{mu: &s.mu, set: fault.Set{Cache: true}}}
	s.readers = append(s.readers, r)
	return r
}

// Lag makes r stale by n revisions from now on. It keeps what it has seen already.
func (r *Reader) Lag(n uint64) {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	r.advance()
	r.lag = n
}

// CatchUp makes r see every change so far, once; then it lags again.
func (r *Reader) CatchUp() {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	r.advanceTo(r.server.history.Last())
}

// CatchUp lets every Reader see every change so far, and reports whether one lagged.
func (s *Server) CatchUp() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	caughtUp := false
	for _, r := range s.readers {
		if r.seen < s.history.Last() {
			caughtUp = caughtUp || r.lag > 0
			r.advanceTo(s.history.Last())
		}
	}
	return caughtUp
}

// advance makes r see what it may see.
func (r *Reader) advance() {
	last := r.server.history.Last()
	r.advanceTo(last - min(last, r.lag))
}

func (r *Reader) advanceTo(revision uint64) {
	for r.seen < revision {
		r.state.Apply(r.server.history.Changes[r.seen])
		r.seen++
	}
}

// Get returns an object as r has seen it.
func (r *Reader) Get(ctx context.Context, k *object.Kind, namespace, name string) (found object.Object, err error) {
	op := fault.Op{Verb: "get", Resource: k.Resource, Namespace: namespace, Name: name}
	err = r.read(ctx, op, func() error {
		o, ok := r.state.Get(k, namespace, name)
		if !ok {
			return apierrors.NewNotFound(k.GroupResource(), name)
		}
		found = o
		return nil
	})
	return found, err
}

// List returns the objects of namespace, or all if it is empty, as r has seen them.
func (r *Reader) List(ctx context.Context, k *object.Kind, namespace string) (object.Page, error) {
	return r.list(ctx, k, namespace, func() []object.Object { return r.state.List(k, namespace) })
}

// TokenSecrets returns the token Secrets of an account as r has seen them.
func (r *Reader) TokenSecrets(ctx context.Context, namespace, account string) (object.Page, error) {
	return r.list(ctx, object.Secrets, namespace, func() []object.Object { return r.state.TokenSecrets(namespace, account) })
}

func (r *Reader) list(ctx context.Context, k *object.Kind, namespace string, items func() []object.Object) (found object.Page, err error) {
	err = r.read(ctx, fault.Op{Verb: "list", Resource: k.Resource, Namespace: namespace}, func() error {
		found.Items = items()
		return nil
	})
	return found, err
}

// read runs do on what r sees, unless a fault decides otherwise.
func (r *Reader) read(ctx context.Context, op fault.Op, do func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	op.Actor = actorFrom(ctx)
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	out := r.Faults.set.Decide(op)
	if err := r.server.delay(ctx, out.Wait); err != nil {
		return err
	}
	if out.Err != nil && !out.After {
		return out.Err
	}
	r.advance()
	if err := do(); err != nil {
		return err
	}
	return out.Err
}
