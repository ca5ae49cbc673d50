package apiserver_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake/apiserver"
)

// wireEvent is an event as a client reads it.
type wireEvent struct {
	Type   string
	Object struct {
		metav1.TypeMeta
		Metadata          metav1.ObjectMeta
		Code              int // of a Status
		Rows              []metav1.TableRow
		ColumnDefinitions []metav1.TableColumnDefinition
	}
}

func (e wireEvent) String() string {
	if e.Object.Kind == "Status" {
		return fmt.Sprintf("%s %d", e.Type, e.Object.Code)
	}
	if e.Object.Kind == "Table" {
		return fmt.Sprintf("%s with %d columns and %d rows", e.Type, len(e.Object.ColumnDefinitions), len(e.Object.Rows))
	}
	return fmt.Sprintf("%s %s %s@%s", e.Type, e.Object.Kind, e.Object.Metadata.Name, e.Object.Metadata.ResourceVersion)
}

// serve starts a server for a, which has no open watch when it is closed.
func (a *api) serve(t *testing.T) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(a)
	t.Cleanup(func() {
		a.cluster.DropWatches()
		server.Close()
	})
	return server
}

// stream watches path and returns what reads the next event, with "" at the
// end of the stream.
func stream(t *testing.T, server *httptest.Server, path string, headers ...string) (next func() string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	answer, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%s: got %s of %s", path, answer.Status, answer.Header.Get("Content-Type"))
	}
	lines := bufio.NewScanner(answer.Body)
	return func() string {
		t.Helper()
		if !lines.Scan() {
			if err := lines.Err(); err != nil {
				t.Errorf("%s: %v", path, err)
			}
			return ""
		}
		var e wireEvent
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatalf("%s: %v in %s", path, err, lines.Bytes())
		}
		return e.String()
	}
}

func TestAPIWatch(t *testing.T) {
	a := newAPI(t, apiserver.Config{})
	server := a.serve(t)
	table := "Accept: application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
	a.do("GET /version", "") // makes the accounts "default", revisions 6 and 7
	watches := []struct {
		name, path string
		headers    []string
		want       []string
		bookmark   string // what comes then, if the client asks for that
	}{
		{"from the start", "/api/v1/namespaces/ci/secrets?watch=true", nil, []string{"ADDED Secret password@4", "ADDED Secret x@8", "MODIFIED Secret x@9", "DELETED Secret x@10"}, ""},
		{"from now", "/api/v1/secrets?watch=1&resourceVersion=7&allowWatchBookmarks=true", nil, []string{"ADDED Secret x@8", "MODIFIED Secret x@9", "DELETED Secret x@10"}, "BOOKMARK Secret @10"},
		{"by name", "/api/v1/namespaces/ci/secrets?watch=true&resourceVersion=7&fieldSelector=metadata.name%3Dpassword", nil, nil, ""},
		{"by label", "/api/v1/secrets?watch=true&resourceVersion=7&labelSelector=a", nil, []string{"ADDED Secret x@9", "DELETED Secret x@10"}, ""},
		{"table", "/api/v1/secrets?watch=true&resourceVersion=7&allowWatchBookmarks=true", []string{table}, []string{"ADDED with 4 columns and 1 rows", "MODIFIED with 0 columns and 1 rows", "DELETED with 0 columns and 1 rows"}, "BOOKMARK with 0 columns and 0 rows"},
		{"events", "/api/v1/events?watch=true&fieldSelector=involvedObject.name%3Dx", nil, nil, ""},
	}
	readers := map[string]func() string{}
	for _, w := range watches {
		readers[w.name] = stream(t, server, w.path, w.headers...)
	}
	merge := "Content-Type: application/merge-patch+json"
	a.do("POST /api/v1/namespaces/ci/secrets", `{"metadata": {"name": "x"}}`)
	a.do("PATCH /api/v1/namespaces/ci/secrets/x", `{"metadata": {"labels": {"a": "b"}}}`, merge)
	a.do("DELETE /api/v1/namespaces/ci/secrets/x", "")
	for _, w := range watches {
		for i, want := range w.want {
			if got := readers[w.name](); got != want {
				t.Errorf("%s: event %d is %q, want %q", w.name, i, got, want)
			}
		}
	}
	a.cluster.Bookmark()
	for _, w := range watches {
		if w.bookmark == "" {
			continue
		}
		if got := readers[w.name](); got != w.bookmark {
			t.Errorf("%s: got %q, want %q", w.name, got, w.bookmark)
		}
	}
	a.cluster.DropWatches()
	for _, w := range watches {
		if got := readers[w.name](); got != "" {
			t.Errorf("%s: got %q after the watches were dropped, want the end", w.name, got)
		}
	}
}

