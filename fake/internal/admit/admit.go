// Package admit carries the admission of one request, by its context, from the server
// that admits to the Cluster, which knows late what is to be stored.
package admit

import (
	"context"

	"github.com/kubesa/serviceaccount/fake/internal/object"
)

// A Func decides about next, which is to follow old, nil for a create: an error denies
// it. On a create it may change next.
type Func func(next, old object.Object) error

type key struct{}

// With returns a context whose server-side applies f decides about.
func With(ctx context.Context, f Func) context.Context { return context.WithValue(ctx, key{}, f) }

// From returns what With has put into ctx, nil if it hasn't.
func From(ctx context.Context) Func {
	f, _ := ctx.Value(key{}).(Func)
	return f
}
