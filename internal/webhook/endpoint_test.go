package webhook_test

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

	"github.com/kubesa/serviceaccount/internal/webhook"
)

// A service answers with the body it gets.
type service struct {
	webhook.Endpoint
	answer  func(ctx context.Context, body string) ([]byte, error)
	outcome webhook.Outcome
}

func newService(timeout time.Duration, answer func(ctx context.Context, body string) ([]byte, error)) *service {
	if answer == nil {
		answer = func(_ context.Context, body string) ([]byte, error) { return []byte(body), nil }
	}
	return &service{Endpoint: webhook.Endpoint{Package: "test", MaxBytes: 1000, Timeout: timeout}, answer: answer}
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.outcome = s.Serve(w, r, s.answer)
}

func post(h http.Handler, body io.Reader, changes ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/?timeout=10s", body)
	r.Header.Set("Content-Type", "application/json")
	for _, change := range changes {
		change(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestServe(t *testing.T) {
	// H01, H02
	header := func(name string, values ...string) func(*http.Request) {
		return func(r *http.Request) { r.Header[name] = values }
	}
	query := func(q string) func(*http.Request) { return func(r *http.Request) { r.URL.RawQuery = q } }
	unknownLength := func(r *http.Request) { r.ContentLength = -1 }
	full := strings.Repeat("x", 1000)
	tests := []struct {
		name    string
		body    string
		request func(*http.Request)
		status  int
		text    string
	}{
		{"good", "{}", header("X"), 200, "{}"},
		{"as large as may be", full, header("X"), 200, full},
		{"GET", "", func(r *http.Request) { r.Method = http.MethodGet }, 405, "test: want POST"},
		{"PATCH", "", func(r *http.Request) { r.Method = http.MethodPatch }, 405, "test: want POST"},
		{"no content type", "{}", header("Content-Type"), 415, "application/json"},
		{"text", "{}", header("Content-Type", "text/plain"), 415, "application/json"},
		{"almost JSON", "{}", header("Content-Type", "application/json5"), 415, "application/json"},
		{"broken content type", "{}", header("Content-Type", "application/json; charset"), 415, "application/json"},
		{"another charset", "{}", header("Content-Type", "application/json; charset=ISO-8859-1"), 415, "application/json"},
		{"two content types", "{}", header("Content-Type", "application/json", "text/plain"), 415, "application/json"},
		{"another parameter", "{}", header("Content-Type", "application/json;q=1"), 200, "{}"},
		{"charset in capitals", "{}", header("Content-Type", "application/json;charset=\"UTF-8\""), 200, "{}"},
		{"parameters", "{}", header("Content-Type", "Application/JSON; charset=utf-8"), 200, "{}"},
		{"gzip", "{}", header("Content-Encoding", "gzip"), 415, "content encoding"},
		{"gzip behind identity", "{}", header("Content-Encoding", "identity", "gzip"), 415, "content encoding"},
		{"no encoding", "{}", header("Content-Encoding", ""), 200, "{}"},
		{"identity", "{}", header("Content-Encoding", "Identity"), 200, "{}"},
		{"bad timeout", "{}", query("timeout=soon"), 400, "timeout is not a positive duration"},
		{"no time", "{}", query("timeout=0s"), 400, "timeout is not a positive duration"},
		{"negative timeout", "{}", query("timeout=-1s"), 400, "timeout is not a positive duration"},
		{"other queries", "{}", query("x=1"), 200, "{}"},
		{"no query", "{}", query(""), 200, "{}"},
		{"too large", full + "x", header("X"), 413, "at most 1000 bytes"},
		{"too large, length unknown", full + "x", unknownLength, 413, "at most 1000 bytes"},
		{"body that breaks off", "", func(r *http.Request) {
			r.Body = io.NopCloser(io.MultiReader(strings.NewReader("{"), broken{}))
		}, 400, "the body could not be read"},
		{"no body", "", func(r *http.Request) { r.Body = nil }, 200, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newService(time.Minute, nil)
			w := post(s, strings.NewReader(tt.body), tt.request)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.text) || w.Code != s.outcome.Status {
				t.Fatalf("HTTP %d %.100s, outcome %+v, want %d and %q", w.Code, w.Body, s.outcome, tt.status, tt.text)
			}
			if allow := w.Header().Get("Allow"); (allow == "POST") != (tt.status == 405) {
				t.Errorf("HTTP %d has the header Allow: %q", w.Code, allow)
			}
			if tt.status == 200 {
				if w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Cache-Control") != "no-store" || s.outcome.Err != nil {
					t.Errorf("the headers are %v, the error %v", w.Header(), s.outcome.Err)
				}
				return
			}
			if e, ok := errors.AsType[*webhook.Error](s.outcome.Err); !ok || e.Status != tt.status || !strings.HasPrefix(e.Error(), "test: ") {
				t.Errorf("the error is %v, want an Error with the status", s.outcome.Err)
			}
		})
	}
}