// A watch from a revision that is forgotten begins, and says so; so does one
// that falls behind.
func TestAPIWatchExpires(t *testing.T) {
	a := newAPI(t, apiserver.Config{})
	server := a.serve(t)
	a.do("GET /version", "")
	behind := stream(t, server, "/api/v1/secrets?watch=true&resourceVersion=7")
	a.cluster.Compact()
	next := stream(t, server, "/api/v1/secrets?watch=true&resourceVersion=1")
	if got := []string{next(), next()}; !cmp.Equal(got, []string{"ERROR 410", ""}) {
		t.Errorf("got %q, want an error and the end", got)
	}
	// This one has read the past before it was forgotten.
	a.do("POST /api/v1/namespaces/ci/secrets", `{"metadata": {"name": "x"}}`)
	if got := behind(); got != "ADDED Secret x@8" {
		t.Errorf("got %q", got)
	}
	code, body := a.do("GET /api/v1/secrets?watch=true&resourceVersion=1000", "")
	checkStatus(t, code, body, 504, metav1.StatusReasonTimeout, "Too large resource version")
}

// A client may ask for what is there, and for a bookmark that says that this
// was all.
func TestAPIWatchInitialEvents(t *testing.T) {
	a := newAPI(t, apiserver.Config{})
	next := stream(t, a.serve(t), "/api/v1/secrets?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true")
	if got := []string{next(), next()}; !cmp.Equal(got, []string{"ADDED Secret password@4", "BOOKMARK Secret @7"}) {
		t.Errorf("got %q", got)
	}
}

// A watch ends when its time is over.
func TestAPIWatchTimeout(t *testing.T) {
	a := newAPI(t, apiserver.Config{})
	if got := stream(t, a.serve(t), "/api/v1/nodes?watch=true&timeoutSeconds=1")(); got != "" {
		t.Errorf("got %q, want the end", got)
	}
}

// A hundred clients that go in the middle of a watch leave nothing behind.
func TestAPIWatchLeavesNothing(t *testing.T) {
	a := newAPI(t, apiserver.Config{})
	server := a.serve(t)
	a.do("GET /version", "")
	before := runtime.NumGoroutine()
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			dialer := net.Dialer{}
			transport := &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}
			defer transport.CloseIdleConnections()
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/api/v1/secrets?watch=true", nil)
			if err != nil {
				t.Error(err)
				return
			}
			answer, err := transport.RoundTrip(r)
			if err != nil {
				t.Error(err)
				return
			}
			defer answer.Body.Close()
			// Some go before the first event, others within it or after it.
			if n, err := io.CopyN(io.Discard, answer.Body, int64(i*3)); err != nil && !errors.Is(err, io.EOF) {
				t.Errorf("client %d read %d bytes: %v", i, n, err)
			}
		})
		if i%10 == 0 {
			a.do("POST /api/v1/namespaces/ci/secrets", fmt.Sprintf(`{"metadata": {"name": "x%d"}}`, i))
		}
	}
	all.Wait()
	// A server notices that a client has gone a little later.
	deadline := time.Now().Add(10 * time.Second)
	for (runtime.NumGoroutine() > before || a.cluster.OpenWatches() > 0) && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	if after := runtime.NumGoroutine(); after > before {
		buf := make([]byte, 1<<16)
		t.Errorf("%d goroutines before, %d after:\n%s", before, after, buf[:runtime.Stack(buf, true)])
	}
	if open := a.cluster.OpenWatches(); open != 0 {
		t.Errorf("%d watches are still open", open)
	}
}
