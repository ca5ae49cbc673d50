package discovery

import (
	"cmp"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kubesa/serviceaccount/internal/age"
	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/internal/flight"
	"github.com/kubesa/serviceaccount/keys"
)

// RemoteConfig configures [NewRemote].
type RemoteConfig struct {
	// Issuer is the "iss" of the tokens, a URL. Its discovery document must name
	// the same issuer, byte for byte. Required unless JWKSURL is set.
	Issuer string
	// JWKSURL is the URL of the keys. If set, the discovery document isn't fetched.
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
	// Transport, if set, is used instead of one with RootCAs.
	Transport http.RoundTripper

	// Timeout bounds one fetch of both documents. Zero means ten seconds.
	Timeout time.Duration
	// CoolDown is the shortest time between two fetches, however many tokens
	// name unknown keys. It must be at most half of MaxAge. Zero means ten seconds, or that.
	CoolDown time.Duration
	// RefreshEvery is the age at which keys are fetched again, if it is less than half
	// of MaxAge. The server may ask for less with Cache-Control. Zero means five minutes.
	RefreshEvery time.Duration
	// MaxAge is the age up to which keys are used while fetching fails. Zero means
	// one hour, for which Kubernetes lets clients cache keys; after that, a revoked
	// key must no longer verify.
	MaxAge time.Duration

	// InsecureAllowHTTP allows http URLs: anyone on the network path can then forge
	// tokens.
	InsecureAllowHTTP bool
	// Observe, if set, is called after each fetch, with the values of the context of
	// the request that started it. It must not call the Remote.
	Observe func(ctx context.Context, e keys.Event)
	// Now returns the current time. If nil, time.Now is used.
	Now func() time.Time
}

// A Remote is a [keys.Source] of the keys that an issuer publishes by OpenID Connect
// discovery, as every Kubernetes cluster can.
//
// Keys are fetched when they are first asked for, when they are stale, and when a
// token names an unknown one, but at most once per CoolDown and one fetch at a time, in
// a goroutine that ends after Timeout. Their age counts from the start of the fetch, by
// a clock that can't be set back. If it fails, the last good keys are used until they
// are MaxAge old, and [Remote.Err] says why it failed.
//
// Known keys are returned immediately. Everyone waits for the first fetch; later, two
// calls at a time wait, up to two seconds, in case their key is new. All others, and
// those for an unknown key within CoolDown of a fetch, get an error that says so: they
// may retry.
//
// Redirects are not followed, and of answers no more than 1 MiB is read. Their content
// type doesn't matter, since object stores may not know it. Published keys that
// [keys.ParseJWKS] leaves out are left out here too: Observe gets the reasons. What
// is fetched doesn't depend on anything in a token.
//
// A Remote is safe for concurrent use.
type Remote struct {
	cfg    RemoteConfig
	clock  age.Clock
	client *http.Client
	trust  *url.URL // the server that gets the bearer token

	guard   *flight.Guard // of fetches
	fetches flight.Group[struct{}, struct{}]

	mu        sync.Mutex
	set       *keys.Set     // nil until the first fetch has succeeded
	fetched   age.Time      // when the fetch of set began
	refresh   time.Duration // the age at which set is fetched again
	attempted age.Time      // when the last fetch ended
	err       error         // of the last fetch
	waiting   int           // calls that wait for a fetch other than the first
}

// Who asks for an unknown key while fetches are slow, which anyone can do, must not
// occupy all who authenticate tokens: no more than maxWaiting calls wait for a fetch,
// and for no longer than maxWait. Only the first fetch is one that everybody needs.
const (
	maxWaiting = 2
	maxWait    = 2 * time.Second
)

// NewRemote returns a Remote, or an error naming every invalid field, each as a
// [*ConfigError]. It fetches nothing.
func NewRemote(cfg RemoteConfig) (*Remote, error) {
	trust, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Remote{cfg: cfg, clock: cfg.Now, client: cfg.client(), trust: trust, guard: flight.NewGuard("the transport or the bearer token", hungCalls)}, nil
}

