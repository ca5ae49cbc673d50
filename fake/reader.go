package fake

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/fake/internal/object"
	"github.com/kubesa/serviceaccount/fake/internal/store"
)

// A Reader is a cache of a [Cluster] for controllers, like that of an informer. Its
// reads are not API calls: they are not in [Cluster.Actions], and the cluster's faults
// don't apply to them. It can be stale, and never goes back in time.
//
// It is safe for concurrent use.
type Reader struct {
	cluster *Cluster

	// What follows is guarded by cluster.mu.
	state  store.Store
	seen   uint64 // the revision that state is at
	lag    uint64
	faults fault.Set
}

// Reader returns a new cache of c. It sees every change immediately until
// [Reader.Lag] is called.
func (c *Cluster) Reader() *Reader {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := &Reader{cluster: c, faults: fault.Set{Cache: true}}
	c.readers = append(c.readers, r)
	return r
}

// Lag makes r stale by n revisions from now on. It keeps what it has seen already.
func (r *Reader) Lag(n uint64) {
	r.cluster.mu.Lock()
	defer r.cluster.mu.Unlock()
	r.advance()
	r.lag = n
}

// CatchUp makes r see every change so far, once; then it lags again.
// [Cluster.Settle] does it when nothing else is left to do, and when a key has
// failed ten times in a row: no cache is stale forever.
func (r *Reader) CatchUp() {
	r.cluster.mu.Lock()
	defer r.cluster.mu.Unlock()
	r.advanceTo(r.cluster.history.Last())
}

// Inject adds a fault to what is read through r. It panics if f can't fire there:
// verbs are get and list, and r is stale by [Reader.Lag].
func (r *Reader) Inject(f *fault.Fault) {
	r.cluster.mu.Lock()
	defer r.cluster.mu.Unlock()
	r.faults.Inject(f)
}

// ClearFaults removes the faults of r.
func (r *Reader) ClearFaults() {
	r.cluster.mu.Lock()
	defer r.cluster.mu.Unlock()
	r.faults.Clear()
}

// Unfired returns the faults of r that never fired; see [Cluster.Unfired].
func (r *Reader) Unfired() []*fault.Fault {
	r.cluster.mu.Lock()
	defer r.cluster.mu.Unlock()
	return r.faults.Unfired()
}

// advance makes r see what it may see.
func (r *Reader) advance() {
	last := r.cluster.history.Last()
	r.advanceTo(last - min(last, r.lag))
}

func (r *Reader) advanceTo(revision uint64) {
	for r.seen < revision {
		r.state.Apply(r.cluster.history.Changes[r.seen])
		r.seen++
	}
}

// read runs do on what r sees, unless a fault decides otherwise.
func (r *Reader) read(ctx context.Context, op fault.Op, do func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r.cluster.mu.Lock()
	defer r.cluster.mu.Unlock()
	out := r.faults.Decide(op)
	if err := r.cluster.delay(ctx, out.Wait); err != nil {
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

func (r *Reader) get(ctx context.Context, k *object.Kind, namespace, name string) (found object.Object, err error) {
	op := fault.Op{Verb: "get", Resource: k.Resource, Namespace: namespace, Name: name, Actor: actorFrom(ctx)}
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

func (r *Reader) list(ctx context.Context, k *object.Kind, namespace string) (found object.Page, err error) {
	op := fault.Op{Verb: "list", Resource: k.Resource, Namespace: namespace, Actor: actorFrom(ctx)}
	err = r.read(ctx, op, func() error {
		found.Items = r.state.List(k, namespace)
		return nil
	})
	return found, err
}

func (r *Reader) tokenSecrets(ctx context.Context, namespace, account string) (found object.Page, err error) {
	op := fault.Op{Verb: "list", Resource: object.Secrets.Resource, Namespace: namespace, Actor: actorFrom(ctx)}
	err = r.read(ctx, op, func() error {
		found.Items = r.state.TokenSecrets(namespace, account)
		return nil
	})
	return found, err
}
