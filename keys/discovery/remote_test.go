package discovery_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/discovery"
	"github.com/kubesa/serviceaccount/keys/internal/keystest"
)

// A publisher answers requests to https://issuer.example without a network. Its
// handler may be changed.
type publisher struct {
	mu       sync.Mutex
	handler  http.HandlerFunc
	requests []string // "path authorization"
}

func (p *publisher) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	handler := p.handler
	p.requests = append(p.requests, strings.TrimSpace(r.URL.String()+" "+r.Header.Get("Authorization")))
	p.mu.Unlock()
	w := httptest.NewRecorder()
	done := make(chan struct{})
	go func() { defer close(done); handler(w, r) }()
	select {
	case <-done:
		return w.Result(), nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

func (p *publisher) set(handler http.HandlerFunc) { p.mu.Lock(); p.handler = handler; p.mu.Unlock() }

func (p *publisher) count() int { p.mu.Lock(); defer p.mu.Unlock(); return len(p.requests) }

func answer(contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		io.WriteString(w, body)
	}
}

// publish answers with the documents of an issuer that has the given keys.
func publish(t *testing.T, public ...crypto.PublicKey) http.HandlerFunc {
	t.Helper()
	set, err := keys.NewSet(public...)
	if err != nil {
		t.Fatal(err)
	}
	return newPublisher(t, discovery.PublisherConfig{Issuer: "https://issuer.example", JWKSURI: "https://issuer.example/openid/v1/jwks", Keys: set}).ServeHTTP
}

