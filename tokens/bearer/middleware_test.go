package bearer_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/bearer"
)

// A verifier accepts the token "good".
type verifier struct {
	err       error
	panics    bool
	audiences []string
}

var builder = &tokens.Identity{Namespace: "ci", Name: "builder", UID: "1"}

func (v *verifier) Authenticate(_ context.Context, token string, audiences ...string) (*tokens.Identity, error) {
	v.audiences = audiences
	switch {
	case v.panics:
		panic("hunter2 " + token)
	case v.err != nil:
		return builder, v.err
	case token == "nothing":
		return nil, nil
	case token != "good":
		return nil, &tokens.NotRecognizedError{Reason: tokens.ReasonMalformed}
	}
	return builder, nil
}

func TestMiddleware(t *testing.T) {
	const invalidToken = `Bearer error="invalid_token", error_description="the bearer token is not valid here"`
	down := &tokens.UnavailableError{Subject: "Pod", Err: errors.New("secret detail")}
	for _, tt := range []struct {
		name      string
		header    []string
		mutate    func(*bearer.Config, *verifier)
		status    int // 200: it reached the handler
		challenge string
		text      string // of the answer
		accepted  bool
	}{
		{name: "accepted", header: []string{"Bearer good"}, status: 200, accepted: true},
		{name: "lower case, spaces", header: []string{" bearer \t good "}, status: 200, accepted: true},
		{name: "no header", status: 401, challenge: "Bearer", text: "a bearer token is required"},
		{name: "another scheme", header: []string{"Basic good"}, status: 401, challenge: "Bearer", text: "a bearer token is required"},
		{name: "a longer scheme", header: []string{"Bearers good"}, status: 401, challenge: "Bearer", text: "a bearer token is required"},
		{name: "two headers", header: []string{"Bearer good", "Bearer good"}, status: 400, text: "malformed",
			challenge: `Bearer error="invalid_request", error_description="the header Authorization is malformed, want one with one bearer token"`},
		{name: "two tokens", header: []string{"Bearer good good"}, status: 400, text: "malformed",
			challenge: `Bearer error="invalid_request", error_description="the header Authorization is malformed, want one with one bearer token"`},
		{name: "no token", header: []string{"Bearer "}, status: 400, text: "malformed",
			challenge: `Bearer error="invalid_request", error_description="the header Authorization is malformed, want one with one bearer token"`},
		{name: "not recognized", header: []string{"Bearer other"}, status: 401, challenge: invalidToken, text: "the bearer token is not valid here"},
		{name: "rejected", header: []string{"Bearer good"}, mutate: func(_ *bearer.Config, v *verifier) {
			v.err = &tokens.InvalidError{Reason: tokens.ReasonDeleted, Subject: "Pod"}
		}, status: 401, challenge: invalidToken, text: "the bearer token is not valid here"},
		{name: "a realm", header: []string{"Bearer other"}, mutate: func(c *bearer.Config, _ *verifier) { c.Realm = "vault" },
			status: 401, challenge: `Bearer realm="vault", ` + strings.TrimPrefix(invalidToken, "Bearer "), text: "the bearer token is not valid here"},
		{name: "against the Policy", header: []string{"Bearer good"}, mutate: func(_ *bearer.Config, v *verifier) {
			v.err = &tokens.InvalidError{Reason: tokens.ReasonPolicy, Subject: "namespace"}
		}, status: 403, challenge: `Bearer error="insufficient_scope", error_description="the service account may not do this"`, text: "may not"},
		{name: "denied", header: []string{"Bearer good"}, mutate: func(c *bearer.Config, _ *verifier) {
			c.Authorize = func(*http.Request, *tokens.Identity) error { return errors.New("secret detail") }
		}, status: 403, challenge: `Bearer error="insufficient_scope", error_description="the service account may not do this"`, text: "may not", accepted: true},
		{name: "against the middleware's Policy", header: []string{"Bearer good"}, mutate: func(c *bearer.Config, _ *verifier) { c.Policy.Namespaces = []string{"other"} },
			status: 403, challenge: `Bearer error="insufficient_scope", error_description="the service account may not do this"`, text: "may not", accepted: true},
		{name: "allowed", header: []string{"Bearer good"}, mutate: func(c *bearer.Config, _ *verifier) {
			c.Authorize = func(r *http.Request, id *tokens.Identity) error {
				if r.URL.Path != "/secret" || id != builder {
					return errors.New("no")
				}
				return nil
			}
		}, status: 200, accepted: true},
		{name: "denied as if there were no token", header: []string{"Bearer good"}, mutate: func(c *bearer.Config, _ *verifier) {
			c.Authorize = func(r *http.Request, _ *tokens.Identity) error {
				_, err := bearer.Token(r.Header.Values("X-On-Behalf-Of"))
				return err
			}
		}, status: 403, challenge: `Bearer error="insufficient_scope", error_description="the service account may not do this"`, text: "may not", accepted: true},
		{name: "Authorize can't tell", header: []string{"Bearer good"}, mutate: func(c *bearer.Config, _ *verifier) {
			c.Authorize = func(*http.Request, *tokens.Identity) error { return down }
		}, status: 503, text: "try again", accepted: true},
		{name: "the Verifier can't tell", header: []string{"Bearer good"}, mutate: func(_ *bearer.Config, v *verifier) { v.err = down }, status: 503, text: "try again"},
		{name: "an error of its own", header: []string{"Bearer good"}, mutate: func(_ *bearer.Config, v *verifier) { v.err = errors.New("secret detail") }, status: 503, text: "try again"},
		{name: "the Verifier panics", header: []string{"Bearer good"}, mutate: func(_ *bearer.Config, v *verifier) { v.panics = true }, status: 503, text: "try again"},
		{name: "Authorize panics", header: []string{"Bearer good"}, mutate: func(c *bearer.Config, _ *verifier) {
			c.Authorize = func(*http.Request, *tokens.Identity) error { panic("hunter2") }
		}, status: 503, text: "try again"},
		{name: "neither", header: []string{"Bearer nothing"}, status: 503, text: "try again"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := &verifier{}
			var event bearer.Event
			cfg := bearer.Config{Verifier: v, Audiences: []string{"vault"}, Observe: func(_ context.Context, e bearer.Event) { event = e }}
			if tt.mutate != nil {
				tt.mutate(&cfg, v)
			}
			middleware, err := bearer.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			reached := false
			handler := middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				reached = true
				if id := bearer.IdentityFrom(r.Context()); id != builder {
					t.Errorf("IdentityFrom() = %v, want ci/builder", id)
				}
				if got := r.Header.Values("Authorization"); got != nil {
					t.Errorf("the handler gets Authorization %q, want none", got)
				}
				if r.Header.Get("Accept") != "text/plain" {
					t.Error("the handler doesn't get the other headers")
				}
			}))
			r := httptest.NewRequest(http.MethodGet, "/secret", nil)
			r.Header["Authorization"] = tt.header
			r.Header.Set("Accept", "text/plain")
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)

			if w.Code != tt.status || reached != (tt.status == 200) {
				t.Errorf("status %d, reached the handler: %v, want %d", w.Code, reached, tt.status)
			}
			if got := w.Header().Get("WWW-Authenticate"); got != tt.challenge {
				t.Errorf("WWW-Authenticate: %s\nwant %s", got, tt.challenge)
			}
			if got := w.Header().Get("Retry-After"); (got == "1") != (tt.status == 503) {
				t.Errorf("Retry-After: %q with status %d", got, tt.status)
			}
			if body := w.Body.String(); !strings.Contains(body, tt.text) || strings.Contains(body, "detail") || strings.Contains(body, "hunter2") {
				t.Errorf("body %q, want %q and no details", body, tt.text)
			}
			if h := w.Header(); tt.status != 200 && (h.Get("Content-Type") != "text/plain; charset=utf-8" || h.Get("X-Content-Type-Options") != "nosniff") {
				t.Errorf("a browser may take the answer for something else: %v", h)
			}
			if !slices.Equal(r.Header["Authorization"], tt.header) {
				t.Error("the caller's request was changed")
			}
			wantStatus := tt.status
			if wantStatus == 200 {
				wantStatus = 0
			}
			if event.Status != wantStatus || (event.Err == nil) != (wantStatus == 0) || (event.Identity == builder) != tt.accepted {
				t.Errorf("Observe got %+v", event)
			}
			if (event.Panic != nil) != strings.HasSuffix(tt.name, "panics") || event.Err != nil && strings.Contains(event.Err.Error(), "hunter2") {
				t.Errorf("Observe got the panic %v and the error %v", event.Panic, event.Err)
			}
			if len(v.audiences) > 0 && v.audiences[0] != "vault" {
				t.Errorf("asked for the audiences %q", v.audiences)
			}
		})
	}
}

