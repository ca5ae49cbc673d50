package discovery_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/discovery"
	"github.com/kubesa/serviceaccount/keys/internal/keystest"
)

const issuer = "https://kubernetes.default.svc"

// A changingSource is a Source that tests change.
type changingSource struct {
	mu     sync.Mutex
	keys   []keys.PublicKey
	err    error
	asked  int
	maxAge time.Duration
}

func (s *changingSource) PublicKeys(context.Context, string) ([]keys.PublicKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	return s.keys, s.err
}

func (s *changingSource) MaxAge() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.maxAge
}

func (s *changingSource) set(err error, list ...keys.PublicKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys, s.err = list, err
}

// newPublisher returns a Publisher that has asked its source.
func newPublisher(t testing.TB, cfg discovery.PublisherConfig) *discovery.Publisher {
	t.Helper()
	p, err := discovery.NewPublisher(cfg)
	if err == nil {
		err = p.Refresh(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func public(key any) keys.PublicKey {
	list, _ := keystest.Must(keys.NewSet(key)).PublicKeys(context.Background(), "")
	return list[0]
}

// KEY-30, KEY-31, KEY-37: the two documents, byte for byte.
func TestPublisherDocuments(t *testing.T) {
	list := keystest.Must(keys.ParsePublicKeys([]byte(keystest.UpstreamRSA + keystest.UpstreamEC)))
	set := keystest.Must(keys.NewSet(list...))
	for _, issuer := range []string{issuer, "https://example.com/", "https://", "https://user:word@example.com/a?", "HTTPS://example.com", "https://[::1]:6443/é"} {
		d := newPublisher(t, discovery.PublisherConfig{Issuer: issuer, ExternalAddress: "192.0.2.1:80", Keys: set})
		config, jwks := d.Documents()
		want := `{"issuer":"` + issuer + `","jwks_uri":"https://192.0.2.1:80/openid/v1/jwks","response_types_supported":["id_token"],` +
			`"subject_types_supported":["public"],"id_token_signing_alg_values_supported":["ES256","RS256"]}`
		if diff := cmp.Diff(want, string(config)); diff != "" {
			t.Errorf("the configuration (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(keystest.UpstreamJWKS, string(jwks)); diff != "" {
			t.Errorf("the keys (-want +got):\n%s", diff)
		}
		if err := d.Err(); err != nil {
			t.Errorf("Err() = %v", err)
		}
		config[0], jwks[0] = 'x', 'x' // copies, so that nobody else sees this
		if config, jwks := d.Documents(); config[0] != '{' || jwks[0] != '{' {
			t.Error("Documents() gives out what it serves")
		}
	}
}

// KEY-30: each algorithm once.
func TestPublisherAlgorithms(t *testing.T) {
	set := keystest.Must(keys.NewSet(keystest.P384Key(), keystest.RSAKey(), keystest.P384Key(), keystest.P521Key()))
	config, _ := newPublisher(t, discovery.PublisherConfig{Issuer: issuer, ExternalAddress: "h", Keys: set}).Documents()
	if want := `"id_token_signing_alg_values_supported":["ES384","ES512","RS256"]}`; !strings.HasSuffix(string(config), want) {
		t.Errorf("the configuration is %s, want it to end in %s", config, want)
	}
}

// KEY-34..36, SECURITY K13: every mistake is reported.
func TestNewPublisherRefuses(t *testing.T) {
	set := keystest.Must(keys.NewSet(keystest.P256Key()))
	tests := []struct {
		name   string
		change func(*discovery.PublisherConfig)
		want   string // without the name of the config, empty if it is good
	}{
		{"good", func(*discovery.PublisherConfig) {}, ""},
		{"URI and address", func(c *discovery.PublisherConfig) { c.JWKSURI = "https://example.com/keys?x=y" }, ""},
		{"host", func(c *discovery.PublisherConfig) { c.ExternalAddress = "h" }, ""},
		{"host and port", func(c *discovery.PublisherConfig) { c.ExternalAddress = "h:443" }, ""},
		{"IPv6", func(c *discovery.PublisherConfig) { c.ExternalAddress = "[::1]:6443" }, ""},
		{"trailing slash", func(c *discovery.PublisherConfig) { c.Issuer += "/" }, ""},
		{"no issuer", func(c *discovery.PublisherConfig) { c.Issuer = "" }, "Issuer is empty, want an https URL"},
		{"no URI and no address", func(c *discovery.PublisherConfig) { c.ExternalAddress = "" }, "JWKSURI is empty, want an https URL, or ExternalAddress to be set"},
		{"no source", func(c *discovery.PublisherConfig) { c.Keys = nil }, "Keys is required, want a keys.Source"},
		{"typed nil", func(c *discovery.PublisherConfig) { c.Keys = (*keys.Set)(nil) }, "Keys is required, want a keys.Source"},
		{"not a URL", func(c *discovery.PublisherConfig) { c.Issuer = "https://a b/" }, "Issuer is not a valid URL"},
		{"http", func(c *discovery.PublisherConfig) { c.Issuer = "http://example.com" }, `Issuer is "http://example.com", want an https URL`},
		{"no scheme", func(c *discovery.PublisherConfig) { c.Issuer = "example.com" }, `Issuer is "example.com", want an https URL`},
		{"query", func(c *discovery.PublisherConfig) { c.Issuer += "?a=b" }, `Issuer is "` + issuer + `?a=b", want a URL without query and fragment`},
		{"fragment", func(c *discovery.PublisherConfig) { c.Issuer += "#a" }, `Issuer is "` + issuer + `#a", want a URL without query and fragment`},
		{"JWKS http", func(c *discovery.PublisherConfig) { c.JWKSURI = "http://example.com" }, `JWKSURI is "http://example.com", want an https URL`},
		{"JWKS no scheme", func(c *discovery.PublisherConfig) { c.JWKSURI = "example.com" }, `JWKSURI is "example.com", want an https URL`},
		{"JWKS not a URL", func(c *discovery.PublisherConfig) { c.JWKSURI = "https://a b/" }, "JWKSURI is not a valid URL"},
		{"password and no port", func(c *discovery.PublisherConfig) { c.JWKSURI = "https://me:can/ary@h/" }, "JWKSURI is not a valid URL"},
		{"password without TLS", func(c *discovery.PublisherConfig) { c.JWKSURI = "http://me:canary@h/?canary" }, `JWKSURI is "http://me:xxxxx@h/?...", want an https URL`},
		{"address with a scheme", func(c *discovery.PublisherConfig) { c.ExternalAddress = "https://h" }, `ExternalAddress is "https://h", want a host with an optional port`},
		{"port without a host", func(c *discovery.PublisherConfig) { c.ExternalAddress = ":443" }, `ExternalAddress is ":443", want a host with an optional port`},
		{"address with a query", func(c *discovery.PublisherConfig) { c.ExternalAddress = "h?a" }, `ExternalAddress is "h?a", want a host with an optional port`},
		{"address with a space", func(c *discovery.PublisherConfig) { c.ExternalAddress = "h h" }, `ExternalAddress is "h h", want a host with an optional port`},
		{"address with a path", func(c *discovery.PublisherConfig) { c.ExternalAddress = "h/a" }, `ExternalAddress is "h/a", want a host with an optional port`},
		{"address with a user", func(c *discovery.PublisherConfig) { c.ExternalAddress = "u@h" }, `ExternalAddress is "u@h", want a host with an optional port`},
		{"nothing", func(c *discovery.PublisherConfig) { *c = discovery.PublisherConfig{} },
			"Issuer is empty, want an https URL\nJWKSURI is empty, want an https URL, or ExternalAddress to be set\nKeys is required, want a keys.Source"},
		{"two mistakes", func(c *discovery.PublisherConfig) { c.Issuer, c.JWKSURI = "http://a", "http://b" },
			"Issuer is \"http://a\", want an https URL\nJWKSURI is \"http://b\", want an https URL"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := discovery.PublisherConfig{Issuer: issuer, ExternalAddress: "h:443", Keys: set}
			tt.change(&cfg)
			_, err := discovery.NewPublisher(cfg)
			got := ""
			if err != nil {
				got = strings.ReplaceAll(err.Error(), "discovery: PublisherConfig.", "")
				if _, ok := errors.AsType[*discovery.ConfigError](err); !ok {
					t.Errorf("NewPublisher() = %T, want ConfigErrors", err)
				}
			}
			want := tt.want
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("NewPublisher() (-want +got):\n%s", diff)
			}
		})
	}
}

// KEY-36: the address of the keys is used as it is.
func TestPublisherJWKSURI(t *testing.T) {
	set := keystest.Must(keys.NewSet(keystest.P256Key()))
	const uri = "HTTPS://example.com:443/a/../keys?x=y#z"
	config, _ := newPublisher(t, discovery.PublisherConfig{Issuer: issuer, JWKSURI: uri, ExternalAddress: "h", Keys: set}).Documents()
	if want := `"jwks_uri":"` + uri + `"`; !strings.Contains(string(config), want) {
		t.Errorf("the configuration is %s, want %s", config, want)
	}
}

// KEY-32, KEY-33 (deviation), KEY-38: what isn't published is left out; a bad key
// is left out and reported; and without any there is no discovery.
func TestPublisherKeys(t *testing.T) {
	hidden := public(keystest.P384Key())
	hidden.Unpublished = true
	weak := keys.PublicKey{ID: "w", Algorithm: keys.RS256, Key: keystest.WeakKey().Public()}
	p224 := keys.PublicKey{ID: "p", Key: keystest.P224Key().Public()}
	ed := keys.PublicKey{ID: "e", Key: keystest.EdKey().Public()}
	private := keys.PublicKey{ID: "x", Key: keystest.P256Key()}
	const broken = "keys: could not marshal issuer discovery JSON, error: error constructing JWK for key #"
	const none = "keys: no keys provided for validating keyset"
	tests := []struct {
		name  string
		keys  []keys.PublicKey
		want  string // the algorithms
		bad   []string
		fails bool
	}{
		{"good", []keys.PublicKey{public(keystest.P256Key()), public(keystest.RSAKey())}, "ES256 RS256", nil, false},
		{"hidden", []keys.PublicKey{hidden, public(keystest.RSAKey())}, "RS256", nil, false},
		{"hidden only", []keys.PublicKey{hidden}, "", []string{none}, true},
		{"none", nil, "", []string{none}, true},
		{"bad ones", []keys.PublicKey{weak, public(keystest.P256Key()), p224, ed, {}, private}, "ES256", []string{
			broken + "0: unusable key: RSA modulus of 1024 bits, want 2048 to 8192",
			broken + "2: unknown private key curve, must be 256, 384, or 521: unusable key: ECDSA curve is none of P-256, P-384 and P-521",
			broken + "3: unknown public key type, must be *rsa.PublicKey, *ecdsa.PublicKey, or jose.OpaqueSigner: unusable key: type ed25519.PublicKey, want *rsa.PublicKey or *ecdsa.PublicKey",
			broken + "4: unknown public key type, must be *rsa.PublicKey, *ecdsa.PublicKey, or jose.OpaqueSigner: unusable key: no key",
			broken + "5: unknown public key type, must be *rsa.PublicKey, *ecdsa.PublicKey, or jose.OpaqueSigner: unusable key: type *ecdsa.PrivateKey, want *rsa.PublicKey or *ecdsa.PublicKey",
		}, false},
		{"bad ones only", []keys.PublicKey{p224}, "", []string{
			broken + "0: unknown private key curve, must be 256, 384, or 521: unusable key: ECDSA curve is none of P-256, P-384 and P-521", none,
		}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			source := &changingSource{keys: tt.keys}
			d := keystest.Must(discovery.NewPublisher(discovery.PublisherConfig{Issuer: issuer, ExternalAddress: "h", Keys: source}))
			err := d.Refresh(t.Context())
			if tt.fails {
				if config, jwks := d.Documents(); config != nil || jwks != nil || !errors.Is(err, keys.ErrNoKeys) {
					t.Fatalf("Refresh() = %v with the documents %s, %s, want ErrNoKeys and none", err, config, jwks)
				}
				if err := d.Publish(t.TempDir()); !errors.Is(err, keys.ErrNoKeys) {
					t.Errorf("Publish() = %v, want ErrNoKeys", err)
				}
				if resp, _ := get(t, d, "GET", discovery.JWKSPath, nil); resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "1" {
					t.Errorf("without keys: status %d, want 503 with Retry-After", resp.StatusCode)
				}
			} else {
				if (err == nil) != (d.Err() == nil) {
					t.Errorf("Refresh() = %v, and Err() = %v", err, d.Err())
				}
				config, jwks := d.Documents()
				if got := keystest.Algorithms(t, keystest.Must(keys.ParseJWKS(jwks))); got != tt.want {
					t.Errorf("the published keys are %s, want %s", got, tt.want)
				}
				if want := `:["` + strings.ReplaceAll(tt.want, " ", `","`) + `"]}`; !strings.HasSuffix(string(config), want) {
					t.Errorf("the configuration is %s, want %s at its end", config, want)
				}
			}
			var got []string
			if err != nil {
				got = strings.Split(err.Error(), "\n")
			}
			if diff := cmp.Diff(tt.bad, got); diff != "" {
				t.Errorf("the error (-want +got):\n%s", diff)
			}
		})
	}

	unreachable := errors.New("the line is cut")
	d := keystest.Must(discovery.NewPublisher(discovery.PublisherConfig{Issuer: issuer, ExternalAddress: "h", Keys: &changingSource{err: unreachable}}))
	if d.Err() == nil || d.Publish(t.TempDir()) == nil {
		t.Error("before Refresh(), Err() or Publish() = nil")
	}
	if err := d.Refresh(t.Context()); !errors.Is(err, unreachable) || errors.Is(err, keys.ErrNoKeys) {
		t.Errorf("Refresh() = %v, want %v", err, unreachable)
	}
}

// KEY-39: the documents follow the keys; what can't be rendered changes nothing.
func TestPublisherRefresh(t *testing.T) {
	source := &changingSource{keys: []keys.PublicKey{public(keystest.P256Key())}}
	d := newPublisher(t, discovery.PublisherConfig{Issuer: issuer, ExternalAddress: "h", Keys: source})
	published := func() string {
		_, jwks := d.Documents()
		return keystest.Algorithms(t, keystest.Must(keys.ParseJWKS(jwks)))
	}
	unreachable := errors.New("the line is cut")
	for _, step := range []struct {
		name string
		err  error
		keys []keys.PublicKey
		want string
		is   error
	}{
		{"the same", nil, []keys.PublicKey{public(keystest.P256Key())}, "ES256", nil},
		{"one more", nil, []keys.PublicKey{public(keystest.P256Key()), public(keystest.RSAKey())}, "ES256 RS256", nil},
		{"unreachable", unreachable, nil, "ES256 RS256", unreachable},
		{"none", nil, nil, "ES256 RS256", keys.ErrNoKeys},
		{"another", nil, []keys.PublicKey{public(keystest.P384Key())}, "ES384", nil},
	} {
		source.set(step.err, step.keys...)
		if err := d.Refresh(t.Context()); !errors.Is(err, step.is) {
			t.Errorf("%s: Refresh() = %v, want %v", step.name, err, step.is)
		}
		if got := published(); got != step.want || !errors.Is(d.Err(), step.is) {
			t.Errorf("%s: the published keys are %s, want %s; Err() = %v", step.name, got, step.want, d.Err())
		}
	}
}

// Keys that are the same are rendered once, whatever else has changed; and nothing is left
// of a call of the source.
func TestPublisherUnchanged(t *testing.T) {
	weak := keys.PublicKey{ID: "w", Algorithm: keys.RS256, Key: keystest.WeakKey().Public()}
	source := &changingSource{keys: []keys.PublicKey{public(keystest.P256Key()), public(keystest.RSAKey())}, maxAge: time.Hour}
	var events []keys.Event
	var asked context.Context
	d := newPublisher(t, discovery.PublisherConfig{Issuer: issuer, ExternalAddress: "h", Keys: agedSource{contextSource(func(ctx context.Context) ([]keys.PublicKey, error) {
		asked = ctx
		return source.PublicKeys(ctx, "")
	}), source}, Observe: func(_ context.Context, e keys.Event) { events = append(events, e) }})
	hidden := public(keystest.RSAKey())
	hidden.Unpublished = true
	other := public(keystest.RSAKey())
	other.ID = "other"
	impostor := public(keystest.P384Key())
	impostor.ID = public(keystest.RSAKey()).ID
	for _, step := range []struct {
		name    string
		keys    []keys.PublicKey
		maxAge  time.Duration
		changed bool
		bad     bool
	}{
		{"the same", []keys.PublicKey{public(keystest.P256Key()), public(keystest.RSAKey())}, time.Hour, false, false},
		{"another age", []keys.PublicKey{public(keystest.P256Key()), public(keystest.RSAKey())}, time.Minute, false, false},
		{"hidden", []keys.PublicKey{public(keystest.P256Key()), hidden}, time.Minute, true, false},
		{"shown", []keys.PublicKey{public(keystest.P256Key()), public(keystest.RSAKey())}, time.Minute, true, false},
		{"another key of its id", []keys.PublicKey{public(keystest.P256Key()), impostor}, time.Minute, true, false},
		{"another id", []keys.PublicKey{public(keystest.P256Key()), other}, time.Minute, true, false},
		{"a bad one", []keys.PublicKey{public(keystest.P256Key()), weak}, time.Minute, true, true},
		{"the same bad one", []keys.PublicKey{public(keystest.P256Key()), weak}, time.Hour, false, true},
		{"another order", []keys.PublicKey{weak, public(keystest.P256Key())}, time.Hour, true, true},
		{"of no type", []keys.PublicKey{{ID: "x"}, public(keystest.P256Key())}, time.Hour, true, true},
	} {
		source.mu.Lock()
		source.keys, source.maxAge = step.keys, step.maxAge
		source.mu.Unlock()
		events = nil
		err := d.Refresh(t.Context())
		_, isKey := errors.AsType[*keys.KeyError](err)
		if isKey != step.bad || (d.Err() != nil) != step.bad || len(events) != 1 || events[0].Changed != step.changed || events[0].Err != nil {
			t.Errorf("%s: Refresh() = %v, Observe got %+v, want one change: %t", step.name, err, events, step.changed)
		}
		resp, _ := get(t, d, "GET", discovery.JWKSPath, nil)
		if got, want := resp.Header.Get("Cache-Control"), fmt.Sprintf("public, max-age=%d", step.maxAge/time.Second); got != want {
			t.Errorf("%s: Cache-Control: %s, want %s", step.name, got, want)
		}
		if asked.Err() == nil {
			t.Errorf("%s: the context of the call goes on", step.name)
		}
	}
}

// Who refreshes waits for half a minute, and a request no longer than five seconds.
func TestPublisherTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := keystest.Must(discovery.NewPublisher(discovery.PublisherConfig{Issuer: issuer, ExternalAddress: "h", Keys: contextSource(func(ctx context.Context) ([]keys.PublicKey, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})}))
		start := time.Now()
		if err := d.Refresh(t.Context()); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 30*time.Second {
			t.Errorf("Refresh() = %v after %v, want the end after 30s", err, time.Since(start))
		}
		start = time.Now()
		time.Sleep(time.Second)
		if resp, _ := get(t, d, "GET", discovery.JWKSPath, nil); resp.StatusCode != 503 || time.Since(start) != 6*time.Second {
			t.Errorf("status %d after %v, want 503 after 5s", resp.StatusCode, time.Since(start))
		}
	})
}

