package apiserver_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake/apiserver"
)

// live is a server with clients that misbehave. finished has the path of every request
// that the handler is done with.
type live struct {
	*api
	server   *httptest.Server
	finished chan apiserver.Event
}

func newLive(t *testing.T, http2 bool) *live {
	t.Helper()
	l := &live{finished: make(chan apiserver.Event, 1000)}
	l.api = newAPI(t, apiserver.Config{Observe: func(_ context.Context, e apiserver.Event) { l.finished <- e }})
	l.server = httptest.NewUnstartedServer(l.api)
	if l.server.EnableHTTP2 = http2; http2 {
		l.server.StartTLS()
	} else {
		l.server.Start()
	}
	t.Cleanup(func() {
		l.cluster.DropWatches()
		l.server.CloseClientConnections()
		l.server.Close()
	})
	return l
}

// end waits until the handler is done with a request of method and path.
func (l *live) end(t *testing.T, method, path string) apiserver.Event {
	t.Helper()
	for {
		select {
		case e := <-l.finished:
			if e.Method == method && e.Path == path {
				return e
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("%s %s didn't end", method, path)
		}
	}
}

// dial opens a connection and sends text.
func (l *live) dial(t *testing.T, text string) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", l.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

const (
	secretsPath = "/api/v1/namespaces/ci/secrets"
	manySecrets = 40
	large       = 1 << 20 / 2
)

// A body that is cut off, or comes too slowly, creates nothing, and the server answers
// others meanwhile.
func TestBodiesThatDontArrive(t *testing.T) {
	const head = "POST " + secretsPath + "%s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n" + `{"metadata": {"name": "late"`
	for name, hurt := range map[string]func(conn *net.TCPConn) error{
		"cut off":     (*net.TCPConn).Close,
		"reset":       func(conn *net.TCPConn) error { _ = conn.SetLinger(0); return conn.Close() },
		"half closed": (*net.TCPConn).CloseWrite,
	} {
		t.Run(name, func(t *testing.T) {
			l := newLive(t, false)
			conn := l.dial(t, fmt.Sprintf(head, ""))
			if code, _ := l.do("GET "+secretsPath+"/password", ""); code != http.StatusOK {
				t.Errorf("another client gets %d meanwhile", code)
			}
			if err := hurt(conn); err != nil {
				t.Fatal(err)
			}
			if e := l.end(t, "POST", secretsPath); e.Err == nil {
				t.Errorf("the request ended with %+v, want an error", e)
			}
			l.nothingCreated(t)
		})
	}
	t.Run("slow", func(t *testing.T) {
		l := newLive(t, false)
		conn := l.dial(t, fmt.Sprintf(head, "?timeout=200ms"))
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || resp.StatusCode != http.StatusGatewayTimeout {
			t.Errorf("the answer is %v, %v, want 504", resp, err)
		}
		l.nothingCreated(t)
	})
	t.Run("slow and not wanted", func(t *testing.T) {
		l := newLive(t, false)
		conn := l.dial(t, strings.Replace(fmt.Sprintf(head, ""), "Host", "Authorization: Bearer x\r\nHost", 1))
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("the answer is %v, %v, want 401", resp, err)
		}
	})
	t.Run("slow over HTTP/2", func(t *testing.T) {
		l := newLive(t, true)
		body, never := io.Pipe()
		defer never.Close()
		req, err := http.NewRequestWithContext(t.Context(), "POST", l.server.URL+secretsPath+"?timeout=200ms", body)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := l.server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.ProtoMajor != 2 || resp.StatusCode != http.StatusGatewayTimeout {
			t.Errorf("the answer is %s %d, want 504 over HTTP/2", resp.Proto, resp.StatusCode)
		}
		l.nothingCreated(t)
	})
}

func (l *live) nothingCreated(t *testing.T) {
	t.Helper()
	for _, a := range l.cluster.Writes() {
		if a.Actor == "" {
			t.Errorf("the Cluster was asked: %v", a)
		}
	}
}

