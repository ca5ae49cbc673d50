package tokenreview_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/internal/tokentest"
	"github.com/kubesa/serviceaccount/tokens/tokenreview"
)

// reviewBody is what kube-apiserver sends.
func reviewBody(token string, audiences ...string) string {
	return string(must(json.Marshal(reviewOf(token, audiences...))))
}

func postReview(h http.Handler, body string, changes ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/authenticate?timeout=10s", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for _, change := range changes {
		change(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestReviewHandlerRefusesWhatIsNotAReview(t *testing.T) {
	token := tokentest.Mint(t, ecKey, tokentest.BoundClaims())
	good := reviewBody(token)
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	replace := func(old, with string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%s is not in the review", old)
		}
		return strings.Replace(good, old, with, 1)
	}
	deep := func(n int) string {
		return replace(`"metadata":{`, `"metadata":{"x":`+strings.Repeat("[", n)+strings.Repeat("]", n)+`,`)
	}
	tests := []struct {
		name    string
		body    string
		request func(*http.Request)
		status  int
		text    string // in the answer
	}{
		{"good", good, nil, 200, `"authenticated":true`},
		// H01
		{"GET", good, func(r *http.Request) { r.Method = http.MethodGet }, 405, "want POST"},
		{"no content type", good, func(r *http.Request) { r.Header.Del("Content-Type") }, 415, "application/json"},
		{"protobuf type", good, header("Content-Type", "application/vnd.kubernetes.protobuf"), 415, "application/json"},
		{"broken content type", good, header("Content-Type", "application/json; charset"), 415, "application/json"},
		{"parameters", good, header("Content-Type", "application/json; charset=utf-8"), 200, `"authenticated":true`},
		{"gzip", good, header("Content-Encoding", "gzip"), 415, "content encoding"},
		{"identity", good, header("Content-Encoding", "identity"), 200, `"authenticated":true`},
		{"bad timeout", good, func(r *http.Request) { r.URL.RawQuery = "timeout=soon" }, 400, "timeout"},
		{"negative timeout", good, func(r *http.Request) { r.URL.RawQuery = "timeout=-1s" }, 400, "timeout"},
		{"no query", good, func(r *http.Request) { r.URL.RawQuery = "" }, 200, `"authenticated":true`},
		// H02
		{"empty", "", nil, 400, "not a JSON object"},
		{"above the limit", good + strings.Repeat(" ", 64<<10), nil, 413, "65536 bytes"},
		{"above the limit, length unknown", good + strings.Repeat(" ", 64<<10), func(r *http.Request) { r.ContentLength = -1 }, 413, "65536 bytes"},
		{"body that breaks off", good, func(r *http.Request) {
			r.Body = io.NopCloser(io.MultiReader(strings.NewReader(good[:20]), broken{}))
		}, 400, "could not be read"},
		// REV-2, REV-3
		{"no spec", `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1"}`, nil, 400, "token is required"},
		{"spec is null", `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":null}`, nil, 400, "spec is not an object"},
		{"no token", replace(`"token":"`+token+`"`, `"x":1`), nil, 400, "token is required"},
		{"token is a list", replace(`"token":"`+token+`"`, `"token":["`+token+`"]`), nil, 400, "spec.token is not a string"},
		{"namespace", replace(`"metadata":{`, `"metadata":{"namespace":"ci",`), nil, 400, "namespace is not allowed"},
		{"namespace is a number", replace(`"metadata":{`, `"metadata":{"namespace":1,`), nil, 400, "metadata.namespace is not a string"},
		{"metadata is a text", `{"metadata":"x"}`, nil, 400, "metadata is not an object"},
		{"metadata is null", strings.Replace(good, `"metadata":{"labels":{"a":"b"}}`, `"metadata":null`, 1), nil, 200, `"authenticated":true`},
		{"audiences are a text", replace(`"spec":{`, `"spec":{"audiences":"api",`), nil, 400, "spec.audiences is not a list"},
		{"kind is null", replace(`"TokenReview"`, `null`), nil, 400, "kind is not a string"},
		{"version is null", replace(`"authentication.k8s.io/v1"`, `null`), nil, 400, "apiVersion is not a string"},
		{"token is null", replace(`"token":"`+token+`"`, `"token":null`), nil, 400, "spec.token is not a string"},
		{"spec is a list", `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":[]}`, nil, 400, "spec is not an object"},
		{"audiences are an object", replace(`"spec":{`, `"spec":{"audiences":{},`), nil, 400, "spec.audiences is not a list"},
		{"an audience is null", replace(`"spec":{`, `"spec":{"audiences":[null],`), nil, 400, "spec.audiences has an element"},
		{"audiences are null", replace(`"spec":{`, `"spec":{"audiences":null,`), nil, 200, `"audiences":["api"]`},
		// H04
		{"YAML", "kind: TokenReview\napiVersion: authentication.k8s.io/v1\n", nil, 400, "not a JSON object"},
		{"byte order mark", "\ufeff" + good, nil, 400, "not a JSON object"},
		{"protobuf", "k8s\x00" + good, nil, 400, "not a JSON object"},
		{"NUL at the end", good + "\x00", nil, 400, "more than one JSON value"},
		{"depth 20,000", deep(20_000), nil, 400, "nested too deeply"},
		{"depth 30", deep(30), nil, 200, `"authenticated":true`},
		{"depth 31", deep(31), nil, 400, "nested too deeply"},
		{"cut off", good[:len(good)-1], nil, 400, "neither a comma nor the end of an object"},
		{"invalid UTF-8", replace(`"b"`, "\"\xff\""), nil, 400, "invalid UTF-8"},
		// H05, REV-1
		{"v1beta1", replace("authentication.k8s.io/v1", "authentication.k8s.io/v1beta1"), nil, 400, "--authentication-token-webhook-version"},
		{"v9", replace("authentication.k8s.io/v1", "authentication.k8s.io/v9"), nil, 400, "not a TokenReview"},
		{"kind is a number", replace(`"TokenReview"`, `7`), nil, 400, "kind is not a string"},
		{"no kind", replace(`"kind":"TokenReview",`, ``), nil, 400, "not a TokenReview"},
		{"kind Pod", replace(`"TokenReview"`, `"Pod"`), nil, 400, "not a TokenReview"},
		{"kind List", replace(`"TokenReview"`, `"List"`), nil, 400, "not a TokenReview"},
		// H07
		{"two tokens", replace(`"spec":{`, `"spec":{"token":"x",`), nil, 400, "duplicate name"},
		{"two tokens, one escaped", replace(`"spec":{`, `"spec":{"\u0074oken":"x",`), nil, 400, "duplicate name"},
		{"SPEC", replace(`"spec":{`, `"SPEC":{},"spec":{`), nil, 400, "only in case"},
		{"folded by Unicode", replace(`"spec":{`, `"\u017Fpec":{},"spec":{`), nil, 400, "only in case"},
	}
	h := newHandler(tokentest.NewAuthenticator(t, tokentest.NewWorld(), nil), tokenreview.HandlerConfig{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.request == nil {
				tt.request = func(*http.Request) {}
			}
			w := postReview(h, tt.body, tt.request)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.text) {
				t.Fatalf("got HTTP %d %.300s, want %d and %q", w.Code, w.Body, tt.status, tt.text)
			}
			if strings.Contains(w.Body.String(), token[:20]) || strings.Contains(w.Body.String(), token[len(token)-20:]) {
				t.Errorf("the answer has a part of the token: %s", w.Body)
			}
			if allow := w.Header().Get("Allow"); (allow == "POST") != (tt.status == 405) {
				t.Errorf("HTTP %d has the header Allow: %q", w.Code, allow)
			}
			if got := w.Header().Get("Content-Type"); tt.status == 200 && got != "application/json" {
				t.Errorf("the answer is of type %q", got)
			}
		})
	}

	small := newHandler(tokentest.NewAuthenticator(t, tokentest.NewWorld(), nil), tokenreview.HandlerConfig{MaxBytes: 100})
	if w := postReview(small, good); w.Code != 413 || !strings.Contains(w.Body.String(), "100 bytes") {
		t.Errorf("got HTTP %d %s, want 413 over 100 bytes", w.Code, w.Body)
	}

	// A client that is gone by the time that its review was read is not authenticated.
	ctx, cancel := context.WithCancel(t.Context())
	w := postReview(h, good, func(r *http.Request) {
		*r = *r.WithContext(ctx)
		r.Body = io.NopCloser(io.MultiReader(strings.NewReader(good), ending(cancel)))
	})
	if w.Code != 503 || !strings.Contains(w.Body.String(), "could not be read in time") {
		t.Errorf("got HTTP %d %s, want 503", w.Code, w.Body)
	}

	// The flag that makes kube-apiserver send v1 is no cure for other versions.
	for _, v1beta1 := range []bool{false, true} {
		h := newHandler(tokentest.NewAuthenticator(t, tokentest.NewWorld(), nil), tokenreview.HandlerConfig{V1beta1: v1beta1})
		w := postReview(h, replace("authentication.k8s.io/v1", "authentication.k8s.io/v9"))
		if w.Code != 400 || strings.Contains(w.Body.String(), "--authentication-token-webhook-version") {
			t.Errorf("with V1beta1 %v: HTTP %d %s, want 400 without the flag", v1beta1, w.Code, w.Body)
		}
	}

	// The kind of the request is the kind of the answer.
	for _, version := range []string{"authentication.k8s.io/v1", "authentication.k8s.io/v1beta1"} {
		h := newHandler(tokentest.NewAuthenticator(t, tokentest.NewWorld(), nil), tokenreview.HandlerConfig{V1beta1: true})
		w := postReview(h, strings.Replace(good, "authentication.k8s.io/v1", version, 1))
		if start := `{"kind":"TokenReview","apiVersion":"` + version + `","status":{"authenticated":true,`; !strings.HasPrefix(w.Body.String(), start) {
			t.Errorf("got %s, want %s…", w.Body, start)
		}
	}
}

