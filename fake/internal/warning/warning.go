// Package warning carries the warnings of one request, by its context, from where
// they arise to the server that sends them.
package warning

import "context"

type key struct{}

// With returns a context whose warnings go to add.
func With(ctx context.Context, add func(text string)) context.Context {
	return context.WithValue(ctx, key{}, add)
}

// Add adds a warning to the response to the request of ctx, if it has one.
func Add(ctx context.Context, text string) {
	if add, ok := ctx.Value(key{}).(func(string)); ok {
		add(text)
	}
}
