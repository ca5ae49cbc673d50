package discovery

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"github.com/kubesa/serviceaccount/keys"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// RemoteConfig configures [NewRemote].
type RemoteConfig struct {
	// Issuer is the "iss" of the tokens, a URL. Its discovery document must name
	// the same issuer, byte for byte. Required unless JWKSURL is set.
	Issuer string
	// JWKSURL is where the keys are, if the discovery document shall not be
	// asked.
	JWKSURL string

	// RootCAs are the authorities that the servers' certificates are checked
	// against. If nil, those of the host are used.
	RootCAs *x509.CertPool
	// BearerToken, if set, authenticates to the server of JWKSURL, or of Issuer if
	// that is empty. It is not sent to another server that the discovery document
	// names: kube-apiserver often names itself by its address there, so set
	// JWKSURL if its documents aren't public. It must return when ctx is done, and
	// its errors, which those of the Remote quote, must not hold a token.
	BearerToken func(ctx context.Context) (string, error)
	// Transport, if set, is used instead of one that is made from RootCAs.
	Transport http.RoundTripper

	// Timeout bounds one fetch of both documents. Zero means ten seconds.
	Timeout time.Duration
	// CoolDown is the shortest time between two fetches, however many tokens
	// name unknown keys. Zero means ten seconds.
	CoolDown time.Duration
	// RefreshEvery is how old keys get before they are fetched again. The
	// server may ask for less with Cache-Control. Zero means five minutes.
	RefreshEvery time.Duration
	// MaxAge is how old keys may get while fetching fails. Zero means one hour,
	// for which Kubernetes lets keys be kept; after that, a key that was revoked
	// must not verify any more.
	MaxAge time.Duration

	// InsecureAllowHTTP allows URLs that are not https: whoever is in between
	// can then make tokens.
	InsecureAllowHTTP bool
	// Now returns the current time. If nil, time.Now is used.
	Now func() time.Time
}

// A Remote is a [keys.Source] of the keys that an issuer publishes, of any cluster
// or anyone else who does so by OpenID Connect discovery.
//
// Keys are fetched when first asked for, when they have become old, and when a
// token names one that isn't known, but never more often than once in CoolDown.
// There is one fetch at a time, in a goroutine that ends with Timeout; those who
// ask for a key that is known don't wait for it. If it fails, the last good keys
// stay until they are MaxAge old, and [Remote.Err] says why it failed.
//
// Redirects are not followed, answers of more than 1 MiB or of another content
// type are not read, and the keys must be such as [keys.ParseJWKS] accepts. Fetching
// doesn't depend on anything in a token.
//
// A Remote is safe for concurrent use.
type Remote struct {
	cfg    RemoteConfig
	client *http.Client
	trust  *url.URL // the server that gets the bearer token

	mu        sync.Mutex
	set       *keys.Set // nil until the first fetch has succeeded
	fetched   time.Time
	refresh   time.Time // when set becomes old
	attempted time.Time // when the last fetch ended
	err       error     // of the last fetch
	running   chan struct{}
}

// NewRemote returns a Remote, or an error that has every mistake of cfg. It
// fetches nothing.
func NewRemote(cfg RemoteConfig) (*Remote, error) {
	trust, err := cfg.check()
	if err != nil {
		return nil, err
	}
	cfg.Timeout = cmp.Or(cfg.Timeout, 10*time.Second)
	cfg.CoolDown = cmp.Or(cfg.CoolDown, 10*time.Second)
	cfg.RefreshEvery = cmp.Or(cfg.RefreshEvery, 5*time.Minute)
	cfg.MaxAge = cmp.Or(cfg.MaxAge, time.Hour)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Remote{cfg: cfg, client: cfg.client(), trust: trust}, nil
}