func fail(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func newRemote(t *testing.T, cfg discovery.RemoteConfig) *discovery.Remote {
	t.Helper()
	r, err := discovery.NewRemote(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// K12: each way in which a server can misbehave is an error that says so, and
// gives no key.
func TestRemoteMisbehavingServers(t *testing.T) {
	key, id := keystest.KeyAndID(t)
	good := publish(t, key.Public())
	config := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == discovery.ConfigPath {
				answer("application/json", body)(w, r)
				return
			}
			good(w, r)
		}
	}
	jwks := func(h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == discovery.JWKSPath {
				h(w, r)
				return
			}
			good(w, r)
		}
	}
	tests := []struct {
		name    string
		handler http.HandlerFunc
		want    string
	}{
		{"500", fail(500), "answered 500"},
		{"404", fail(404), "answered 404"},
		{"400", fail(400), "answered 400"},
		{"399", fail(399), "answered 399, want 200: redirects are not followed"},
		{"redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://elsewhere.example/", http.StatusFound)
		}, "https://issuer.example/.well-known/openid-configuration answered 302, want 200: redirects are not followed"},
		{"redirect of the keys", jwks(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://127.0.0.1/secret", http.StatusPermanentRedirect)
		}), "https://issuer.example/openid/v1/jwks answered 308, want 200: redirects are not followed"},
		{"299", fail(299), "answered 299, want 200"},
		{"no type and not JSON", jwks(answer("not a type", "secret")), "not a JSON object"},
		{"multiple choices", fail(300), "answered 300, want 200: redirects are not followed"},
		{"not modified", fail(304), "openid-configuration answered 304, want 200"},
		{"nothing", fail(204), "openid-configuration answered 204, want 200"},
		{"a part", fail(206), "openid-configuration answered 206, want 200"},
		{"HTML", answer("text/html", "<html>secret</html>"), `the discovery document is malformed: it is HTML or XML, from https://issuer.example/.well-known/openid-configuration, which answers with type "text/html"`},
		{"HTML for keys", jwks(answer("text/html", "<html>secret</html>")), `malformed JWK Set: not a JSON object: it is HTML or XML, from https://issuer.example/openid/v1/jwks, which answers with type "text/html"`},
		{"another coding", jwks(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "br")
			io.WriteString(w, "secret")
		}), `not a JSON object, from https://issuer.example/openid/v1/jwks, which answers with content coding "br"`},
		{"packed twice", jwks(answer("application/gzip", "\x1f\x8bsecret")), `not a JSON object: it is compressed with gzip, from https://issuer.example/openid/v1/jwks, which answers with type "application/gzip"`},
		{"byte order mark", config("\ufeff{}"), "the discovery document is malformed: it begins with a byte order mark"},
		{"keys for the configuration", config(`{"keys":[]}`), `no "issuer" that is a string`},
		{"no type and no document", answer("", "{}"), `no "issuer" that is a string`},
		{"issuer number", config(`{"issuer":7,"jwks_uri":"https://issuer.example/openid/v1/jwks"}`), `no "issuer" that is a string`},
		{"issuers", config(`{"issuer":["https://issuer.example"],"jwks_uri":"https://issuer.example/openid/v1/jwks"}`), `no "issuer" that is a string`},
		{"addresses of keys", config(`{"issuer":"https://issuer.example","jwks_uri":["https://issuer.example/openid/v1/jwks"]}`), `no "jwks_uri" that is a string`},
		{"relative address of keys", config(`{"issuer":"https://issuer.example","jwks_uri":"/openid/v1/jwks"}`), `the address of the keys: URL "/openid/v1/jwks", want an absolute one`},
		{"address without a scheme", config(`{"issuer":"https://issuer.example","jwks_uri":"//issuer.example/openid/v1/jwks"}`), `the address of the keys: URL "//issuer.example/openid/v1/jwks", want an absolute one`},
		{"address with a password", config(`{"issuer":"https://issuer.example","jwks_uri":"https://me:secret@issuer.example/"}`), `the address of the keys: URL "https://me:xxxxx@issuer.example/", want one with a host, without user and fragment`},
		{"address without a port", config(`{"issuer":"https://issuer.example","jwks_uri":"https://me:secret@issuer.example:x/"}`), "the address of the keys: not a valid URL"},
		{"address with a secret", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == discovery.ConfigPath {
				answer("", `{"issuer":"https://issuer.example","jwks_uri":"https://issuer.example/keys?sig=secret"}`)(w, r)
				return
			}
			panic(http.ErrAbortHandler)
		}, "getting https://issuer.example/keys?...: "},
		{"not JSON", config("secret"), "the discovery document is malformed: not a JSON object at byte 0"},
		{"truncated", config(`{"issuer":"https://issuer.example","jwks_uri":"ht`), "the discovery document is malformed: string without an end at byte 49"},
		{"two issuers", config(`{"issuer":"https://issuer.example","issuer":"https://issuer.example","jwks_uri":"https://issuer.example/openid/v1/jwks"}`), "the discovery document is malformed: duplicate name at byte 35"},
		{"issuer in capitals", config(`{"ISSUER":"https://issuer.example","jwks_uri":"https://issuer.example/openid/v1/jwks"}`), "the discovery document is malformed: name that differs from a known one only in case at byte 1"},
		{"no keys' address", config(`{"issuer":"https://issuer.example"}`), `no "jwks_uri"`},
		{"deep", config(strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100)), "the discovery document is malformed: nested too deeply at byte 80"},
		{"another issuer", config(`{"issuer":"https://evil.example","jwks_uri":"https://issuer.example/openid/v1/jwks"}`), `names the issuer "https://evil.example"`},
		{"issuer with a slash", config(`{"issuer":"https://issuer.example/","jwks_uri":"https://issuer.example/openid/v1/jwks"}`), `names the issuer "https://issuer.example/"`},
		{"keys over http", config(`{"issuer":"https://issuer.example","jwks_uri":"http://issuer.example/openid/v1/jwks"}`), "want https"},
		{"endless address of keys", config(`{"issuer":"https://issuer.example","jwks_uri":"http://issuer.example/` + strings.Repeat("x", 50<<10) + `"}`), "want https"},
		{"keys in a file", config(`{"issuer":"https://issuer.example","jwks_uri":"file:///etc/passwd"}`), "want https"},
		{"huge configuration", config(`{"issuer":"` + strings.Repeat("x", 65<<10) + `"}`), "more than 65536 bytes"},
		{"huge keys", jwks(answer("application/json", `{"keys":[],"x":"`+strings.Repeat("x", 1<<20)+`"}`)), "more than 1048576 bytes"},
		{"no keys", jwks(answer("application/json", `{"keys":[]}`)), "publishes no usable keys"},
		{"broken keys", jwks(answer("application/json", `{"keys":`)), "malformed JWK Set"},
		{"cut off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, `{"issuer":"https://issuer.example"`)
		}, "unexpected EOF"},
		{"hangs", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "deadline exceeded"},
		{"hangs in the middle", jwks(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, `{"keys":[`)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}), "deadline exceeded"},
		{"hangs up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
		{"shared key", jwks(answer("application/json", `{"keys":[{"kty":"oct","kid":"a","k":"c2VjcmV0"}]}`)), "no usable keys\nkeys: JWK Set: key #0 \"a\": unusable key: private or shared key"},
		{"useless keys", jwks(answer("application/json", `{"keys":[{},{},{},{}`+strings.Repeat(",{}", 1000)+`]}`)), "and 1001 more"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := network(t, tt.handler)
			timeout := 10 * time.Second
			if tt.want == "deadline exceeded" {
				timeout = 100 * time.Millisecond
			}
			r := newRemote(t, discovery.RemoteConfig{Issuer: "https://issuer.example", Transport: n, Timeout: timeout})
			keystest.WantUnavailable(t, r, id, tt.want)
			if err := r.Err(); !errors.Is(err, keys.ErrUnavailable) || strings.Contains(err.Error(), "secret") {
				t.Errorf("Err is %v, want ErrUnavailable without the answer's text", err)
			} else if len(err.Error()) > 1000 {
				t.Errorf("Err has %d bytes", len(err.Error()))
			} else if why := "redirects"; strings.Contains(err.Error(), why) != strings.Contains(tt.want, why) {
				t.Errorf("Err is %v, want %q", err, tt.want)
			} else if why := "which answers"; strings.Contains(err.Error(), why) != strings.Contains(tt.want, why) {
				t.Errorf("Err is %v, want %q", err, tt.want)
			}
			for _, request := range n.requests {
				if !strings.HasPrefix(request, "https://issuer.example/") {
					t.Errorf("asked %s", request)
				}
			}
		})
	}
}