// While another request asks a slow source, those that follow get the documents that there
// are at once; and a source without keys has changed nothing.
func TestPublisherSlowSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var slow time.Duration
		list := []keys.PublicKey{public(keystest.P256Key())}
		var last keys.Event
		d := newPublisher(t, discovery.PublisherConfig{Issuer: issuer, ExternalAddress: "h", Keys: contextSource(func(context.Context) ([]keys.PublicKey, error) {
			time.Sleep(slow)
			return list, nil
		}), Observe: func(_ context.Context, e keys.Event) { last = e }})
		slow, list = 3*time.Second, nil
		time.Sleep(time.Second)
		start := time.Now()
		ended := make(chan time.Duration, 1)
		go func() {
			get(t, d, "GET", discovery.JWKSPath, nil)
			ended <- time.Since(start)
		}()
		synctest.Wait()
		for range 3 {
			if resp, _ := get(t, d, "GET", discovery.JWKSPath, nil); resp.StatusCode != 200 || time.Since(start) != 0 {
				t.Errorf("status %d after %v, want 200 at once", resp.StatusCode, time.Since(start))
			}
		}
		if took := <-ended; took != slow {
			t.Errorf("who asks waits %v, want %v", took, slow)
		}
		if !errors.Is(last.Err, keys.ErrNoKeys) || last.Changed || last.Keys != 1 || last.Took != slow {
			t.Errorf("Observe got %+v, want no change, and no keys", last)
		}
	})
}

