package tenant

import "context"

type contextKey struct{}

// NewContext returns a context with the values of ctx that is of the tenant called name,
// or of none if name is empty.
func NewContext(ctx context.Context, name string) context.Context {
	if Of(ctx) == name {
		return ctx
	}
	return context.WithValue(ctx, contextKey{}, name)
}

// Of returns the name of the tenant that ctx is of. It is empty if ctx names none.
func Of(ctx context.Context) string {
	name, _ := ctx.Value(contextKey{}).(string)
	return name
}