// Documents are read up to their limits, to the byte, and an error names three keys.
func TestRemoteLimits(t *testing.T) {
	key, id := keystest.KeyAndID(t)
	good := publish(t, key.Public())
	const config = `{"issuer":"https://issuer.example","jwks_uri":"https://issuer.example/openid/v1/jwks","x":PADDING}`
	jwks := strings.Replace(string(keystest.Must(keystest.Must(keys.NewSet(key.Public())).JWKS())), "{", `{"x":PADDING,`, 1)
	filled := func(text string, size int) string {
		return strings.Replace(text, "PADDING", `"`+strings.Repeat("x", size-len(text)+len("PADDING")-2)+`"`, 1)
	}
	deep := func(n int) string {
		return strings.Replace(config, "PADDING", strings.Repeat("[", n-1)+strings.Repeat("]", n-1), 1)
	}
	skipped := func(n int) string { return `{"keys":[{}` + strings.Repeat(",{}", n-1) + `]}` }
	for _, tt := range []struct{ name, path, body, want string }{
		{"keys of 1 MiB", discovery.JWKSPath, filled(jwks, 1<<20), ""},
		{"a byte more", discovery.JWKSPath, filled(jwks, 1<<20+1), "https://issuer.example/openid/v1/jwks answered with more than 1048576 bytes"},
		{"configuration of 64 KiB", discovery.ConfigPath, filled(config, 64<<10), ""},
		{"a byte more of it", discovery.ConfigPath, filled(config, 64<<10+1), "https://issuer.example/.well-known/openid-configuration answered with more than 65536 bytes"},
		{"16 levels", discovery.ConfigPath, deep(16), ""},
		{"17 levels", discovery.ConfigPath, deep(17), "the discovery document is malformed: nested too deeply"},
		{"three keys left out", discovery.JWKSPath, skipped(3), `key #2: unusable key: no "kty"`},
		{"four keys left out", discovery.JWKSPath, skipped(4), "key #2: unusable key: no \"kty\"\nand 1 more"},
	} {
		n := network(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == tt.path {
				answer("application/json", tt.body)(w, r)
				return
			}
			good(w, r)
		})
		r := newRemote(t, discovery.RemoteConfig{Issuer: "https://issuer.example", Transport: n})
		list, err := r.PublicKeys(t.Context(), id)
		switch {
		case tt.want == "" && (err != nil || len(list) != 1):
			t.Errorf("%s: %d keys, %v, want the key", tt.name, len(list), err)
		case tt.want != "" && (err == nil || !strings.HasSuffix(err.Error(), tt.want) && !strings.Contains(err.Error(), tt.want+" at byte")):
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
}

// Object stores don't know the type of the documents. Who publishes them is told by
// the certificate, and what they are by what is in them.
func TestRemoteContentTypes(t *testing.T) {
	key, id := keystest.KeyAndID(t)
	good := publish(t, key.Public())
	for _, contentType := range []string{
		"", "application/json", "application/json; charset=utf-8", "application/jwk-set+json", "text/plain", "text/plain; charset=utf-8",
		"application/octet-stream", "binary/octet-stream", "text/json", "application/x-unknown", "text/html", "not a type",
	} {
		n := network(t, func(w http.ResponseWriter, r *http.Request) {
			body := httptest.NewRecorder()
			good(body, r)
			w.Header()["Content-Type"] = nil // not even a guess
			if contentType != "" {
				w.Header().Set("Content-Type", contentType)
			}
			w.Write(body.Body.Bytes())
		})
		r := newRemote(t, discovery.RemoteConfig{Issuer: "https://issuer.example", Transport: n})
		if list, err := r.PublicKeys(t.Context(), id); err != nil || len(list) != 1 {
			t.Errorf("type %q: %d keys, %v, want the key", contentType, len(list), err)
		}
	}
}

// Keys that can't be used don't take the others down; Observe gets the reasons.
func TestRemoteSkipsKeys(t *testing.T) {
	key, id := keystest.KeyAndID(t)
	good := keystest.Must(keystest.Must(keys.NewSet(key.Public())).JWKS())
	body := strings.Replace(string(good), `{"keys":[`, `{"keys":[{"kty":"OKP","kid":"o"},{"use":"enc","kty":"RSA"},`, 1)
	var last keys.Event
	r := newRemote(t, discovery.RemoteConfig{
		JWKSURL: "https://issuer.example/jwks", Transport: &publisher{handler: answer("application/json", body)},
		Observe: func(_ context.Context, e keys.Event) { last = e },
	})
	keystest.WantKnown(t, r, id, true)
	if r.Err() != nil || last.Keys != 1 || len(last.Skipped) != 2 {
		t.Fatalf("Err() = %v; Observe got %+v, want one key and two left out", r.Err(), last)
	}
	if e, ok := errors.AsType[*keys.JWKError](last.Skipped[0]); !ok || e.Index != 0 || e.ID != "o" || e.Err.Reason != keys.ReasonType {
		t.Errorf("Observe got %v, want key #0", last.Skipped[0])
	}
}

// A request says what it accepts, and leaves no answer open.
func TestRemoteRequests(t *testing.T) {
	key, id := keystest.KeyAndID(t)
	p := &publisher{}
	var accepted []string
	good := publish(t, key.Public())
	p.set(func(w http.ResponseWriter, r *http.Request) {
		accepted = append(accepted, r.Header.Get("Accept"))
		good(w, r)
	})
	bodies := &openBodies{RoundTripper: p}
	keystest.WantKnown(t, newRemote(t, discovery.RemoteConfig{Issuer: "https://issuer.example", Transport: bodies}), id, true)
	if got := strings.Join(accepted, "; "); got != "application/json; application/jwk-set+json, application/json" {
		t.Errorf("the requests accept %s", got)
	}
	if n := bodies.open.Load(); n != 0 {
		t.Errorf("%d answers are open", n)
	}
}

// openBodies counts the bodies that were not closed.
type openBodies struct {
	http.RoundTripper
	open atomic.Int32
}

func (o *openBodies) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := o.RoundTripper.RoundTrip(r)
	if err == nil {
		o.open.Add(1)
		resp.Body = &countedBody{resp.Body, o}
	}
	return resp, err
}

