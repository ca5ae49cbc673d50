package election

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// MaxRequest bounds one request of a Reconcile call.
const MaxRequest = 30 * time.Second

// Guard is what manager.Guard returns.
type Guard struct{ Next http.RoundTripper }

type boundKey struct{}

// WithBound returns a context of work that may go on for as long as remaining says
// when it is called.
func WithBound(ctx context.Context, remaining func() time.Duration) context.Context {
	return context.WithValue(ctx, boundKey{}, remaining)
}

// BoundOf returns how long the work of ctx may go on; ok is false if ctx isn't one of
// WithBound.
func BoundOf(ctx context.Context) (left time.Duration, ok bool) {
	remaining, ok := ctx.Value(boundKey{}).(func() time.Duration)
	if !ok {
		return 0, false
	}
	return min(remaining(), MaxRequest), true
}

// RoundTrip implements [http.RoundTripper].
func (g Guard) RoundTrip(req *http.Request) (*http.Response, error) {
	left, ok := BoundOf(req.Context())
	if !ok {
		return g.Next.RoundTrip(req)
	}
	left = left.Truncate(time.Millisecond) // to an API server, a timeout of 0 is none
	if left <= 0 {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, fmt.Errorf("manager: %s was not sent: %w", req.Method, errOver)
	}
	ctx, cancel := context.WithTimeout(req.Context(), left)
	req = req.Clone(ctx)
	if query := req.URL.Query(); req.Method != http.MethodGet {
		if asked, _ := time.ParseDuration(query.Get("timeout")); asked > 0 {
			left = min(left, asked)
		}
		query.Set("timeout", left.String())
		req.URL.RawQuery = query.Encode()
	}
	resp, err := g.Next.RoundTrip(req)
	if err != nil {
		cancel()
		return nil, err
	}
	resp.Body = &boundBody{resp.Body, cancel}
	return resp, nil
}

// A boundBody ends the context of its request when it is closed.
type boundBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (b *boundBody) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}
