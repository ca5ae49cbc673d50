package discovery_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/discovery"
	"github.com/kubesa/serviceaccount/keys/internal/keystest"
)

func get(t *testing.T, h http.Handler, method, target string, header http.Header) (*http.Response, string) {
	t.Helper()
	req := httptest.NewRequest(method, target, nil)
	for name, values := range header {
		req.Header[name] = values
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	resp := w.Result()
	return resp, string(keystest.Must(io.ReadAll(resp.Body)))
}

// KEY-39a, KEY-39b, KEY-39c, SECURITY K12: what is asked for, and how, decides on the status
// and on nothing else.
func TestPublisherHandler(t *testing.T) {
	d := newPublisher(t, discovery.PublisherConfig{Issuer: issuer, ExternalAddress: "h", Keys: keystest.Must(keys.NewSet(keystest.P256Key()))})
	config, jwks := d.Documents()
	const (
		configPath = "/.well-known/openid-configuration"
		jwksPath   = "/openid/v1/jwks"
	)
	accept := func(values ...string) http.Header { return http.Header{"Accept": values} }
	tests := []struct {
		name, method, target string
		header               http.Header
		status               int
		body                 []byte
	}{
		{"config", "GET", configPath, nil, 200, config},
		{"keys", "GET", jwksPath, nil, 200, jwks},
		{"config with a slash", "GET", configPath + "/", nil, 200, config},
		{"keys with a slash", "GET", jwksPath + "/", nil, 200, jwks},
		{"query and fragment", "GET", jwksPath + "?a=b#c", nil, 200, jwks},
		{"anything", "GET", jwksPath, accept("*/*"), 200, jwks},
		{"any application", "GET", jwksPath, accept("text/html, application/*;q=0.1"), 200, jwks},
		{"its type", "GET", jwksPath, accept("application/jwk-set+json"), 200, jwks},
		{"its type, in another case", "GET", configPath, accept("text/html", "Application/JSON; charset=utf-8"), 200, config},
		{"empty Accept", "GET", configPath, accept(""), 200, config},
		{"body asked for compressed", "GET", configPath, http.Header{"Accept-Encoding": {"gzip"}}, 200, config},
		{"other hosts", "GET", configPath, http.Header{"Host": {"evil"}, "X-Forwarded-Host": {"evil"}, "X-Forwarded-Proto": {"http"}, "Forwarded": {"host=evil"}}, 200, config},
		{"another Host", "GET", "http://evil" + configPath, nil, 200, config},
		{"large header", "GET", configPath, http.Header{"X-Large": {strings.Repeat("x", 1<<20)}}, 200, config},

		{"POST", "POST", configPath, nil, 405, nil},
		{"HEAD", "HEAD", jwksPath, nil, 405, nil},
		{"OPTIONS", "OPTIONS", jwksPath, nil, 405, nil},
		{"text", "GET", configPath, accept("text/plain"), 406, nil},
		{"yaml", "GET", configPath, accept("application/yaml"), 406, nil},
		{"json for keys", "GET", jwksPath, accept("application/json"), 406, nil},
		{"refused by weight", "GET", configPath, accept("application/json;q=0"), 406, nil},
		{"garbage", "GET", configPath, accept("/;;="), 406, nil},
		{"broken parameter", "GET", configPath, accept("application/json; charset"), 406, nil},
		{"folder", "GET", "/.well-known", nil, 404, nil},
		{"folder with a slash", "GET", "/.well-known/", nil, 404, nil},
		{"folder of keys", "GET", "/openid/v1", nil, 404, nil},
		{"below keys", "GET", jwksPath + "/foo", nil, 404, nil},
		{"two slashes", "GET", jwksPath + "//", nil, 404, nil},
		{"dots", "GET", "/openid/../openid/v1/jwks", nil, 404, nil},
		{"root", "GET", "/", nil, 404, nil},
		{"POST elsewhere", "POST", "/", nil, 404, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp, body := get(t, d, tt.method, tt.target, tt.header)
			if resp.StatusCode != tt.status {
				t.Fatalf("status %d, want %d", resp.StatusCode, tt.status)
			}
			if strings.Contains(body, "evil") {
				t.Errorf("the answer has what the request had: %s", body)
			}
			if tt.status == 405 && resp.Header.Get("Allow") != "GET" {
				t.Errorf("Allow: %q", resp.Header.Get("Allow"))
			}
			if tt.status != 200 {
				if resp.Header.Get("Etag") != "" || resp.Header.Get("Cache-Control") != "" || strings.Count(body, "\n") != 1 || strings.Contains(body, "{") {
					t.Errorf("a refusal may be cached, or is more than a line: %v\n%s", resp.Header, body)
				}
				return
			}
			if diff := cmp.Diff(string(tt.body), body); diff != "" {
				t.Errorf("the body (-want +got):\n%s", diff)
			}
			contentType := "application/json"
			if strings.HasPrefix(body, `{"keys"`) {
				contentType = "application/jwk-set+json"
			}
			want := http.Header{
				"Content-Type": {contentType}, "Cache-Control": {"public, max-age=3600"}, "X-Content-Type-Options": {"nosniff"},
				"Etag": resp.Header["Etag"], "Content-Length": resp.Header["Content-Length"],
			}
			if diff := cmp.Diff(want, resp.Header); diff != "" {
				t.Errorf("the header (-want +got):\n%s", diff)
			}
		})
	}
}