type countedBody struct {
	io.ReadCloser
	of *openBodies
}

func (b *countedBody) Close() error {
	b.of.open.Add(-1)
	return b.ReadCloser.Close()
}

// A recorder is a RoundTripper that notes what is asked.
type recorder struct {
	http.RoundTripper
	requests []string
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	r.requests = append(r.requests, req.URL.String())
	return r.RoundTripper.RoundTrip(req)
}

// network is one in which every host is a TLS server with handler.
func network(t *testing.T, handler http.HandlerFunc) *recorder {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	transport := server.Client().Transport.(*http.Transport).Clone()
	transport.TLSClientConfig.ServerName = "example.com" // which its certificate is for
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &recorder{RoundTripper: transport}
}

// The times at which keys are fetched, good and bad.
func TestRemoteOverTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, firstID := keystest.KeyAndID(t)
		second, secondID := keystest.KeyAndID(t)
		p := &publisher{handler: publish(t, first.Public())}
		var last keys.Event
		r := newRemote(t, discovery.RemoteConfig{Issuer: "https://issuer.example", Transport: p, Observe: func(_ context.Context, e keys.Event) { last = e }})
		wantEvent := func(want keys.Event) {
			t.Helper()
			synctest.Wait()
			if last.Keys != want.Keys || last.Changed != want.Changed || !errors.Is(last.Err, want.Err) {
				t.Errorf("Observe got %+v, want %+v", last, want)
			}
		}
		if p.count() != 0 {
			t.Fatal("NewRemote fetched")
		}
		keystest.WantKnown(t, r, firstID, true)
		wantRequests := func(n int) {
			t.Helper()
			synctest.Wait()
			if got := p.count(); got != n {
				t.Fatalf("%d requests, want %d: %q", got, n, p.requests)
			}
		}
		wantRequests(2) // the configuration and the keys
		wantEvent(keys.Event{Keys: 1, Changed: true})

		// Unknown keys cost one fetch in CoolDown, however many there are. Only who caused
		// it knows that there is no such key: others may have been published since.
		for i := range 100 {
			keystest.WantUnavailable(t, r, fmt.Sprint(i), "the key was not there 0s ago, they are fetched again in 10s")
		}
		wantRequests(2)
		time.Sleep(10 * time.Second)
		keystest.WantKnown(t, r, "new", false)
		for i := range 100 {
			keystest.WantUnavailable(t, r, fmt.Sprint(i), "the key was not there 0s ago")
		}
		wantRequests(4)
		wantEvent(keys.Event{Keys: 1})

		// A key that is new is found.
		p.set(publish(t, first.Public(), second.Public()))
		time.Sleep(10 * time.Second)
		keystest.WantKnown(t, r, secondID, true)
		wantRequests(6)
		wantEvent(keys.Event{Keys: 2, Changed: true})

		// Old keys are fetched again without anyone waiting; a retired one goes.
		p.set(publish(t, second.Public()))
		time.Sleep(5 * time.Minute)
		keystest.WantKnown(t, r, firstID, true)
		wantRequests(8)
		keystest.WantUnavailable(t, r, firstID, "the key was not there 0s ago")
		time.Sleep(10 * time.Second)
		keystest.WantKnown(t, r, firstID, false)

		// The last good keys outlast a failure, but not for ever.
		p.set(fail(500))
		time.Sleep(30 * time.Minute)
		keystest.WantKnown(t, r, secondID, true)
		synctest.Wait()
		if err := r.Err(); !errors.Is(err, keys.ErrUnavailable) {
			t.Fatalf("Err is %v, want the failure", err)
		}
		wantEvent(keys.Event{Keys: 1, Err: keys.ErrUnavailable})
		keystest.WantUnavailable(t, r, firstID, "answered 500") // nobody can say that it doesn't exist
		time.Sleep(30 * time.Minute)
		keystest.WantUnavailable(t, r, secondID, "answered 500")

		p.set(publish(t, second.Public()))
		time.Sleep(10 * time.Second)
		keystest.WantKnown(t, r, secondID, true)
		if r.Err() != nil {
			t.Errorf("Err is %v after a success", r.Err())
		}
	})
}

