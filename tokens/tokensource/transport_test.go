package tokensource_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/tokensource"
)

// seen is a RoundTripper that records the Authorization headers it is sent.
type seen struct {
	headers []string
	status  int
	err     error
	closed  bool // the idle connections
}

func (s *seen) RoundTrip(r *http.Request) (*http.Response, error) {
	s.headers = append(s.headers, r.Header.Get("Authorization"))
	if s.err != nil {
		return nil, s.err
	}
	return &http.Response{StatusCode: s.status, Body: http.NoBody, Request: r}, nil
}

func getRequest(t *testing.T, url string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// KUB-44, KUB-45
func TestTransport(t *testing.T) {
	clock := now
	m := &mill{}
	source := newSource(t, tokensource.Config{Mint: m.mint, Now: func() time.Time { return clock }})
	base := &seen{status: http.StatusOK}
	transport := &tokensource.Transport{Source: source, Base: base}
	send := func(r *http.Request) {
		t.Helper()
		resp, err := transport.RoundTrip(r)
		if err != nil || resp.StatusCode != base.status {
			t.Fatalf("got %v, %v, want the answer of Base", resp, err)
		}
	}

	r := getRequest(t, "https://api.example/")
	send(r)
	if r.Header.Get("Authorization") != "" {
		t.Error("the caller's request was changed")
	}
	own := getRequest(t, "https://api.example/")
	own.Header.Set("Authorization", "Basic own")
	send(own)
	send(getRequest(t, "https://api.example/"))
	clock = clock.Add(time.Minute)
	send(getRequest(t, "https://api.example/"))
	base.err = errors.New("no route")
	if resp, err := transport.RoundTrip(getRequest(t, "https://api.example/")); resp != nil || err != base.err {
		t.Errorf("RoundTrip() = %v, %v, want the error of Base", resp, err)
	}
	base.err = nil
	base.status = http.StatusUnauthorized
	send(getRequest(t, "https://api.example/"))
	send(getRequest(t, "https://api.example/"))
	send(getRequest(t, "https://api.example/")) // token-2 is too new to be discarded
	want := "Bearer token-1, Basic own, Bearer token-1, Bearer token-1, Bearer token-1, Bearer token-1, Bearer token-2, Bearer token-2"
	if got := strings.Join(base.headers, ", "); got != want {
		t.Errorf("sent %s\nwant %s", got, want)
	}
}

// A closer notes that it was closed.
type closer struct {
	io.Reader
	closed bool
}

func (c *closer) Close() error { c.closed = true; return nil }

func TestTransportSendsNothing(t *testing.T) {
	m := &mill{}
	source := newSource(t, tokensource.Config{Mint: m.mint})
	down := errors.New("down")
	broken := newSource(t, tokensource.Config{Mint: func(context.Context) (*tokens.Token, error) { return nil, down }})
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		name   string
		source *tokensource.Source
		ctx    context.Context
		url    string
		want   string
	}{
		{"http", source, t.Context(), "http://user:secret@api.example/?secret", "tokensource: no token is sent to http://api.example: want https"},
		{"no token", broken, t.Context(), "https://api.example/", "tokensource: getting a new token: down"},
		{"cancelled", source, cancelled, "https://api.example/", "context canceled"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			base := &seen{status: http.StatusOK}
			body := &closer{Reader: strings.NewReader("x")}
			r, err := http.NewRequestWithContext(tt.ctx, http.MethodPost, tt.url, body)
			if err != nil {
				t.Fatal(err)
			}
			_, err = (&tokensource.Transport{Source: tt.source, Base: base}).RoundTrip(r)
			if err == nil || err.Error() != tt.want || len(base.headers) > 0 || !body.closed {
				t.Errorf("got %v after %d requests, body closed: %t; want %s, none, true", err, len(base.headers), body.closed, tt.want)
			}
		})
	}
}