// broken is a connection that was lost.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// ending is the end of a body, and calls a function when it is read.
type ending func()

func (f ending) Read([]byte) (int, error) {
	f()
	return 0, io.EOF
}

// H13: the answer has the kind and the status, and the outcome no token.
func TestReviewHandlerAnswers(t *testing.T) {
	var outcomes []tokenreview.Event
	w := tokentest.NewWorld()
	h := newHandler(tokentest.NewAuthenticator(t, w, nil), tokenreview.HandlerConfig{
		Observe: func(_ context.Context, o tokenreview.Event) { outcomes = append(outcomes, o) },
	})
	token := tokentest.Mint(t, ecKey, tokentest.BoundClaims())
	post := func() *authenticationv1.TokenReview {
		t.Helper()
		rec := postReview(h, reviewBody(token, api, "x"))
		if rec.Code != 200 || strings.Contains(rec.Body.String(), token) || rec.Header().Get("Cache-Control") != "no-store" {
			t.Fatalf("HTTP %d %s", rec.Code, rec.Body)
		}
		var got authenticationv1.TokenReview
		dec := json.NewDecoder(rec.Body)
		dec.DisallowUnknownFields()
		if err := dec.Decode(&got); err != nil {
			t.Fatal(err)
		}
		return &got
	}
	if got := post(); !got.Status.Authenticated || got.Status.User.UID != "uid-of-builder" || !cmp.Equal(got.Status.Audiences, []string{api}) {
		t.Errorf("status %+v", got.Status)
	}
	delete(w.Pods, "ci/job")
	if got := post(); got.Status.Authenticated || got.Status.Error == "" || len(got.Status.Audiences) > 0 {
		t.Errorf("status %+v, want the refusal at the very next request", got.Status)
	}
	w.Err = errors.New("no connection to 10.0.0.1") // H12
	if got := post(); got.Status.Authenticated || got.Status.Error != "tokens: the token could not be verified, try again" {
		t.Errorf("status %+v, want that it could not be verified", got.Status)
	}
	postReview(h, "x")
	if len(outcomes) != 4 || !outcomes[0].Authenticated || outcomes[0].Username != "system:serviceaccount:ci:builder" || outcomes[0].Err != nil ||
		outcomes[1].Authenticated || outcomes[3].HTTPStatus != 400 || outcomes[3].Err == nil {
		t.Errorf("outcomes %+v", outcomes)
	}
	if _, ok := errors.AsType[*tokens.InvalidError](outcomes[1].Err); !ok {
		t.Errorf("observed %v, want an InvalidError", outcomes[1].Err)
	}
	if _, ok := errors.AsType[*tokens.UnavailableError](outcomes[2].Err); !ok {
		t.Errorf("observed %v, want an UnavailableError", outcomes[2].Err)
	}
	if all := fmt.Sprintf("%+v", outcomes); strings.Contains(all, token) {
		t.Errorf("the outcomes hold the token: %s", all)
	}

}