// A server may ask for less than RefreshEvery, and for no more than CoolDown. Keys are
// fetched again before they are too old, so that nobody waits for them.
func TestRemoteCacheControl(t *testing.T) {
	tests := []struct {
		header string
		want   time.Duration
		cfg    discovery.RemoteConfig
	}{
		{"max-age=60", time.Minute, discovery.RemoteConfig{}},
		{`public, MAX-AGE="60"`, time.Minute, discovery.RemoteConfig{}},
		{"max-age=99999999999999999999", 5 * time.Minute, discovery.RemoteConfig{}},
		{"max-age=86400", 5 * time.Minute, discovery.RemoteConfig{}},
		{"max-age=0", 10 * time.Second, discovery.RemoteConfig{}},
		{"no-store", 10 * time.Second, discovery.RemoteConfig{}},
		{"no-cache", 10 * time.Second, discovery.RemoteConfig{}},
		{"max-age=soon", 5 * time.Minute, discovery.RemoteConfig{}},
		{"", 5 * time.Minute, discovery.RemoteConfig{}},
		{"", 30 * time.Second, discovery.RemoteConfig{MaxAge: time.Minute}},
		{"", 30 * time.Minute, discovery.RemoteConfig{RefreshEvery: 2 * time.Hour}},
		{"max-age=0", 30 * time.Minute, discovery.RemoteConfig{CoolDown: 30 * time.Minute, RefreshEvery: time.Hour}},
	}
	for _, tt := range tests {
		t.Run(tt.header, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				key, id := keystest.KeyAndID(t)
				good := publish(t, key.Public())
				p := &publisher{handler: func(w http.ResponseWriter, r *http.Request) {
					body := httptest.NewRecorder()
					good(body, r)
					w.Header().Set("Cache-Control", tt.header)
					answer("application/json", body.Body.String())(w, r)
				}}
				tt.cfg.JWKSURL, tt.cfg.Transport = "https://issuer.example/openid/v1/jwks", p
				r := newRemote(t, tt.cfg)
				keystest.WantKnown(t, r, id, true)
				time.Sleep(tt.want - time.Nanosecond)
				keystest.WantKnown(t, r, id, true)
				synctest.Wait()
				if p.count() != 1 {
					t.Errorf("fetched before %v had passed", tt.want)
				}
				time.Sleep(time.Nanosecond)
				keystest.WantKnown(t, r, id, true)
				synctest.Wait()
				if p.count() != 2 {
					t.Errorf("not fetched after %v", tt.want)
				}
			})
		})
	}
}

func TestRemoteOneFetchAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key, id := keystest.KeyAndID(t)
		good := publish(t, key.Public())
		p := &publisher{handler: func(w http.ResponseWriter, r *http.Request) { time.Sleep(time.Second); good(w, r) }}
		r := newRemote(t, discovery.RemoteConfig{JWKSURL: "https://issuer.example/openid/v1/jwks", Transport: p})
		impatient, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		var group sync.WaitGroup
		group.Go(func() {
			if _, err := r.PublicKeys(impatient, id); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want the end of the context", err)
			}
		})
		for range 50 {
			group.Go(func() { keystest.WantKnown(t, r, id, true) })
		}
		group.Wait()
		if p.count() != 1 {
			t.Errorf("%d requests, want one, whoever has given up", p.count())
		}

		// A key that is known doesn't wait for a slow fetch.
		p.set(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		time.Sleep(5 * time.Minute)
		start := time.Now()
		keystest.WantKnown(t, r, id, true)
		if time.Since(start) != 0 {
			t.Error("it waited for the fetch")
		}
		keystest.WantUnavailable(t, r, "other", "the key is not known, and they are being fetched")
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("it waited %v for an unknown key, want 2s", took)
		}
		time.Sleep(10 * time.Second)
		keystest.WantUnavailable(t, r, "other", "deadline exceeded")
	})
}

// Made-up ids while fetches are slow: two calls wait, up to two seconds, and a thousand
// others return immediately, as do those with known ids.
func TestRemoteBoundsWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key, id := keystest.KeyAndID(t)
		p := &publisher{handler: publish(t, key.Public())}
		r := newRemote(t, discovery.RemoteConfig{JWKSURL: "https://issuer.example/openid/v1/jwks", Transport: p})
		keystest.WantKnown(t, r, id, true)
		p.set(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		time.Sleep(10 * time.Second)
		for range 3 { // whoever has waited makes room
			start := time.Now()
			var waited, returned atomic.Int32
			var group sync.WaitGroup
			for i := range 1000 {
				group.Go(func() {
					keystest.WantUnavailable(t, r, fmt.Sprint(i), "the key is not known, and they are being fetched")
					switch time.Since(start) {
					case 0:
						returned.Add(1)
					case 2 * time.Second:
						waited.Add(1)
					}
				})
			}
			group.Wait()
			if waited.Load() != 2 || returned.Load() != 998 {
				t.Errorf("%d of 1,000 waited 2s, and %d not at all; want 2 and 998", waited.Load(), returned.Load())
			}
			keystest.WantKnown(t, r, id, true)
		}
		// Whoever gives up makes room, too.
		for range 3 {
			time.Sleep(20 * time.Second)
			impatient, cancel := context.WithTimeout(t.Context(), time.Second)
			var group sync.WaitGroup
			for i := range 2 {
				group.Go(func() {
					start := time.Now()
					if _, err := r.PublicKeys(impatient, fmt.Sprint(i)); err != context.DeadlineExceeded || time.Since(start) != time.Second {
						t.Errorf("PublicKeys() = %v after %v, want the error of its context after 1s", err, time.Since(start))
					}
				})
			}
			group.Wait()
			cancel()
		}
		time.Sleep(20 * time.Second)
		// The first fetch of all is one for which everyone waits.
		fresh := newRemote(t, discovery.RemoteConfig{JWKSURL: "https://issuer.example/openid/v1/jwks", Transport: p})
		start := time.Now()
		var group sync.WaitGroup
		for range 100 {
			group.Go(func() {
				keystest.WantUnavailable(t, fresh, id, "deadline exceeded")
				if time.Since(start) != 10*time.Second {
					t.Errorf("it waited %v for the first fetch, want all of 10s", time.Since(start))
				}
			})
		}
		group.Wait()
	})
}