// A redirect to another host, or from https to http, must not take the token
// along, nor back.
func TestTransportRedirects(t *testing.T) {
	var headers []string
	record := func(next func(r *http.Request) string) *httptest.Server {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			headers = append(headers, r.URL.Path+": "+r.Header.Get("Authorization"))
			if to := next(r); to != "" {
				http.Redirect(w, r, to, http.StatusFound)
			}
		}))
		t.Cleanup(server.Close)
		return server
	}
	other := record(func(*http.Request) string { return "" })
	api := record(func(r *http.Request) string {
		return map[string]string{"/same": "/end", "/other": other.URL + "/other"}[r.URL.Path]
	})
	m := &mill{}
	client := &http.Client{Transport: &tokensource.Transport{Source: newSource(t, tokensource.Config{Mint: m.mint}), InsecureAllowHTTP: true}}
	for _, path := range []string{"/same", "/other"} {
		resp, err := client.Get(api.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	want := "/same: Bearer token-1, /end: Bearer token-1, /other: Bearer token-1, /other: "
	if got := strings.Join(headers, ", "); got != want {
		t.Errorf("sent %s\nwant %s", got, want)
	}

	// From https to http of the same host.
	from := getRequest(t, "https://api.example/")
	to := getRequest(t, "http://api.example/")
	to.Response = &http.Response{Request: from}
	base := &seen{status: http.StatusOK}
	transport := &tokensource.Transport{Source: newSource(t, tokensource.Config{Mint: m.mint}), Base: base, InsecureAllowHTTP: true}
	if _, err := transport.RoundTrip(to); err != nil || base.headers[0] != "" {
		t.Errorf("got %v and sent %q, want nothing sent", err, base.headers)
	}
	// Of a response that tells no request nothing is known.
	to.Response = &http.Response{}
	if _, err := transport.RoundTrip(to); err != nil || base.headers[1] == "" {
		t.Errorf("got %v and sent %q, want a token", err, base.headers)
	}
}

func (s *seen) CloseIdleConnections() { s.closed = true }

// The client's idle connections are those of Base.
func TestTransportCloseIdleConnections(t *testing.T) {
	base := &seen{}
	client := &http.Client{Transport: &tokensource.Transport{Base: base}}
	client.CloseIdleConnections()
	if !base.closed {
		t.Error("the connections of Base stay")
	}
}

// A request without a body has nothing to close.
func TestTransportWithoutBody(t *testing.T) {
	m := &mill{}
	transport := &tokensource.Transport{Source: newSource(t, tokensource.Config{Mint: m.mint})}
	r := getRequest(t, "http://api.example/")
	if _, err := transport.RoundTrip(r); err == nil || m.calls > 0 {
		t.Errorf("RoundTrip() = %v after %d tokens, want an error", err, m.calls)
	}
}

func TestTransportWithoutSource(t *testing.T) {
	for _, provider := range []tokensource.Provider{nil, (*tokensource.Source)(nil), (*tokensource.File)(nil)} {
		r := httptest.NewRequest(http.MethodGet, "https://example.org", nil)
		if _, err := (&tokensource.Transport{Source: provider}).RoundTrip(r); err == nil || !strings.Contains(err.Error(), "Transport.Source is required") {
			t.Errorf("RoundTrip() = %v, want an error", err)
		}
	}
}

// A Provider that breaks its contract gives an error that says so, and nothing is sent.
func TestTransportOfABrokenProvider(t *testing.T) {
	for _, token := range []*tokens.Token{nil, {}} {
		transport := &tokensource.Transport{Source: brokenProvider{token}, Base: http.NewFileTransport(http.Dir(t.TempDir()))}
		_, err := transport.RoundTrip(httptest.NewRequest(http.MethodGet, "https://example.org", nil))
		if err == nil || err.Error() != "tokensource: the Provider returned neither a token nor an error" {
			t.Errorf("RoundTrip() with the token %v = %v, want an error", token, err)
		}
	}
}

// A brokenProvider has a token that is none.
type brokenProvider struct{ token *tokens.Token }

func (p brokenProvider) Token(context.Context) (*tokens.Token, error) { return p.token, nil }
func (brokenProvider) Discard(string)                                 {}