// H08
func TestReviewHandlerSurvivesAPanic(t *testing.T) {
	panics := true
	var outcome tokenreview.Event
	w := tokentest.NewWorld()
	h := newHandler(tokentest.NewAuthenticator(t, w, func(cfg *tokens.AuthenticatorConfig) {
		cfg.ServiceAccounts = tokentest.AccountFunc(func(context.Context) (*corev1.ServiceAccount, error) {
			if panics {
				panic("s3cr3t")
			}
			return w.Accounts["ci/builder"], nil
		})
	}), tokenreview.HandlerConfig{MaxConcurrent: 1, Observe: func(_ context.Context, o tokenreview.Event) { outcome = o }})
	body := reviewBody(tokentest.Mint(t, ecKey, tokentest.BoundClaims()))
	for range 3 { // a slot that leaked would block the second
		rec := postReview(h, body)
		if rec.Code != 200 || strings.Contains(rec.Body.String(), "true") || strings.Contains(rec.Body.String(), "s3cr3t") || strings.Contains(rec.Body.String(), "goroutine") {
			t.Fatalf("HTTP %d %s", rec.Code, rec.Body)
		}
		if outcome.Panic != "s3cr3t" || len(outcome.Stack) == 0 || outcome.Authenticated || outcome.Err == nil {
			t.Errorf("observed %+v, want the panic", outcome)
		}
	}
	panics = false
	if rec := postReview(h, body); !strings.Contains(rec.Body.String(), `"authenticated":true`) {
		t.Errorf("the next request got %s", rec.Body)
	}
}