// check returns the URL of the server that is trusted with the bearer token, or
// all mistakes.
func (cfg *RemoteConfig) check() (trust *url.URL, err error) {
	var errs []error
	if cfg.Issuer == "" && cfg.JWKSURL == "" {
		errs = append(errs, errors.New("keys: remote: neither Issuer nor JWKSURL is set"))
	}
	if cfg.Issuer != "" {
		if trust, err = cfg.parseURL(cfg.Issuer); err != nil {
			errs = append(errs, err)
		} else if trust.RawQuery != "" {
			errs = append(errs, fmt.Errorf("keys: remote: issuer %q, want one without a query", cfg.Issuer))
		}
	}
	if cfg.JWKSURL != "" {
		if trust, err = cfg.parseURL(cfg.JWKSURL); err != nil {
			errs = append(errs, err)
		}
	}
	if cfg.Timeout < 0 || cfg.CoolDown < 0 || cfg.RefreshEvery < 0 || cfg.MaxAge < 0 {
		errs = append(errs, errors.New("keys: remote: a negative time"))
	}
	if cfg.RootCAs != nil && cfg.Transport != nil {
		errs = append(errs, errors.New("keys: remote: both RootCAs and Transport are set"))
	}
	return trust, errors.Join(errs...)
}

// parseURL parses a URL that keys or their address are fetched from.
func (cfg *RemoteConfig) parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, fmt.Errorf("keys: remote: %w", err)
	case u.Scheme != "https" && (u.Scheme != "http" || !cfg.InsecureAllowHTTP):
		return nil, fmt.Errorf("keys: remote: URL %q, want https", u.Redacted())
	case u.Host == "" || u.User != nil || u.Fragment != "":
		return nil, fmt.Errorf("keys: remote: URL %q, want one with a host, without user and fragment", u.Redacted())
	}
	return u, nil
}

// client returns a client of its own, which shares nothing with others.
func (cfg *RemoteConfig) client() *http.Client {
	transport := cfg.Transport
	if transport == nil {
		transport = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			TLSClientConfig:        &tls.Config{RootCAs: cfg.RootCAs, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:      true,
			MaxIdleConns:           2,
			IdleConnTimeout:        time.Minute,
			MaxResponseHeaderBytes: 64 << 10,
		}
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// PublicKeys implements [keys.Source]. An error wraps [keys.ErrUnavailable] or is that of
// ctx. A key that isn't known while fetching fails may exist, so that is such an
// error too.
func (r *Remote) PublicKeys(ctx context.Context, id string) ([]keys.PublicKey, error) {
	for waited := false; ; waited = true {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		list, running, err := r.lookup(id, waited)
		if running == nil {
			return list, err
		}
		select {
		case <-running:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// lookup returns what is known, or the fetch to wait for. It starts one if it is
// time to.
func (r *Remote) lookup(id string, waited bool) (list []keys.PublicKey, running chan struct{}, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.cfg.Now()
	usable := r.set != nil && now.Sub(r.fetched) < r.cfg.MaxAge && !now.Before(r.fetched)
	if usable {
		list, _ = r.set.PublicKeys(context.Background(), id)
	}
	mayFetch := r.attempted.IsZero() || now.Sub(r.attempted) >= r.cfg.CoolDown || now.Before(r.attempted)
	known := usable && len(list) > 0
	if (!known || !now.Before(r.refresh)) && mayFetch && !waited && r.running == nil {
		r.running = make(chan struct{})
		go r.fetch(r.running)
	}
	switch {
	case known:
		return list, nil, nil
	case r.running != nil && !waited:
		return nil, r.running, nil
	case r.err != nil:
		return nil, nil, r.err
	case usable:
		return nil, nil, nil
	}
	return nil, nil, fmt.Errorf("%w: they are older than %s", keys.ErrUnavailable, r.cfg.MaxAge)
}

// fetch fetches the keys once and tells those who wait.
func (r *Remote) fetch(done chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), r.cfg.Timeout)
	set, maxAge, err := r.tryDownload(ctx)
	cancel()

	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.cfg.Now()
	r.attempted, r.running = now, nil
	if err != nil {
		r.err = fmt.Errorf("%w: %v", keys.ErrUnavailable, err)
	} else {
		r.set, r.fetched, r.err = set, now, nil
		r.refresh = now.Add(min(r.cfg.RefreshEvery, max(maxAge, r.cfg.CoolDown)))
	}
	close(done)
}

// tryDownload is download, where a panic of the caller's Transport or BearerToken
// is an error.
func (r *Remote) tryDownload(ctx context.Context) (set *keys.Set, maxAge time.Duration, err error) {
	defer recovered(&err)
	return r.download(ctx)
}

// recovered makes a panic an error. Its value may hold anything, so it is not
// kept.
func recovered(err *error) {
	if recover() != nil {
		*err = errors.New("a panic")
	}
}

// Err returns nil if the last fetch has succeeded or there was none, otherwise
// why it failed.
func (r *Remote) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}