// Who joins a fetch that began before learns nothing for certain: the key may have been
// published since it began.
func TestRemoteJoiningCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, firstID := keystest.KeyAndID(t)
		second, secondID := keystest.KeyAndID(t)
		good := publish(t, first.Public())
		p := &publisher{handler: good}
		r := newRemote(t, discovery.RemoteConfig{JWKSURL: "https://issuer.example/openid/v1/jwks", Transport: p})
		keystest.WantKnown(t, r, firstID, true)
		p.set(func(w http.ResponseWriter, r *http.Request) { good(w, r); time.Sleep(time.Second) }) // read before the wait
		time.Sleep(10 * time.Second)
		var group sync.WaitGroup
		group.Go(func() { keystest.WantKnown(t, r, "made up", false) })
		synctest.Wait()
		p.set(publish(t, first.Public(), second.Public()))
		keystest.WantUnavailable(t, r, secondID, "the key was not there 1s ago, they are fetched again in 10s")
		group.Wait()
		time.Sleep(10 * time.Second)
		keystest.WantKnown(t, r, secondID, true)
	})
}

// The age of keys counts from the start of their fetch, by a clock that can't be set
// back.
func TestRemoteAge(t *testing.T) {
	for _, tt := range []struct {
		name string
		now  func(start time.Time) func() time.Time
		// slow is how long the fetch takes; wait after it.
		slow, wait time.Duration
		usable     bool
	}{
		{name: "young", now: system, slow: 9 * time.Second, wait: time.Hour - 9*time.Second - 1, usable: true},
		{name: "old since it was asked for", now: system, slow: 9 * time.Second, wait: time.Hour - 9*time.Second},
		{name: "wall clock set back in half an hour", now: setBack(30*time.Minute, 30*time.Minute), wait: time.Hour},
		{name: "wall clock set back a day", now: setBack(time.Minute, 24*time.Hour), wait: 2 * time.Minute},
		{name: "wall clock that stands still", now: func(start time.Time) func() time.Time { return func() time.Time { return start } }, wait: time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				key, id := keystest.KeyAndID(t)
				good := publish(t, key.Public())
				p := &publisher{handler: func(w http.ResponseWriter, r *http.Request) { time.Sleep(tt.slow); good(w, r) }}
				r := newRemote(t, discovery.RemoteConfig{
					JWKSURL: "https://issuer.example/openid/v1/jwks", Transport: p, Now: tt.now(time.Now().Round(0)),
					RefreshEvery: 3 * time.Hour, // when nothing else makes it fetch
				})
				keystest.WantKnown(t, r, id, true)
				p.set(fail(500))
				time.Sleep(tt.wait)
				if tt.usable {
					keystest.WantKnown(t, r, id, true)
				} else {
					keystest.WantUnavailable(t, r, id, "keys")
				}
			})
		})
	}
}

// Other keys, and keys under other ids, are a change; the same ones aren't.
func TestRemoteChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := keystest.NewKey().Public(), keystest.NewKey().Public()
		p := &publisher{}
		var changed bool
		r := newRemote(t, discovery.RemoteConfig{JWKSURL: "https://issuer.example/openid/v1/jwks", Transport: p,
			Observe: func(_ context.Context, e keys.Event) { changed = e.Changed }})
		for i, step := range []struct {
			id   string
			key  crypto.PublicKey
			want bool
		}{{"a", a, true}, {"a", a, false}, {"a", b, true}, {"b", b, true}, {"b", b, false}} {
			key := keystest.Must(keys.NewPublicKey(step.key))
			key.ID = step.id
			jwks, _, err := keys.EncodeJWKS([]keys.PublicKey{key})
			if err != nil {
				t.Fatal(err)
			}
			p.set(answer("application/json", string(jwks)))
			time.Sleep(10 * time.Second)
			keystest.WantKnown(t, r, "unknown", false)
			if changed != step.want {
				t.Errorf("step %d: Observe is told of a change: %t", i, changed)
			}
		}
	})
}

// Keys that are too old when they arrive say nothing of any.
func TestRemoteTooSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key, id := keystest.KeyAndID(t)
		good := publish(t, key.Public())
		p := &publisher{handler: func(w http.ResponseWriter, r *http.Request) { time.Sleep(2 * time.Second); good(w, r) }}
		var last keys.Event
		r := newRemote(t, discovery.RemoteConfig{JWKSURL: "https://issuer.example/openid/v1/jwks", Transport: p, MaxAge: time.Second,
			Observe: func(_ context.Context, e keys.Event) { last = e }})
		for _, id := range []string{id, "unknown"} {
			keystest.WantUnavailable(t, r, id, "there are none that are younger than 1s")
		}
		if last.Took != 2*time.Second || last.Err != nil {
			t.Errorf("Observe got %+v, want a fetch of 2s", last)
		}
	})
}

func system(time.Time) func() time.Time { return time.Now }

// setBack returns a wall clock that is set back once.
func setBack(after, by time.Duration) func(time.Time) func() time.Time {
	return func(start time.Time) func() time.Time {
		return func() time.Time {
			now := time.Now().Round(0)
			if now.Sub(start) >= after {
				now = now.Add(-by)
			}
			return now
		}
	}
}

func TestRemotePanics(t *testing.T) {
	for name, token := range map[string]func(context.Context) (string, error){
		"panic": func(context.Context) (string, error) { panic("secret") },
		"error": func(context.Context) (string, error) { return "", errors.New("nothing has panicked here") },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRemote(t, discovery.RemoteConfig{JWKSURL: "https://issuer.example/openid/v1/jwks", Transport: &publisher{}, BearerToken: token})
			keystest.WantUnavailable(t, r, "", "panicked")
			if strings.Contains(r.Err().Error(), "secret") {
				t.Errorf("Err is %v", r.Err())
			}
		})
	}
}

