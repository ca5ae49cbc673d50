package election

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

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
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("answer"))}, nil
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
		{name: "delete without a lease", method: http.MethodDelete, url: "/", left: time.Hour, sent: true, deadline: 30 * time.Second, query: "timeout=30s"},
		{name: "read", method: http.MethodGet, url: "/?limit=5", left: 7 * time.Second, sent: true, deadline: 7 * time.Second, query: "limit=5"},
		{name: "failure", method: http.MethodPut, url: "/fail", left: time.Second, sent: true, deadline: time.Second, query: "timeout=1s"},
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
				req := httptest.NewRequest(tt.method, tt.url, strings.NewReader("{}")).WithContext(ctx)
				resp, err := Guard{next}.RoundTrip(req)
				if sent := next.requests == 1; sent != tt.sent || !sent && !errors.Is(err, errOver) {
					t.Fatalf("sent %d requests, %v; want one: %v", next.requests, err, tt.sent)
				}
				if !tt.sent {
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
					resp.Body.Close()
				}
				if !tt.free && next.ctx.Err() == nil {
					t.Error("the context of the request goes on after it")
				}
			})
		})
	}
}
