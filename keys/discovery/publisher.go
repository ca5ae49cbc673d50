package discovery

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/internal/files"
	"github.com/kubesa/serviceaccount/keys/internal/wrap"
)

// The paths of the discovery documents (CST-18), below the issuer.
const (
	ConfigPath = "/.well-known/openid-configuration"
	JWKSPath   = "/openid/v1/jwks"
)

// A request asks the source at most once in discoveryInterval and waits for it
// no longer than discoveryTimeout.
const (
	discoveryInterval = time.Second
	discoveryTimeout  = 5 * time.Second
)

// PublisherConfig configures [NewPublisher].
type PublisherConfig struct {
	// Issuer is the "iss" of the tokens: an https URL without query and
	// fragment. It is published as it is. Required.
	Issuer string
	// JWKSURI is where the keys are published, an https URL. If empty it is
	// https://ExternalAddress/openid/v1/jwks; one of the two is required.
	JWKSURI string
	// ExternalAddress is a host, with a port if need be.
	ExternalAddress string
	// Keys are published, except those that are marked Unpublished. Required.
	// [keys.MaxAge] says the
	// max-age of the answers.
	Keys keys.Source
	// Now returns the current time. If nil, time.Now is used.
	Now func() time.Time
}

// Publisher publishes the keys of an issuer: as an [http.Handler] of
// [ConfigPath] and [JWKSPath], or as files through [Publisher.Publish]. It is
// safe for concurrent use.
//
// The documents are rendered when the keys change, which is noticed within a
// second of being asked for them, and served as they are. Nothing in a request
// shows in them. If the keys can't be had or none is left, the last documents
// stay, and [Publisher.Err] says why.
type Publisher struct {
	issuer, jwksURI string
	keys            keys.Source
	now             func() time.Time

	current   atomic.Pointer[documents]
	refreshMu sync.Mutex // held by the one that asks keys
	asked     atomic.Int64
}

// documents are what is served until the keys change.
type documents struct {
	keys         []keys.PublicKey // as the source returned them
	config, jwks document
	cacheControl string
	err          error // the bad keys, or why these documents are old
}

type document struct {
	data []byte
	etag string
}

// NewPublisher returns a Publisher, or an error that has every mistake of cfg
// (KEY-34, KEY-35, KEY-36). It asks cfg.Keys at once: an issuer without keys
// has nothing to publish (KEY-38). Bad keys are left out, see [Publisher.Err].
func NewPublisher(ctx context.Context, cfg PublisherConfig) (*Publisher, error) {
	jwksURI, err := cfg.check()
	if err != nil {
		return nil, err
	}
	d := &Publisher{issuer: cfg.Issuer, jwksURI: jwksURI, keys: cfg.Keys, now: cfg.Now}
	if d.now == nil {
		d.now = time.Now
	}
	list, err := d.keys.PublicKeys(ctx, "")
	if err != nil {
		return nil, wrap.Errorf(err, "keys: asking for the keys to publish")
	}
	docs, err := d.render(list)
	if err != nil {
		return nil, err
	}
	d.current.Store(docs)
	d.asked.Store(d.now().UnixNano())
	return d, nil
}

// check returns the URL of the keys or all mistakes.
func (cfg *PublisherConfig) check() (jwksURI string, err error) {
	var errs []error
	fail := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("keys: "+format, args...))
	}
	if cfg.Issuer == "" {
		fail("empty issuer URL")
	}
	if cfg.JWKSURI == "" && cfg.ExternalAddress == "" {
		fail("either the JWKS URI or the default external address, or both, must be set")
	}
	if cfg.Keys == nil {
		fail("no public key getter provided")
	}
	if cfg.Issuer != "" {
		switch u, err := url.Parse(cfg.Issuer); {
		case err != nil:
			fail("issuer: %w", err)
		case u.Scheme != "https":
			fail("issuer URL must use https scheme, got: %s", cfg.Issuer)
		case u.RawQuery != "":
			fail("issuer URL may not include a query, got: %s", cfg.Issuer)
		case u.Fragment != "":
			fail("issuer URL may not include a fragment, got: %s", cfg.Issuer)
		}
	}
	jwksURI = cfg.JWKSURI
	if jwksURI != "" {
		switch u, err := url.Parse(jwksURI); {
		case err != nil:
			fail("JWKS URI: %w", err)
		case u.Scheme != "https":
			fail("jwksURI requires https scheme, parsed as: %s", u)
		}
	} else if cfg.ExternalAddress != "" {
		// An address that is more than one, such as a URL, doesn't come back
		// from the parser as it went in.
		built := url.URL{Scheme: "https", Host: cfg.ExternalAddress, Path: JWKSPath}
		jwksURI = built.String()
		if u, err := url.Parse(jwksURI); err != nil {
			fail("attempted to build jwks_uri from external address %s, but could not construct a valid URL. Error: %w", cfg.ExternalAddress, err)
		} else if *u != built {
			fail("attempted to build jwks_uri from external address %s, but could not construct a valid URL. Error: it is not a host with an optional port", cfg.ExternalAddress)
		}
	}
	return jwksURI, errors.Join(errs...)
}