// The bearer token goes to the server that the caller has named, and no other.
func TestRemoteBearerToken(t *testing.T) {
	key, id := keystest.KeyAndID(t)
	good := publish(t, key.Public())
	token := func(context.Context) (string, error) { return "secret", nil }
	elsewhere := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == discovery.ConfigPath {
			answer("application/json", `{"issuer":"https://issuer.example","jwks_uri":"https://10.0.0.1:6443/openid/v1/jwks"}`)(w, r)
			return
		}
		good(w, r)
	}
	plain := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == discovery.ConfigPath {
			answer("application/json", `{"issuer":"https://issuer.example","jwks_uri":"http://issuer.example/openid/v1/jwks"}`)(w, r)
			return
		}
		good(w, r)
	}
	tests := []struct {
		name    string
		cfg     discovery.RemoteConfig
		handler http.HandlerFunc
		want    string
	}{
		{"keys over http", discovery.RemoteConfig{Issuer: "https://issuer.example", InsecureAllowHTTP: true}, plain,
			"https://issuer.example/.well-known/openid-configuration Bearer secret, http://issuer.example/openid/v1/jwks"},
		{"issuer", discovery.RemoteConfig{Issuer: "https://issuer.example"}, good,
			"https://issuer.example/.well-known/openid-configuration Bearer secret, https://issuer.example/openid/v1/jwks Bearer secret"},
		{"keys elsewhere", discovery.RemoteConfig{Issuer: "https://issuer.example"}, elsewhere,
			"https://issuer.example/.well-known/openid-configuration Bearer secret, https://10.0.0.1:6443/openid/v1/jwks"},
		{"address of the keys", discovery.RemoteConfig{JWKSURL: "https://10.0.0.1:6443/openid/v1/jwks"}, good, "https://10.0.0.1:6443/openid/v1/jwks Bearer secret"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := &publisher{handler: tt.handler}
			tt.cfg.Transport, tt.cfg.BearerToken = p, token
			keystest.WantKnown(t, newRemote(t, tt.cfg), id, true)
			if got := strings.Join(p.requests, ", "); got != tt.want {
				t.Errorf("asked %s\nwant %s", got, tt.want)
			}
		})
	}
	none := func(context.Context) (string, error) { return "", nil }
	p := &publisher{handler: good}
	r := newRemote(t, discovery.RemoteConfig{Issuer: "https://issuer.example", Transport: p, BearerToken: none})
	keystest.WantUnavailable(t, r, id, "getting a bearer token: the function BearerToken returned neither a token nor an error")
	if p.count() > 0 {
		t.Errorf("asked %q without a token", p.requests)
	}
}

func TestNewRemoteRefuses(t *testing.T) {
	tests := []struct {
		name string
		cfg  discovery.RemoteConfig
		want string
	}{
		{"nothing", discovery.RemoteConfig{}, "Issuer is empty, want a URL, or JWKSURL to be set"},
		{"http", discovery.RemoteConfig{Issuer: "http://issuer.example"}, "want https"},
		{"http keys", discovery.RemoteConfig{JWKSURL: "http://issuer.example"}, "want https"},
		{"ftp", discovery.RemoteConfig{JWKSURL: "ftp://issuer.example/", InsecureAllowHTTP: true}, `URL "ftp://issuer.example/", want https`},
		{"user", discovery.RemoteConfig{Issuer: "https://me:secret@issuer.example"}, "without user"},
		{"fragment", discovery.RemoteConfig{JWKSURL: "https://issuer.example/#x"}, "without user and fragment"},
		{"query", discovery.RemoteConfig{Issuer: "https://issuer.example/?x"}, "without a query"},
		{"empty query", discovery.RemoteConfig{Issuer: "https://issuer.example/?"}, `Issuer is "https://issuer.example/?", want a URL without a query and a fragment`},
		{"empty fragment", discovery.RemoteConfig{Issuer: "https://issuer.example#"}, "without a query and a fragment"},
		{"long cool-down", discovery.RemoteConfig{Issuer: "https://issuer.example", CoolDown: 30*time.Minute + 1}, "CoolDown is 30m0.000000001s, want at most half of MaxAge, 1h0m0s"},
		{"short age", discovery.RemoteConfig{Issuer: "https://issuer.example", MaxAge: 20*time.Second - 1, CoolDown: 10 * time.Second}, "CoolDown is 10s, want at most half of MaxAge, 19.999999999s"},
		{"no host", discovery.RemoteConfig{Issuer: "https:///x"}, "with a host"},
		{"only a port", discovery.RemoteConfig{Issuer: "https://:443"}, "with a host"},
		{"opaque", discovery.RemoteConfig{Issuer: "https:issuer.example"}, "with a host"},
		{"no scheme", discovery.RemoteConfig{JWKSURL: "issuer.example/jwks"}, `URL "issuer.example/jwks", want an absolute one`},
		{"no URL", discovery.RemoteConfig{Issuer: "https://%zz"}, "Issuer is not usable: not a valid URL"},
		{"no port", discovery.RemoteConfig{JWKSURL: "https://me:secret@issuer.example:x/"}, "JWKSURL is not usable: not a valid URL"},
		{"password with a slash", discovery.RemoteConfig{JWKSURL: "https://me:secret/1@issuer.example/"}, "JWKSURL is not usable: not a valid URL"},
		{"secret query", discovery.RemoteConfig{JWKSURL: "http://issuer.example/jwks?sig=secret"}, `URL "http://issuer.example/jwks?...", want https`},
		{"secret query of the issuer", discovery.RemoteConfig{Issuer: "https://issuer.example/?sig=secret"}, `Issuer is "https://issuer.example/?...", want a URL without a query`},
		{"negative", discovery.RemoteConfig{Issuer: "https://issuer.example", MaxAge: -1}, "MaxAge is -1ns, want 0 for the default"},
		{"negative times", discovery.RemoteConfig{Issuer: "https://issuer.example", Timeout: -1, CoolDown: -2, RefreshEvery: -3}, `Timeout is -1ns, want 0 for the default or a positive value
discovery: RemoteConfig.CoolDown is -2ns, want 0 for the default or a positive value
discovery: RemoteConfig.RefreshEvery is -3ns, want 0 for`},
		{"two transports", discovery.RemoteConfig{Issuer: "https://issuer.example", RootCAs: x509.NewCertPool(), Transport: &publisher{}}, "RootCAs is set together with Transport"},
		{"typed nil", discovery.RemoteConfig{Issuer: "https://issuer.example", Transport: (*publisher)(nil)}, "Transport is a nil *discovery_test.publisher"},
		{"two mistakes", discovery.RemoteConfig{JWKSURL: "http://issuer.example", Timeout: -1}, "want https\ndiscovery: RemoteConfig.Timeout is -1ns"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := discovery.NewRemote(tt.cfg)
			if _, ok := errors.AsType[*discovery.ConfigError](err); !ok || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v, want ConfigErrors with %q", err, tt.want)
			}
		})
	}
}