// A panicking Verifier does so for every token.
type panicking struct{}

func (panicking) Authenticate(context.Context, string, ...string) (*tokens.Identity, error) {
	panic("s3cr3t")
}

// H08: a Verifier that panics itself rejects the token, as a getter does.
func TestReviewHandlerSurvivesAVerifier(t *testing.T) {
	var event tokenreview.Event
	h := newHandler(panicking{}, tokenreview.HandlerConfig{Observe: func(_ context.Context, e tokenreview.Event) { event = e }})
	const text = "tokens: the token could not be verified, try again"
	const want = `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","status":{"user":{},"error":"` + text + `"}}` + "\n"
	if rec := postReview(h, reviewBody("x")); rec.Code != 200 || rec.Body.String() != want {
		t.Errorf("got HTTP %d %s, want %s", rec.Code, rec.Body, want)
	}
	if event.Panic != "s3cr3t" || len(event.Stack) == 0 || event.Err == nil || event.Err.Error() != text {
		t.Errorf("observed %+v, want the panic, and an error without it", event)
	}
}

// H09, H10: what is judged at once, what waits and what is turned away is
// bounded, and ends with its time.
func TestReviewHandlerFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		running, most := 0, 0
		h := newHandler(tokentest.NewAuthenticator(t, tokentest.NewWorld(), func(cfg *tokens.AuthenticatorConfig) {
			cfg.ServiceAccounts = tokentest.AccountFunc(func(ctx context.Context) (*corev1.ServiceAccount, error) {
				mu.Lock()
				running++
				most = max(most, running)
				mu.Unlock()
				<-ctx.Done() // a backend that doesn't answer
				mu.Lock()
				running--
				mu.Unlock()
				return nil, ctx.Err()
			})
		}), tokenreview.HandlerConfig{MaxConcurrent: 2, Timeout: time.Second})
		body := reviewBody(tokentest.Mint(t, ecKey, tokentest.BoundClaims()))
		for range 2 { // the second time, all places are free again
			start := time.Now()
			codes := map[int]int{}
			var wg sync.WaitGroup
			for range 100 {
				wg.Go(func() {
					rec := postReview(h, body)
					mu.Lock()
					defer mu.Unlock()
					codes[rec.Code]++
					if strings.Contains(rec.Body.String(), "true") {
						t.Error("authenticated")
					}
					if retry := rec.Header().Get("Retry-After"); (retry == "1") != (rec.Code == 429) {
						t.Errorf("HTTP %d has the header Retry-After: %q", rec.Code, retry)
					}
				})
			}
			synctest.Wait()
			mu.Lock()
			if codes[429] != 90 || running != 2 {
				t.Errorf("at once: answers %v, %d are judged; want 90 turned away and 2 judged", codes, running)
			}
			mu.Unlock()
			wg.Wait()
			if most > 2 || time.Since(start) != time.Second {
				t.Errorf("%d at once, all ended after %v; want at most 2 and a second", most, time.Since(start))
			}
			if codes[200]+codes[429] != 100 || codes[200] < 2 {
				t.Errorf("answers %v", codes)
			}
		}
		for range 20 { // more than wait at once
			if rec := postReview(h, body); rec.Code != 200 {
				t.Fatalf("one after the other: HTTP %d %s, want an answer", rec.Code, rec.Body)
			}
		}
	})
}