// complete sets the times that are zero, and returns the URL of the server that is
// trusted with the bearer token, or all mistakes.
func (cfg *RemoteConfig) complete() (trust *url.URL, err error) {
	list := configerror.List{Config: "discovery.RemoteConfig"}
	if cfg.Issuer == "" && cfg.JWKSURL == "" {
		list.Add("Issuer", "is empty, want a URL, or JWKSURL to be set")
	}
	if cfg.Issuer != "" {
		if trust, err = cfg.parseURL(cfg.Issuer); err != nil {
			list.Add("Issuer", "is not usable: %v", err)
		} else if strings.ContainsAny(cfg.Issuer, "?#") {
			list.Add("Issuer", "is %q, want a URL without a query and a fragment", shown(trust))
		}
	}
	if cfg.JWKSURL != "" {
		if trust, err = cfg.parseURL(cfg.JWKSURL); err != nil {
			list.Add("JWKSURL", "is not usable: %v", err)
		}
	}
	configerror.NotNegative(&list, "Timeout", cfg.Timeout)
	configerror.NotNegative(&list, "CoolDown", cfg.CoolDown)
	configerror.NotNegative(&list, "RefreshEvery", cfg.RefreshEvery)
	configerror.NotNegative(&list, "MaxAge", cfg.MaxAge)
	cfg.Timeout = cmp.Or(cfg.Timeout, 10*time.Second)
	cfg.RefreshEvery = cmp.Or(cfg.RefreshEvery, 5*time.Minute)
	cfg.MaxAge = cmp.Or(cfg.MaxAge, time.Hour)
	cfg.CoolDown = cmp.Or(cfg.CoolDown, min(10*time.Second, cfg.MaxAge/2))
	if cfg.CoolDown > cfg.MaxAge/2 {
		list.Add("CoolDown", "is %s, want at most half of MaxAge, %s", cfg.CoolDown, cfg.MaxAge)
	}
	if cfg.RootCAs != nil && cfg.Transport != nil {
		list.Add("RootCAs", "is set together with Transport, want only one of them")
	}
	list.Optional("Transport", cfg.Transport)
	return trust, list.Err()
}

// parseURL parses a URL that keys or their address are fetched from. Its errors have
// neither password nor query.
func (cfg *RemoteConfig) parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, errInvalidURL
	case u.Scheme == "":
		return nil, fmt.Errorf("URL %q, want an absolute one", shown(u))
	case u.Scheme != "https" && (u.Scheme != "http" || !cfg.InsecureAllowHTTP):
		return nil, fmt.Errorf("URL %q, want https", shown(u))
	case u.Hostname() == "" || u.User != nil || u.Fragment != "":
		return nil, fmt.Errorf("URL %q, want one with a host, without user and fragment", shown(u))
	}
	return u, nil
}

// errInvalidURL is instead of the error of the parser, which quotes the URL.
var errInvalidURL = errors.New("not a valid URL")

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
// ctx. An unknown id gives such an error unless the keys were fetched since this call
// began: the key may have been published since the last fetch.
func (r *Remote) PublicKeys(ctx context.Context, id string) ([]keys.PublicKey, error) {
	q := r.ask(ctx, id)
	if q.fetch == nil {
		return q.list, q.err
	}
	waiting := ctx
	if !q.first {
		limited, cancel := context.WithTimeout(ctx, maxWait)
		defer cancel()
		waiting = limited
	}
	_, _ = q.fetch.Wait(waiting) // kept for answer
	list, err := r.answer(ctx, id, q, waiting.Err() == nil)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return list, err
}

// A question is a call of PublicKeys: what is known, or the fetch to wait for.
type question struct {
	list  []keys.PublicKey
	err   error
	fetch *flight.Call[struct{}]
	first bool // there was no fetch before
	own   bool // it began after the call
}