// An agedSource has a MaxAge.
type agedSource struct {
	keys.Source
	aged interface{ MaxAge() time.Duration }
}

func (s agedSource) MaxAge() time.Duration { return s.aged.MaxAge() }

// Publish writes what the handler serves, and nothing if that hasn't changed.
func TestPublisherPublish(t *testing.T) {
	source := &changingSource{keys: []keys.PublicKey{public(keystest.P256Key())}}
	d := newPublisher(t, discovery.PublisherConfig{Issuer: issuer, ExternalAddress: "h", Keys: source})
	dir := t.TempDir()
	names := []string{filepath.Join(dir, ".well-known", "openid-configuration"), filepath.Join(dir, "openid", "v1", "jwks")}
	check := func() (modified []time.Time) {
		t.Helper()
		if err := d.Publish(dir); err != nil {
			t.Fatal(err)
		}
		config, jwks := d.Documents()
		for i, want := range [][]byte{config, jwks} {
			got := keystest.Must(os.ReadFile(names[i]))
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", names[i], diff)
			}
			info := keystest.Must(os.Stat(names[i]))
			if info.Mode().Perm() != 0o644 {
				t.Errorf("%s has the mode %s", names[i], info.Mode())
			}
			modified = append(modified, info.ModTime())
			if entries := keystest.Must(os.ReadDir(filepath.Dir(names[i]))); len(entries) != 1 {
				t.Errorf("more than one file beside %s: %v", names[i], entries)
			}
		}
		return modified
	}
	check()
	long := time.Now().Add(-time.Hour).Truncate(time.Second)
	for _, name := range names {
		if err := os.Chtimes(name, long, long); err != nil {
			t.Fatal(err)
		}
	}
	for _, modified := range check() {
		if !modified.Equal(long) {
			t.Error("a file that hasn't changed was written")
		}
	}
	source.set(nil, public(keystest.P256Key()), public(keystest.P256Key())) // the configuration stays
	if err := d.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if modified := check(); !modified[0].Equal(long) || modified[1].Equal(long) {
		t.Error("not the changed file alone was written")
	}

	if err := d.Publish(""); fmt.Sprint(err) != "discovery: publishing: no folder" {
		t.Errorf("Publish() without a folder = %v", err)
	}
	if err := d.Publish(names[0]); err == nil || !strings.HasPrefix(err.Error(), "discovery: publishing: mkdir ") {
		t.Errorf("Publish(a file) = %v", err)
	}
	// The keys come first: a configuration never names keys that aren't there.
	for i, file := range []string{".well-known", "openid"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, file), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := d.Publish(dir); err == nil || !strings.HasPrefix(err.Error(), "discovery: publishing: mkdir ") {
			t.Errorf("Publish() with a file %s = %v", file, err)
		}
		_, err := os.Stat(filepath.Join(dir, "openid", "v1", "jwks"))
		if _, config := os.Stat(filepath.Join(dir, ".well-known", "openid-configuration")); config == nil || (err == nil) != (i == 0) {
			t.Errorf("with a file %s there are keys: %v; and a configuration: %v", file, err, config)
		}
	}
}

// A request that begins before the first ask of another has ended, and looks at the
// clock after it, gets the documents: not 503.
func TestPublisherFirstAskOfAnother(t *testing.T) {
	set := keystest.Must(keys.NewSet(keystest.P256Key()))
	var p *discovery.Publisher
	var looked atomic.Bool
	p = keystest.Must(discovery.NewPublisher(discovery.PublisherConfig{Issuer: issuer, ExternalAddress: "h", Keys: set, Now: func() time.Time {
		if looked.CompareAndSwap(false, true) {
			if err := p.Refresh(context.Background()); err != nil { // of another request
				t.Error(err)
			}
		}
		return time.Unix(1e9, 0)
	}}))
	if resp, _ := get(t, p, "GET", discovery.JWKSPath, nil); resp.StatusCode != http.StatusOK {
		t.Errorf("status %d, want 200", resp.StatusCode)
	}
}