// A client that has the document gets none, until it has changed.
func TestPublisherETag(t *testing.T) {
	clock := keystest.NewClock()
	source := &changingSource{keys: []keys.PublicKey{public(keystest.P256Key())}, maxAge: 90*time.Second + time.Millisecond}
	d := newPublisher(t, discovery.PublisherConfig{Issuer: issuer, ExternalAddress: "h", Keys: source, Now: clock.Now})
	resp, _ := get(t, d, "GET", discovery.JWKSPath, nil)
	etag := resp.Header.Get("Etag")
	for _, tt := range []struct {
		match  string
		status int
	}{
		{etag, 304}, {"W/" + etag, 304}, {`"x", ` + etag, 304}, {"*", 304},
		{`"x"`, 200}, {strings.Trim(etag, `"`), 200}, {"", 200},
	} {
		resp, body := get(t, d, "GET", discovery.JWKSPath, http.Header{"If-None-Match": {tt.match}})
		if resp.StatusCode != tt.status || (body == "") != (tt.status == 304) || resp.Header.Get("Etag") != etag || resp.Header.Get("Cache-Control") != "public, max-age=90" {
			t.Errorf("If-None-Match: %s: status %d, want %d; %v", tt.match, resp.StatusCode, tt.status, resp.Header)
		}
	}
	source.set(nil, public(keystest.P384Key()))
	clock.Add(time.Second)
	if resp, _ := get(t, d, "GET", discovery.JWKSPath, http.Header{"If-None-Match": {etag}}); resp.StatusCode != 200 {
		t.Errorf("status %d after a change, want 200", resp.StatusCode)
	}
	// The same keys make the same ETag, in whatever process.
	source.set(nil, public(keystest.P256Key()))
	clock.Add(time.Second)
	if resp, _ := get(t, d, "GET", discovery.JWKSPath, nil); resp.Header.Get("Etag") != etag {
		t.Errorf("Etag %s, want %s as before", resp.Header.Get("Etag"), etag)
	}
}

// KEY-39: requests notice changes, ask the source once a second at most, and
// get the last documents if it fails.
func TestPublisherFollowsTheSource(t *testing.T) {
	clock := keystest.NewClock()
	source := &changingSource{keys: []keys.PublicKey{public(keystest.P256Key())}}
	d := newPublisher(t, discovery.PublisherConfig{Issuer: issuer, ExternalAddress: "h", Keys: source, Now: clock.Now})
	check := func(want string, asked int) {
		t.Helper()
		resp, body := get(t, d, "GET", discovery.JWKSPath, nil)
		if resp.StatusCode != 200 {
			t.Fatalf("status %d", resp.StatusCode)
		}
		if got := keystest.Algorithms(t, keystest.Must(keys.ParseJWKS([]byte(body)))); got != want || source.asked != asked {
			t.Errorf("the keys are %s, want %s; the source was asked %d times, want %d", got, want, source.asked, asked)
		}
	}
	check("ES256", 1)
	source.set(nil, public(keystest.P256Key()), public(keystest.RSAKey()))
	clock.Add(999 * time.Millisecond)
	check("ES256", 1)
	clock.Add(time.Millisecond)
	check("ES256 RS256", 2)
	check("ES256 RS256", 2)
	source.set(errors.New("the line is cut"))
	clock.Add(time.Second)
	check("ES256 RS256", 3)
	check("ES256 RS256", 3)
	clock.Add(-time.Hour) // a clock that is set back doesn't stop it
	source.set(nil, public(keystest.P521Key()))
	check("ES512", 4)
}

