package clustertest

import (
	"context"
	"errors"
	"slices"
	"testing"
)

// A Promise is one thing that every implementation of the clients does.
type Promise struct {
	// Name is the promise as a sentence.
	Name string
	// Check returns an error that says what c did instead, or nil. It works in
	// namespaces of its own, so that one Cluster does for all promises, and at
	// the same time. An error that wraps errors.ErrUnsupported says that c
	// can't do what the promise is about.
	Check func(ctx context.Context, c Cluster) error
}

// Promises returns all promises. The caller owns the result.
func Promises() []Promise {
	return slices.Concat(
		aboutCreates(), aboutReads(), aboutUpdates(), aboutDeletes(), aboutPatches(),
		aboutNamespaces(), aboutSecrets(), aboutPods(),
		aboutOwnership(), aboutContexts(), aboutRaces(),
	)
}

// Run checks that the Clusters that newCluster returns keep all [Promises], one
// subtest a promise. newCluster is called once for each; it may return the same
// Cluster every time, and the Cluster need not be empty.
func Run(t *testing.T, newCluster func(t *testing.T) Cluster) {
	for _, p := range Promises() {
		t.Run(p.Name, func(t *testing.T) {
			err := p.Check(t.Context(), newCluster(t))
			switch {
			case errors.Is(err, errors.ErrUnsupported):
				t.Skip(err)
			case err != nil:
				t.Error(err)
			}
		})
	}
}

// promise returns the Promise that check, in a room of its own, does not fail.
func promise(name string, check func(*room)) Promise {
	return Promise{Name: name, Check: func(ctx context.Context, c Cluster) error {
		r := &room{ctx: ctx, cluster: c}
		defer r.leave()
		return attempt(func() {
			r.namespace = r.newNamespace()
			check(r)
		})
	}}
}
