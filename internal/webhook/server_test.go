package webhook_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"

// H02: a body that trickles in is given up in time, and its connection closed:
// net/http of Go 1.27 waits half a second before it does.
func TestSlowBody(t *testing.T) {
	for name, tt := range map[string]struct {
		request string
		server  *http.Server
		want    time.Duration
	}{
		"body":               {request: head + "Content-Length: 500\r\n\r\n{", server: &http.Server{}, want: time.Minute},
		"chunks":             {request: head + "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", server: &http.Server{}, want: time.Minute},
		"nothing":            {request: head + "Content-Length: 500\r\n\r\n", server: &http.Server{}, want: time.Minute},
		"behind a request":   {request: head + fmt.Sprintf("Content-Length: %d\r\n\r\n{}", 2) + head + "Content-Length: 500\r\n\r\n{", server: &http.Server{}, want: time.Minute},
		"shorter by server":  {request: head + "Content-Length: 500\r\n\r\n{", server: &http.Server{ReadTimeout: time.Second}, want: time.Second},
		"server has no less": {request: head + "Content-Length: 500\r\n\r\n{", server: &http.Server{ReadTimeout: time.Hour}, want: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := serveConn(t, newService(time.Minute, nil), tt.server)
				go func() { _, _ = io.WriteString(client, tt.request) }()
				start := time.Now()
				answer, err := io.ReadAll(client)
				if took := time.Since(start); err != nil || !strings.Contains(string(answer), "HTTP/1.1 408 ") || took < tt.want || took >= tt.want+time.Second {
					t.Errorf("got %q (%v) after %v, want 408 and the end of the connection after %v", answer, err, took, tt.want)
				}
			})
		})
	}
}

// A client that does not read its answer is given up in time; one that does can go
// on, long after.
func TestSlowReader(t *testing.T) {
	long := func(context.Context, string) ([]byte, error) { return make([]byte, 1<<20), nil }
	for name, tt := range map[string]struct {
		server *http.Server
		want   time.Duration
	}{
		"ours":       {server: &http.Server{}, want: time.Minute},
		"the server": {server: &http.Server{WriteTimeout: time.Second}, want: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start, ended := time.Now(), make(chan time.Duration, 1)
				s := newService(time.Minute, long)
				client := serveConn(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					s.ServeHTTP(w, r)
					ended <- time.Since(start)
				}), tt.server)
				_, _ = io.WriteString(client, head+"Content-Length: 2\r\n\r\n{}")
				if took := <-ended; took != tt.want {
					t.Errorf("given up after %v, want %v", took, tt.want)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		client := serveConn(t, newService(time.Minute, nil), &http.Server{})
		answers := bufio.NewReader(client)
		for range 3 {
			_, _ = io.WriteString(client, head+"Content-Length: 2\r\n\r\n{}")
			response, err := http.ReadResponse(answers, nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(response.Body)
			if err != nil || response.StatusCode != 200 || string(body) != "{}" || response.ContentLength != 2 {
				t.Errorf("HTTP %d %q with the length %d (%v)", response.StatusCode, body, response.ContentLength, err)
			}
			time.Sleep(time.Hour) // deadlines of one request don't end the next
		}
	})
}

// H09: the context ends when the client leaves, over HTTP/1 and HTTP/2.
func TestClientLeaves(t *testing.T) {
	for _, proto := range []int{1, 2} {
		t.Run(fmt.Sprint("HTTP/", proto), func(t *testing.T) {
			asked, ended := make(chan struct{}), make(chan error, 1)
			s := newService(time.Hour, func(ctx context.Context, _ string) ([]byte, error) {
				close(asked)
				<-ctx.Done()
				ended <- ctx.Err()
				return nil, ctx.Err()
			})
			ctx, cancel := context.WithCancel(t.Context())
			go func() { <-asked; cancel() }()
			if status := send(t, ctx, liveServer(t, s, proto), strings.NewReader("{}")); status != 0 {
				t.Fatalf("the request was answered with %d", status)
			}
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("the context ended with %v, want that it was canceled", err)
			}
		})
	}
}

// H02: over TLS and HTTP/2, a slow body gets 408, one that breaks off ends the
// request, and the next one is answered on the same connection.
func TestBodiesOverHTTP2(t *testing.T) {
	hasty, patient := newService(50*time.Millisecond, nil), newService(time.Minute, nil)
	server := liveServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength < 0 && r.Header.Get("Slow") != "" {
			hasty.Serve(w, r, hasty.answer)
			return
		}
		patient.Serve(w, r, patient.answer)
	}), 2)
	slow, w := io.Pipe()
	defer w.Close()
	if status := send(t, t.Context(), server, slow, "Slow"); status != http.StatusRequestTimeout {
		t.Errorf("a slow body got %d, want 408", status)
	}
	if status := send(t, t.Context(), server, io.MultiReader(strings.NewReader("{"), broken{})); status != 0 {
		t.Errorf("a body that breaks off got %d, want no answer", status)
	}
	if status := send(t, t.Context(), server, strings.NewReader(strings.Repeat("x", 1001))); status != http.StatusRequestEntityTooLarge {
		t.Errorf("a large body got %d, want 413", status)
	}
	if status := send(t, t.Context(), server, strings.NewReader("{}")); status != http.StatusOK {
		t.Errorf("the next request got %d, want 200", status)
	}
}

func liveServer(t *testing.T, h http.Handler, proto int) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.EnableHTTP2 = proto == 2
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// send returns the status of the answer, 0 if there is none.
func send(t *testing.T, ctx context.Context, server *httptest.Server, body io.Reader, headers ...string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for _, name := range headers {
		r.Header.Set(name, "yes")
	}
	response, err := server.Client().Do(r)
	if err != nil {
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// serveConn has h serve one connection, whose other end it returns.
func serveConn(t *testing.T, h http.Handler, server *http.Server) net.Conn {
	client, conn := net.Pipe()
	l := &oneConn{conns: make(chan net.Conn, 1)}
	l.conns <- conn
	server.Handler, server.ErrorLog = h, log.New(io.Discard, "", 0)
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		_ = server.Close() // the end of Serve says whether it worked
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("the server ended with %v", err)
		}
		_ = client.Close()
	})
	return client
}

// oneConn is a listener that accepts what is in conns.
type oneConn struct {
	conns chan net.Conn
	once  sync.Once
}

func (l *oneConn) Accept() (net.Conn, error) {
	if conn, ok := <-l.conns; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error {
	l.once.Do(func() { close(l.conns) })
	return nil
}

func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }
