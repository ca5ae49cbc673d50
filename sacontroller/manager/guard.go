package manager

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/kubesa/serviceaccount/sacontroller/manager/internal/election"
)

// maxRequest bounds one request of a Reconcile call.
const maxRequest = 30 * time.Second

// Guard returns a RoundTripper for the clients of the controllers, which passes
// requests on to next:
//
//	config.Wrap(manager.Guard) // a *rest.Config
//
// A request that a Reconcile call makes, as its context shows, must end within 30
// seconds and, with [LeaderElection], within what is left of the lease; the API
// server is told so by the parameter timeout of a write. A request is refused if
// nothing is left, as in a process that was paused for longer than the lease lasts.
// Other requests are passed on as they are.
//
// What remains is a write that the network, or a pause of the process, holds up
// after Guard has let it pass, for longer than LeaseDuration less RenewDeadline, and
// that reaches the API server all the same. It can do no harm to an object that the
// next leader has changed: updates carry a resourceVersion, and deletes a UID.
func Guard(next http.RoundTripper) http.RoundTripper { return guard{next} }

type guard struct{ next http.RoundTripper }

type boundKey struct{}

// withBound returns a context of work that may go on for as long as remaining says
// when it is called.
func withBound(ctx context.Context, remaining func() time.Duration) context.Context {
	return context.WithValue(ctx, boundKey{}, remaining)
}

// boundOf returns how long the work of ctx may go on; ok is false if ctx isn't one of
// withBound.
func boundOf(ctx context.Context) (left time.Duration, ok bool) {
	remaining, ok := ctx.Value(boundKey{}).(func() time.Duration)
	if !ok {
		return 0, false
	}
	return min(remaining(), maxRequest), true
}

// RoundTrip implements [http.RoundTripper].
func (g guard) RoundTrip(req *http.Request) (*http.Response, error) {
	left, ok := boundOf(req.Context())
	if !ok {
		return g.next.RoundTrip(req)
	}
	if left <= 0 {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, fmt.Errorf("manager: %s was not sent: %w", req.Method, election.ErrOver)
	}
	ctx, cancel := context.WithTimeout(req.Context(), left)
	req = req.Clone(ctx)
	if query := req.URL.Query(); req.Method != http.MethodGet && !query.Has("timeout") {
		query.Set("timeout", left.Truncate(time.Millisecond).String())
		req.URL.RawQuery = query.Encode()
	}
	resp, err := g.next.RoundTrip(req)
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