func TestFailAndKeepToken(t *testing.T) {
	middleware, err := bearer.New(bearer.Config{Verifier: &verifier{}, KeepToken: true, Fail: func(w http.ResponseWriter, r *http.Request, f bearer.Failure) {
		f.WriteHeader(w, "ours")
		_, _ = w.Write([]byte(`{"kind":"Status"}`))
	}})
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	handler := middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Get("Authorization") }))
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer good")
	handler.ServeHTTP(httptest.NewRecorder(), r)
	if got != "Bearer good" {
		t.Errorf("with KeepToken the handler gets %q", got)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != 401 || w.Body.String() != `{"kind":"Status"}` || w.Header().Get("WWW-Authenticate") != `Bearer realm="ours"` {
		t.Errorf("Fail answered %d %s %q", w.Code, w.Body, w.Header().Get("WWW-Authenticate"))
	}
}

func TestNew(t *testing.T) {
	_, err := bearer.New(bearer.Config{Verifier: (*verifier)(nil), Audiences: []string{""}, Realm: "a\"\r\nb", Policy: tokens.Policy{MaxLifetime: -1}})
	const want = "bearer: Config.Verifier is required, want a tokens.Verifier\n" +
		"bearer: Config.Audiences has an empty one, want audiences of this service\n" +
		"bearer: Config.Policy.MaxLifetime is -1ns, want 0 or at least 1 s\n" +
		`bearer: Config.Realm is "a\"\r\nb", want printable ASCII without quotes and backslashes`
	if _, ok := errors.AsType[*bearer.ConfigError](err); !ok || err.Error() != want {
		t.Errorf("New() =\n%v\nwant\n%s", err, want)
	}
	if id := bearer.IdentityFrom(t.Context()); id != nil {
		t.Errorf("IdentityFrom() of any context = %v, want nil", id)
	}
}