// A body in drops is a body: nothing depends on how it is cut.
func TestBodyInDrops(t *testing.T) {
	l := newLive(t, false)
	body := `{"metadata": {"name": "drops"}}`
	conn := l.dial(t, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", secretsPath, len(body)))
	for i := range body {
		if _, err := io.WriteString(conn, body[i:i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || resp.StatusCode != http.StatusCreated {
		t.Errorf("the answer is %v, %v, want 201", resp, err)
	}
}

// A watch ends with its client, however it goes.
func TestWatchesEndWithTheirClients(t *testing.T) {
	const head = "GET " + secretsPath + "?watch=true HTTP/1.1\r\nHost: x\r\n\r\n"
	for name, hurt := range map[string]func(conn *net.TCPConn) error{
		"cut off":     (*net.TCPConn).Close,
		"reset":       func(conn *net.TCPConn) error { _ = conn.SetLinger(0); return conn.Close() },
		"half closed": (*net.TCPConn).CloseWrite,
	} {
		t.Run(name, func(t *testing.T) {
			l := newLive(t, false)
			conn := l.dial(t, head)
			if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
				t.Fatalf("the watch began with %q, %v", line, err)
			}
			if err := hurt(conn); err != nil {
				t.Fatal(err)
			}
			l.end(t, "GET", secretsPath)
		})
	}
	t.Run("HTTP/2", func(t *testing.T) {
		l := newLive(t, true)
		client := l.server.Client()
		var all sync.WaitGroup
		for range 50 { // on one connection
			all.Go(func() {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				req, err := http.NewRequestWithContext(ctx, "GET", l.server.URL+secretsPath+"?watch=true", nil)
				if err != nil {
					t.Error(err)
					return
				}
				resp, err := client.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				defer resp.Body.Close()
				if line, err := bufio.NewReader(resp.Body).ReadString('\n'); err != nil || resp.ProtoMajor != 2 || !strings.Contains(line, "ADDED") {
					t.Errorf("the watch over %s began with %q, %v", resp.Proto, line, err)
				}
			})
		}
		all.Wait()
		for range 50 {
			l.end(t, "GET", secretsPath)
		}
	})
}

// Clients that read nothing hold up no write and no other client, and can be got rid of.
func TestClientsThatDontRead(t *testing.T) {
	l := newLive(t, false)
	for i := range manySecrets { // more than buffers hold
		_, err := l.cluster.CreateSecret(t.Context(), &corev1.Secret{
			ObjectMeta: meta("ci", fmt.Sprintf("large-%d", i)), Data: map[string][]byte{"value": make([]byte, large)},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	list := l.dial(t, "GET "+secretsPath+" HTTP/1.1\r\nHost: x\r\n\r\n")
	watch := l.dial(t, "GET "+secretsPath+"?watch=true HTTP/1.1\r\nHost: x\r\n\r\n")
	for _, conn := range []net.Conn{list, watch} { // they have begun
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 {
		if _, err := l.cluster.PatchSecret(t.Context(), "ci", "large-0", "application/merge-patch+json", []byte(`{"metadata": {"labels": {"a": "b"}}}`)); err != nil {
			t.Fatal(err)
		}
	}
	if code, _ := l.do("GET "+secretsPath+"/password", ""); code != http.StatusOK {
		t.Errorf("another client gets %d", code)
	}
	list.Close()
	watch.Close()
	for range 2 {
		l.end(t, "GET", secretsPath)
	}
}

// stuck is the writer of a client that takes nothing after so many writes.
type stuck struct {
	*httptest.ResponseRecorder
	takes    int
	deadline []time.Duration // how far away, at each write
	limit    time.Time
}

func (s *stuck) SetWriteDeadline(at time.Time) error { s.limit = at; return nil }

func (s *stuck) Write(data []byte) (int, error) {
	if s.deadline = append(s.deadline, time.Until(s.limit)); len(s.deadline) > s.takes {
		return 0, os.ErrDeadlineExceeded
	}
	return s.ResponseRecorder.Write(data)
}

// Every answer, and every event of a watch, has a minute to be taken, and a watch whose
// client doesn't take them ends.
func TestWritesAreBounded(t *testing.T) {
	a := newAPI(t, apiserver.Config{})
	for _, tt := range []struct {
		line  string
		takes int
	}{
		{"GET " + secretsPath, 1},
		{"GET /api/v1/nowhere", 1},
		{"GET " + secretsPath + "?watch=true", 0},
		{"GET /api/v1/watched?watch=true", 0},
	} {
		w := &stuck{ResponseRecorder: httptest.NewRecorder(), takes: tt.takes}
		a.ServeHTTP(w, request(tt.line, ""))
		if len(w.deadline) != 1 || w.deadline[0] <= 0 || w.deadline[0] > time.Minute {
			t.Errorf("%s: the deadlines of the writes were %v, want one within a minute", tt.line, w.deadline)
		}
	}
	w := &stuck{ResponseRecorder: httptest.NewRecorder(), takes: 1}
	if _, err := a.cluster.CreateSecret(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "second"}}); err != nil {
		t.Fatal(err)
	}
	a.ServeHTTP(w, request("GET "+secretsPath+"?watch=true", ""))
	if len(w.deadline) != 2 {
		t.Errorf("the watch wrote %d times, want it to end with the second", len(w.deadline))
	}
}