// H09: the defaults.
func TestReviewHandlerDefaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, turnedAway atomic.Int32
		h := newHandler(verifierFunc(func(ctx context.Context) {
			running.Add(1)
			<-ctx.Done()
		}), tokenreview.HandlerConfig{})
		start := time.Now()
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				if rec := postReview(h, reviewBody("x"), func(r *http.Request) { r.URL.RawQuery = "" }); rec.Code == 429 {
					turnedAway.Add(1)
				}
			})
		}
		synctest.Wait()
		if running.Load() != 128 || turnedAway.Load() != 1000-5*128 {
			t.Errorf("%d tokens are authenticated, %d requests were turned away, want 128 and 360", running.Load(), turnedAway.Load())
		}
		wg.Wait()
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("the last answer came after %v, want 10 s", took)
		}
	})
}

// A verifierFunc rejects each token once it has returned.
type verifierFunc func(ctx context.Context)

func (f verifierFunc) Authenticate(ctx context.Context, _ string, _ ...string) (*tokens.Identity, error) {
	f(ctx)
	return nil, errors.New("no")
}

// H10
func TestReviewHandlerInParallel(t *testing.T) {
	h := newHandler(tokentest.NewAuthenticator(t, tokentest.NewWorld(), nil), tokenreview.HandlerConfig{MaxConcurrent: 1000})
	good, bad := reviewBody(tokentest.Mint(t, ecKey, tokentest.BoundClaims())), reviewBody(tokentest.Mint(t, otherKey, tokentest.BoundClaims()))
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			rec := postReview(h, []string{good, bad}[i%2])
			if got := strings.Contains(rec.Body.String(), `"authenticated":true`); rec.Code != 200 || got != (i%2 == 0) {
				t.Errorf("HTTP %d %s", rec.Code, rec.Body)
			}
		})
	}
	wg.Wait()
}

// H04, H07: whatever the body, the answer is one of the documented ones, and
// yes only to a token that is in the body.
func FuzzReviewHandler(f *testing.F) {
	token := tokentest.Mint(f, ecKey, tokentest.BoundClaims())
	f.Add(reviewBody("x"))
	f.Add(reviewBody(token, api))
	f.Add(`{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":"a.b.c","audiences":["\ud800"]}}`)
	h := newHandler(tokentest.NewAuthenticator(f, tokentest.NewWorld(), nil), tokenreview.HandlerConfig{})
	f.Fuzz(func(t *testing.T, body string) {
		rec := postReview(h, body)
		switch rec.Code {
		case 200, 400, 413:
		default:
			t.Fatalf("HTTP %d %s", rec.Code, rec.Body)
		}
		if !strings.Contains(rec.Body.String(), `"authenticated":true`) {
			return
		}
		var review authenticationv1.TokenReview
		if err := json.Unmarshal([]byte(body), &review); err != nil || review.Spec.Token != token {
			t.Fatalf("authenticated %q, which encoding/json reads otherwise: %v", body, err)
		}
	})
}

func TestNewHandlerRefuses(t *testing.T) {
	_, err := tokenreview.NewHandler(tokenreview.HandlerConfig{MaxBytes: -1, Timeout: -1, MaxConcurrent: -1})
	for _, want := range []string{"tokenreview: HandlerConfig.Verifier is required", "MaxBytes is -1", "Timeout is -1ns", "MaxConcurrent is -1"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("NewHandler() = %v, want %q", err, want)
		}
	}
	_, err = tokenreview.NewHandler(tokenreview.HandlerConfig{Verifier: (*tokens.Authenticator)(nil)})
	if e, ok := errors.AsType[*tokenreview.ConfigError](err); !ok || e.Field != "Verifier" {
		t.Errorf("NewHandler() = %v, want a ConfigError of Verifier", err)
	}
}