// render makes the documents of list. Its error is ErrNoKeys, together with
// the reports of bad keys.
func (d *Publisher) render(list []keys.PublicKey) (*documents, error) {
	jwks, bad, err := keys.EncodeJWKS(list)
	if err != nil {
		return nil, errors.Join(append(bad, err)...)
	}
	var algorithms []keys.Algorithm
	for _, key := range list {
		if alg, err := keys.AlgorithmOf(key.Key); err == nil && !key.Unpublished {
			algorithms = append(algorithms, alg)
		}
	}
	slices.Sort(algorithms)
	config, err := json.Marshal(struct { // in the order of KEY-30
		Issuer        string           `json:"issuer"`
		JWKSURI       string           `json:"jwks_uri"`
		ResponseTypes []string         `json:"response_types_supported"`
		SubjectTypes  []string         `json:"subject_types_supported"`
		Algorithms    []keys.Algorithm `json:"id_token_signing_alg_values_supported"`
	}{d.issuer, d.jwksURI, []string{"id_token"}, []string{"public"}, slices.Compact(algorithms)})
	if err != nil {
		return nil, fmt.Errorf("keys: could not marshal issuer discovery JSON, error: %w", err)
	}
	return &documents{
		keys: list, err: errors.Join(bad...),
		config: newDocument(config), jwks: newDocument(jwks), cacheControl: d.cacheControl(),
	}, nil
}

func newDocument(data []byte) document {
	sum := sha256.Sum256(data)
	return document{data, fmt.Sprintf(`"%x"`, sum[:16])}
}

// cacheControl is the Cache-Control of KEY-39a.
func (d *Publisher) cacheControl() string {
	return "public, max-age=" + strconv.FormatInt(int64(keys.MaxAge(d.keys)/time.Second), 10)
}

// Refresh asks the source for its keys and renders the documents anew if they
// have changed. Requests do so by themselves; call it before [Publisher.Publish]
// or to make a change visible at once. If it fails, the last documents stay.
func (d *Publisher) Refresh(ctx context.Context) error {
	d.refreshMu.Lock()
	defer d.refreshMu.Unlock()
	return d.refresh(ctx)
}

func (d *Publisher) refresh(ctx context.Context) error {
	defer func() { d.asked.Store(d.now().UnixNano()) }()
	old := d.current.Load()
	next := *old
	list, err := d.keys.PublicKeys(ctx, "")
	switch {
	case err != nil:
		next.err = wrap.Errorf(err, "keys: asking for the keys to publish")
	case slices.EqualFunc(list, old.keys, sameKey):
		_, bad, _ := keys.EncodeJWKS(list)
		next.err = errors.Join(bad...)
		next.cacheControl = d.cacheControl()
	default:
		docs, err := d.render(list)
		if err == nil {
			d.current.Store(docs)
			return nil
		}
		next.err = err
	}
	d.current.Store(&next)
	return next.err
}

// sameKey reports whether a and b are surely published alike. One key parsed
// twice is not the same, which costs no more than to render it again.
func sameKey(a, b keys.PublicKey) bool {
	switch a.Key.(type) {
	case *rsa.PublicKey, *ecdsa.PublicKey:
		return a.Key == b.Key && a.ID == b.ID && a.Unpublished == b.Unpublished
	}
	return false
}

// fresh returns the documents to serve. Only one request at a time waits for
// the source.
func (d *Publisher) fresh(ctx context.Context) *documents {
	now, asked := d.now(), time.Unix(0, d.asked.Load())
	if now.Sub(asked) >= discoveryInterval || now.Before(asked) {
		if d.refreshMu.TryLock() {
			// The client may leave, the others still want the answer.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), discoveryTimeout)
			_ = d.refresh(ctx) // kept for Err
			cancel()
			d.refreshMu.Unlock()
		}
	}
	return d.current.Load()
}

// Err returns nil if the documents show every key of the source as it was when
// last asked. Otherwise it has a [*keys.KeyError] for each key that was left out, or
// says why older documents are served.
func (d *Publisher) Err() error { return d.current.Load().err }

// Documents returns the two documents as they are served.
func (d *Publisher) Documents() (config, jwks []byte) {
	docs := d.current.Load()
	return slices.Clone(docs.config.data), slices.Clone(docs.jwks.data)
}

// Publish writes the documents below dir, at the paths at which a static host
// has to serve them, those that changed only. Each file is replaced at once, the
// keys before the configuration. Call [Publisher.Refresh] before it.
//
// A static host has to be told the content types, application/json and
// application/jwk-set+json, and a Cache-Control like that of the handler.
func (d *Publisher) Publish(dir string) error {
	docs := d.current.Load()
	if err := publishFile(dir, JWKSPath, docs.jwks.data); err != nil {
		return fmt.Errorf("keys: publishing: %w", err)
	}
	if err := publishFile(dir, ConfigPath, docs.config.data); err != nil {
		return fmt.Errorf("keys: publishing: %w", err)
	}
	return nil
}

// publishFile writes data to path, which uses slashes, below dir, unless it is
// there already.
func publishFile(dir, path string, data []byte) error {
	var disk files.Disk
	name := filepath.Join(dir, filepath.FromSlash(path))
	if old, _, err := disk.ReadFile(name); err == nil && string(old) == string(data) {
		return nil
	}
	if err := disk.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return files.Replace(disk, name, data, 0o644)
}