// The first requests wait for the keys, however many they are.
func TestPublisherFirstRequests(t *testing.T) {
	source := &changingSource{keys: []keys.PublicKey{public(keystest.P256Key())}}
	d := keystest.Must(discovery.NewPublisher(discovery.PublisherConfig{Issuer: issuer, ExternalAddress: "h", Keys: source}))
	var clients sync.WaitGroup
	for range 50 {
		clients.Go(func() {
			if resp, _ := get(t, d, "GET", discovery.JWKSPath, nil); resp.StatusCode != 200 {
				t.Errorf("status %d, want 200", resp.StatusCode)
			}
		})
	}
	clients.Wait()
	if source.asked != 1 {
		t.Errorf("the source was asked %d times, want once", source.asked)
	}
}

// Observe is told of each time the source was asked; a source that panics or hangs is an
// error, and the documents stay.
func TestPublisherObserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events []keys.Event
		ask := func(context.Context) ([]keys.PublicKey, error) {
			return []keys.PublicKey{public(keystest.P256Key())}, nil
		}
		d := newPublisher(t, discovery.PublisherConfig{Issuer: issuer, ExternalAddress: "h",
			Keys:    contextSource(func(ctx context.Context) ([]keys.PublicKey, error) { return ask(ctx) }),
			Observe: func(_ context.Context, e keys.Event) { events = append(events, e) }})
		release := make(chan struct{})
		for _, f := range []func(context.Context) ([]keys.PublicKey, error){
			func(context.Context) ([]keys.PublicKey, error) { panic("secret") },
			func(context.Context) ([]keys.PublicKey, error) { <-release; return nil, nil },
		} {
			ask = f
			time.Sleep(time.Second)
			if resp, body := get(t, d, "GET", discovery.JWKSPath, nil); resp.StatusCode != 200 || !strings.Contains(body, "ES256") {
				t.Errorf("status %d, %s, want the last documents", resp.StatusCode, body)
			}
			time.Sleep(30 * time.Second) // which the source has
			synctest.Wait()
			if err := d.Err(); err == nil || strings.Contains(err.Error(), "secret") {
				t.Errorf("Err() = %v, want an error without the panic's value", err)
			}
		}
		close(release)
		if len(events) != 3 || !events[0].Changed || events[0].Keys != 1 || events[0].Err != nil ||
			events[1].Err == nil || events[1].Changed || !errors.Is(events[2].Err, context.DeadlineExceeded) || events[2].Took != 5*time.Second {
			t.Errorf("Observe got %d events, want a change, a panic and a timeout", len(events))
		}
	})
}

// A contextSource is a Source of one func.
type contextSource func(context.Context) ([]keys.PublicKey, error)

func (f contextSource) PublicKeys(ctx context.Context, _ string) ([]keys.PublicKey, error) {
	return f(ctx)
}

func TestPublisherConcurrent(t *testing.T) {
	source := &changingSource{keys: []keys.PublicKey{public(keystest.P256Key())}}
	clock := keystest.NewClock()
	d := newPublisher(t, discovery.PublisherConfig{Issuer: issuer, ExternalAddress: "h", Keys: source, Now: clock.Now})
	dir := t.TempDir()
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			for range 50 {
				clock.Add(300 * time.Millisecond)
				source.set(nil, public([]any{keystest.P256Key(), keystest.P384Key()}[i%2]))
				if resp, body := get(t, d, "GET", discovery.JWKSPath, nil); resp.StatusCode != 200 || !strings.HasPrefix(body, `{"keys":[{`) {
					t.Errorf("status %d, %s", resp.StatusCode, body)
				}
				if i == 0 {
					if err := d.Publish(dir); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	clients.Wait()
}

func BenchmarkPublisher(b *testing.B) {
	d := newPublisher(b, discovery.PublisherConfig{Issuer: issuer, ExternalAddress: "h", Keys: keystest.Must(keys.NewSet(keystest.P256Key(), keystest.RSAKey()))})
	req := httptest.NewRequest("GET", discovery.JWKSPath, nil)
	b.ReportAllocs()
	for b.Loop() {
		d.ServeHTTP(httptest.NewRecorder(), req)
	}
}
