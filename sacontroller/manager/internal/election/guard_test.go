package election

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// A body is that of a request, and counts how often it is closed.
type body struct{ closed int }

func (b *body) Read([]byte) (int, error) { return 0, io.EOF }
func (b *body) Close() error             { b.closed++; return errors.New("closed") }

// recorder notes the last request and how long it may take.
type recorder struct {
	requests int
	query    string
	deadline time.Duration // 0 if there is none
	ctx      context.Context
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	r.requests++
	r.query, r.ctx, r.deadline = req.URL.RawQuery, req.Context(), 0
	if at, ok := req.Context().Deadline(); ok {
		r.deadline = time.Until(at)
	}
	if req.URL.Path == "/fail" {
		return nil, errors.New("no route to host")
	}
	return &http.Response{StatusCode: http.StatusOK, Body: &body{}}, nil
}

// A request of the work is bounded by what is left, and the API server is told so; a
// process that was paused until nothing is left sends none.
func TestGuard(t *testing.T) {
	tests := []struct {
		name, method, url string
		free              bool          // not a request of the work
		left              time.Duration // of the lease
		sent              bool
		deadline          time.Duration
		query             string
	}{
		{name: "no work", method: http.MethodPut, url: "/", free: true, sent: true},
		{name: "write", method: http.MethodPut, url: "/?fieldManager=x", left: 7 * time.Second, sent: true, deadline: 7 * time.Second, query: "fieldManager=x&timeout=7s"},
		{name: "write with a timeout", method: http.MethodPost, url: "/?timeout=1s", left: 7 * time.Second, sent: true, deadline: 7 * time.Second, query: "timeout=1s"},
		{name: "write of a client with a longer timeout", method: http.MethodPost, url: "/?timeout=30s", left: 7 * time.Second, sent: true, deadline: 7 * time.Second, query: "timeout=7s"},
		{name: "write without a bound", method: http.MethodPatch, url: "/?timeout=0s", left: 7 * time.Second, sent: true, deadline: 7 * time.Second, query: "timeout=7s"},
		{name: "delete without a lease", method: http.MethodDelete, url: "/", left: time.Hour, sent: true, deadline: 30 * time.Second, query: "timeout=30s"},
		{name: "read", method: http.MethodGet, url: "/?limit=5", left: 7 * time.Second, sent: true, deadline: 7 * time.Second, query: "limit=5"},
		{name: "failure", method: http.MethodPut, url: "/fail", left: time.Second, sent: true, deadline: time.Second, query: "timeout=1s"},
		{name: "a millisecond", method: http.MethodPut, url: "/", left: 1999 * time.Microsecond, sent: true, deadline: time.Millisecond, query: "timeout=1ms"},
		{name: "too little for an API server to know", method: http.MethodPut, url: "/", left: 999 * time.Microsecond},
		{name: "nothing left", method: http.MethodPut, url: "/", left: -time.Millisecond},
		{name: "read with nothing left", method: http.MethodGet, url: "/"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if !tt.free {
					ctx = WithBound(ctx, func() time.Duration { return tt.left })
				}
				next := &recorder{}
				body := &body{}
				req := httptest.NewRequest(tt.method, tt.url, body).WithContext(ctx)
				resp, err := Guard{next}.RoundTrip(req)
				if sent := next.requests == 1; sent != tt.sent || !sent && !errors.Is(err, errOver) {
					t.Fatalf("sent %d requests, %v; want one: %v", next.requests, err, tt.sent)
				}
				if !tt.sent {
					req.Body = nil
					if _, err := (Guard{next}).RoundTrip(req); body.closed != 1 || !errors.Is(err, errOver) {
						t.Errorf("the body was closed %d times, want once; without one: %v", body.closed, err)
					}
					return
				}
				if next.deadline != tt.deadline || next.query != tt.query {
					t.Errorf("the request may take %v and has the parameters %q, want %v and %q", next.deadline, next.query, tt.deadline, tt.query)
				}
				if err == nil {
					if next.ctx.Err() != nil {
						t.Error("the request is canceled before its answer is read")
					}
					if _, err := io.ReadAll(resp.Body); err != nil {
						t.Error(err)
					}
					if err := resp.Body.Close(); err == nil {
						t.Errorf("Close() = %v, want the error of the answer's body", err)
					}
				}
				if !tt.free && next.ctx.Err() == nil {
					t.Error("the context of the request goes on after it")
				}
			})
		})
	}
}