// broken is a connection that was lost.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestServeErrors(t *testing.T) {
	for _, tt := range []struct {
		name   string
		fail   func() ([]byte, error)
		status int
		text   string
		retry  string
		panics any
	}{
		{"too many", func() ([]byte, error) { return nil, (&webhook.Endpoint{Package: "test"}).Error(429, "too many") }, 429, "test: too many\n", "1", nil},
		{"busy", func() ([]byte, error) { return nil, &webhook.Error{Status: 503, Text: "busy"} }, 503, "busy\n", "1", nil},
		{"any error", func() ([]byte, error) { return nil, errors.New("s3cr3t") }, 500, "test: the request was not answered\n", "", nil},
		{"panic", func() ([]byte, error) { panic("s3cr3t") }, 500, "test: the request was not answered\n", "", "s3cr3t"}, // H08
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newService(time.Minute, func(context.Context, string) ([]byte, error) { return tt.fail() })
			w := post(s, strings.NewReader("{}"))
			if w.Code != tt.status || w.Body.String() != tt.text || w.Header().Get("Retry-After") != tt.retry {
				t.Errorf("HTTP %d %q with the headers %v, want %d and %q", w.Code, w.Body, w.Header(), tt.status, tt.text)
			}
			if o := s.outcome; o.Status != tt.status || o.Err == nil || o.Panic != tt.panics || (o.Stack != nil) != (tt.panics != nil) {
				t.Errorf("the outcome is %+v", o)
			}
		})
	}
	defer func() {
		if p := recover(); p != http.ErrAbortHandler {
			t.Errorf("recovered %v, want http.ErrAbortHandler", p)
		}
	}()
	post(newService(time.Minute, func(context.Context, string) ([]byte, error) { panic(http.ErrAbortHandler) }), strings.NewReader("{}"))
}

// H09: the webhook has the API server's time, less a bit for the answer.
func TestTimeouts(t *testing.T) {
	for _, tt := range []struct {
		query string
		own   time.Duration
		want  time.Duration
	}{
		{"timeout=1s", 10 * time.Second, 900 * time.Millisecond},
		{"timeout=5s", 10 * time.Second, 4500 * time.Millisecond},
		{"timeout=30s", 10 * time.Second, 10 * time.Second},
		{"timeout=30s", time.Minute, 29500 * time.Millisecond},
		{"", 2 * time.Second, 2 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			s := newService(tt.own, func(ctx context.Context, _ string) ([]byte, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			})
			post(s, strings.NewReader("{}"), func(r *http.Request) { r.URL.RawQuery = tt.query })
			if took := time.Since(start); took != tt.want || s.outcome.Took != tt.want || !errors.Is(s.outcome.Err, context.DeadlineExceeded) {
				t.Errorf("%s and %v: ended after %v, want %v; outcome %+v", tt.query, tt.own, took, tt.want, s.outcome)
			}
		})
	}
}

// The context that an answer gets ends with its request, and the outcome says how long that
// took.
func TestServeEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended context.Context
		s := newService(time.Minute, func(ctx context.Context, body string) ([]byte, error) {
			ended = ctx
			time.Sleep(time.Second)
			return []byte(body), ctx.Err()
		})
		if w := post(s, strings.NewReader("{}")); w.Code != 200 || s.outcome.Took != time.Second || ended.Err() == nil {
			t.Errorf("HTTP %d after %v, and the context ended with %v; want 200 after 1s, and that it has ended", w.Code, s.outcome.Took, ended.Err())
		}
	})
}

// H02: an endless body is read no further than the limit, and one that says that it is too
// large isn't read at all.
func TestEndlessBody(t *testing.T) {
	for length, most := range map[int64]int{-1: 4096, 1001: 0, 1 << 40: 0} {
		body := &endless{}
		w := post(newService(time.Minute, nil), body, func(r *http.Request) { r.ContentLength = length })
		if w.Code != http.StatusRequestEntityTooLarge || body.read > most {
			t.Errorf("length %d: HTTP %d after %d bytes, want 413 after %d", length, w.Code, body.read, most)
		}
	}
}

// endless is white space without an end.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	e.read += len(p)
	return len(p), nil
}

// A large body holds memory only while it is answered, and one body never shows in
// another.
func TestBuffersAreReused(t *testing.T) {
	s := newService(time.Minute, nil)
	s.MaxBytes = 4 << 20
	for _, body := range []string{strings.Repeat("a", 1<<20), "b", strings.Repeat("c", 100), "", "d"} {
		if got := post(s, strings.NewReader(body)).Body.String(); got != body {
			t.Errorf("got %.10q of %d bytes, want %.10q of %d", got, len(got), body, len(body))
		}
	}
}