// ask returns what is known, or the fetch to wait for. It starts one if it is time
// to.
func (r *Remote) ask(ctx context.Context, id string) (q question) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.clock.Now()
	list, usable := r.lookup(ctx, id, now)
	q.first = r.attempted.IsZero()
	q.fetch = r.fetches.Running(struct{}{})
	if (len(list) == 0 || now.Of(r.fetched) >= r.refresh) && now.Since(r.attempted) >= r.cfg.CoolDown && q.fetch == nil {
		q.fetch, q.own = r.fetches.Start(ctx, struct{}{}, r.fetch), true
	}
	switch {
	case len(list) > 0:
		return question{list: list}
	case q.fetch == nil, !q.first && r.waiting >= maxWaiting:
		return question{err: r.cantTell(now, usable)}
	}
	if !q.first {
		r.waiting++
	}
	return q
}

// answer returns what is known after the fetch, which has ended or takes too long.
func (r *Remote) answer(ctx context.Context, id string, q question, ended bool) ([]keys.PublicKey, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !q.first {
		r.waiting--
	}
	now := r.clock.Now()
	list, usable := r.lookup(ctx, id, now)
	switch {
	case len(list) > 0:
		return list, nil
	case ended && q.own && r.err == nil && usable:
		return nil, nil // nobody publishes it
	}
	return nil, r.cantTell(now, usable)
}

// lookup returns the keys called id, and whether they, or that there are none, is
// known. The caller holds mu, as for cantTell.
func (r *Remote) lookup(ctx context.Context, id string, now age.Time) (list []keys.PublicKey, usable bool) {
	if now.Of(r.fetched) >= r.cfg.MaxAge { // so old are none, too
		return nil, false
	}
	list, _ = r.set.PublicKeys(ctx, id)
	return list, true
}

// cantTell returns why nobody knows whether there is a key.
func (r *Remote) cantTell(now age.Time, usable bool) error {
	switch wait := r.cfg.CoolDown - now.Since(r.attempted); {
	case r.err != nil:
		return r.err
	case !usable:
		return fmt.Errorf("%w: there are none that are younger than %s", keys.ErrUnavailable, r.cfg.MaxAge)
	case wait > 0:
		return fmt.Errorf("%w: the key was not there %s ago, they are fetched again in %s", keys.ErrUnavailable,
			now.Of(r.fetched).Round(time.Millisecond), wait.Round(time.Millisecond))
	}
	return fmt.Errorf("%w: the key is not known, and they are being fetched", keys.ErrUnavailable)
}

// fetch fetches the keys once.
func (r *Remote) fetch(ctx context.Context) (struct{}, error) {
	began, start := r.clock.Now(), time.Now()
	limited, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	answer, err := flight.Do(limited, r.guard, r.download)
	cancel()

	r.mu.Lock()
	r.attempted = r.clock.Now()
	changed := false
	if err != nil {
		r.err = fmt.Errorf("%w: %v", keys.ErrUnavailable, err)
	} else {
		changed = !sameKeys(r.set, answer.set)
		r.set, r.fetched, r.err = answer.set, began, nil
		r.refresh = min(r.cfg.RefreshEvery, r.cfg.MaxAge/2, max(answer.maxAge, r.cfg.CoolDown))
	}
	e := keys.Event{Keys: len(all(r.set)), Changed: changed, Err: r.err, Took: time.Since(start)}
	if err == nil {
		e.Skipped = answer.set.Skipped()
	}
	e.Panic, e.Stack = flight.PanicOf(err)
	r.mu.Unlock()
	if r.cfg.Observe != nil {
		r.cfg.Observe(ctx, e)
	}
	return struct{}{}, nil
}

func all(set *keys.Set) []keys.PublicKey {
	if set == nil {
		return nil
	}
	list, _ := set.PublicKeys(context.Background(), "")
	return list
}

// sameKeys reports whether a and b have the same keys under the same ids.
func sameKeys(a, b *keys.Set) bool {
	return slices.EqualFunc(all(a), all(b), func(a, b keys.PublicKey) bool {
		key, ok := a.Key.(interface{ Equal(crypto.PublicKey) bool })
		return ok && a.ID == b.ID && key.Equal(b.Key)
	})
}

// Err returns why the last fetch failed: nil if it succeeded or there was none.
func (r *Remote) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}