func TestRealm(t *testing.T) {
	for realm, good := range map[string]bool{"": true, " ~": true, "\x1f": false, "\x7f": false, "é": false, `"`: false, `\`: false} {
		if _, err := bearer.New(bearer.Config{Verifier: &verifier{}, Realm: realm}); (err == nil) != good {
			t.Errorf("realm %q: New() = %v", realm, err)
		}
	}
}

// Authorize counts to what a request took, and what it returned is there for operators.
func TestAuthorizeIsObserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("not today")
		var failure bearer.Failure
		var event bearer.Event
		middleware, err := bearer.New(bearer.Config{
			Verifier:  &verifier{},
			Authorize: func(*http.Request, *tokens.Identity) error { time.Sleep(time.Second); return cause },
			Fail:      func(_ http.ResponseWriter, _ *http.Request, f bearer.Failure) { failure = f },
			Observe:   func(_ context.Context, e bearer.Event) { event = e },
		})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", "Bearer good")
		middleware(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), r)
		if event.Took != time.Second || !errors.Is(event.Err, cause) || failure.Err != event.Err {
			t.Errorf("Observe got %+v and Fail %+v, want the error of Authorize after a second", event, failure)
		}
	})
}

// A Gate needs no function that authorizes.
func TestGate(t *testing.T) {
	gate, err := bearer.NewGate(&verifier{}, nil, tokens.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	if id, err := gate.Authenticate(t.Context(), []string{"Bearer good"}, nil); id != builder || err != nil {
		t.Errorf("Authenticate() = %v, %v, want ci/builder", id, err)
	}
}

// What the middleware adds to a request, and what the bare handler costs.
func BenchmarkMiddleware(b *testing.B) {
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	middleware, err := bearer.New(bearer.Config{Verifier: &verifier{}})
	if err != nil {
		b.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer good")
	for name, h := range map[string]http.Handler{"bare": handler, "middleware": middleware(handler)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			w := httptest.NewRecorder()
			for b.Loop() {
				h.ServeHTTP(w, r)
			}
		})
	}
}