// A server that speaks HTTP/2 is asked by it, and one that sends a huge header isn't heard.
func TestRemoteTransport(t *testing.T) {
	key, id := keystest.KeyAndID(t)
	good := publish(t, key.Public())
	var proto atomic.Int32
	header := ""
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proto.Store(int32(r.ProtoMajor))
		w.Header().Set("X", header)
		good(w, r)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	trusted := x509.NewCertPool()
	trusted.AddCert(server.Certificate())
	cfg := discovery.RemoteConfig{JWKSURL: server.URL + discovery.JWKSPath, RootCAs: trusted}
	keystest.WantKnown(t, newRemote(t, cfg), id, true)
	if proto.Load() != 2 {
		t.Errorf("asked by HTTP/%d, want 2", proto.Load())
	}
	header = strings.Repeat("x", 100<<10)
	keystest.WantUnavailable(t, newRemote(t, cfg), id, "getting https://")
}

// Over real connections: the certificate is checked against RootCAs, and plain
// http works only if it is allowed.
func TestRemoteConnections(t *testing.T) {
	key, id := keystest.KeyAndID(t)
	good := publish(t, key.Public())
	var hits atomic.Int32
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { hits.Add(1); good(w, r) })
	secure := httptest.NewUnstartedServer(handler)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	plain := httptest.NewServer(handler)
	defer plain.Close()

	trusted := x509.NewCertPool()
	trusted.AddCert(secure.Certificate())
	keystest.WantKnown(t, newRemote(t, discovery.RemoteConfig{JWKSURL: secure.URL + discovery.JWKSPath, RootCAs: trusted}), id, true)
	keystest.WantKnown(t, newRemote(t, discovery.RemoteConfig{JWKSURL: plain.URL + discovery.JWKSPath, InsecureAllowHTTP: true}), id, true)
	before := hits.Load()
	keystest.WantUnavailable(t, newRemote(t, discovery.RemoteConfig{JWKSURL: secure.URL + discovery.JWKSPath, RootCAs: x509.NewCertPool()}), id, "certificate")
	if hits.Load() != before {
		t.Error("a server whose certificate is not trusted was asked")
	}
}

// Whatever a server answers, there is no panic and no error but ErrUnavailable, and
// keys only from the issuer that was asked for.
func FuzzRemote(f *testing.F) {
	const config = `{"issuer":"https://issuer.example","jwks_uri":"https://issuer.example/openid/v1/jwks"}`
	jwks := `{"keys":[{"use":"sig","kty":"EC","kid":"k","crv":"P-256","alg":"ES256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`
	f.Add(config, jwks)
	f.Add(`{"issuer":"https://evil.example","jwks_uri":"https://issuer.example/openid/v1/jwks"}`, jwks)
	f.Add(`{"issuer":"https://issuer.example","jwks_uri":"//issuer.example\n"}`, `{"keys":[]}`)
	f.Add(`[]`, `{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`)
	f.Fuzz(func(t *testing.T, config, jwks string) {
		p := &publisher{handler: func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == discovery.ConfigPath {
				answer("application/json", config)(w, r)
				return
			}
			answer("application/jwk-set+json", jwks)(w, r)
		}}
		r, err := discovery.NewRemote(discovery.RemoteConfig{Issuer: "https://issuer.example", Transport: p})
		if err != nil {
			t.Fatal(err)
		}
		list, err := r.PublicKeys(t.Context(), "")
		if err != nil && !errors.Is(err, keys.ErrUnavailable) || (err == nil) != (len(list) > 0) {
			t.Errorf("got %d keys and %v", len(list), err)
		}
		if len(list) > 0 && !strings.Contains(config, "issuer.example") {
			t.Errorf("got keys of %s", config)
		}
	})
}
