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

	"github.com/kubesa/serviceaccount/internal/age"
	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/internal/flight"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/internal/files"
	"github.com/kubesa/serviceaccount/keys/internal/wrap"
)

// The paths of the discovery documents below the issuer.
const (
	ConfigPath = "/.well-known/openid-configuration"
	JWKSPath   = "/openid/v1/jwks"
)

// A request asks the source at most once in refreshInterval and waits for it
// no longer than requestTimeout. Refresh waits up to refreshTimeout.
const (
	refreshInterval = time.Second
	requestTimeout  = 5 * time.Second
	refreshTimeout  = 30 * time.Second
)

// hungCalls is how many calls of a source may hang.
const hungCalls = 4

// errNotAsked is why there are no documents at first.
var errNotAsked = errors.New("discovery: the source has not been asked for its keys yet")

// PublisherConfig configures [NewPublisher].
type PublisherConfig struct {
	// Issuer is the "iss" of the tokens: an https URL without query and
	// fragment. It is published unchanged. Required.
	Issuer string
	// JWKSURI is where the keys are published, an https URL. If empty it is
	// https://ExternalAddress/openid/v1/jwks; one of the two is required.
	JWKSURI string
	// ExternalAddress is a host with an optional port.
	ExternalAddress string
	// Keys are published, except those that are marked Unpublished. [keys.MaxAge]
	// is the max-age of the answers. Required.
	Keys keys.Source
	// Observe, if set, is called after each time that Keys was asked. It must not
	// call the Publisher.
	Observe func(ctx context.Context, e keys.Event)
	// Now returns the current time. If nil, time.Now is used.
	Now func() time.Time
}

// A Publisher publishes the keys of an issuer: as an [http.Handler] of
// [ConfigPath] and [JWKSPath], or as files through [Publisher.Publish]. It is
// safe for concurrent use.
//
// It asks the source for its keys when there are requests, at most once a second,
// or when [Publisher.Refresh] is called, and renders the documents when the keys
// have changed. Nothing in a request changes them. If the source fails or has no
// keys, the last documents stay, and [Publisher.Err] says why.
type Publisher struct {
	issuer, jwksURI string
	keys            keys.Source
	observe         func(context.Context, keys.Event)
	clock           age.Clock
	guard           *flight.Guard // of calls of keys

	asks flight.Group[struct{}, *documents]

	current atomic.Pointer[documents]
	asked   atomic.Pointer[age.Time] // when the last ask began, nil before it has ended
	askedMu sync.Mutex               // held while asked is set, and while a request looks at it to start an ask
}

// documents are what is served until the keys change.
type documents struct {
	keys         []keys.PublicKey // as the source returned them
	config, jwks document         // without data until there are keys
	cacheControl string
	err          error // the bad keys, or why these documents are stale
}

type document struct {
	data []byte
	etag string
}

// NewPublisher returns a Publisher, or an error naming every invalid field, each as
// a [*ConfigError]. It asks for no keys: call [Publisher.Refresh] to find out at
// the start that there are none.
func NewPublisher(cfg PublisherConfig) (*Publisher, error) {
	jwksURI, err := cfg.check()
	if err != nil {
		return nil, err
	}
	p := &Publisher{issuer: cfg.Issuer, jwksURI: jwksURI, keys: cfg.Keys, observe: cfg.Observe, clock: cfg.Now}
	if p.clock == nil {
		p.clock = time.Now
	}
	p.guard = flight.NewGuard("the source of the keys", hungCalls)
	p.current.Store(&documents{err: errNotAsked})
	return p, nil
}

// check returns the URL of the keys or all mistakes (KEY-34, KEY-35, KEY-36).
func (cfg *PublisherConfig) check() (jwksURI string, err error) {
	list := configerror.List{Config: "discovery.PublisherConfig"}
	if cfg.Issuer == "" {
		list.Add("Issuer", "is empty, want an https URL")
	} else if u := requireHTTPS(&list, "Issuer", cfg.Issuer); u != nil && (u.RawQuery != "" || u.Fragment != "") {
		list.Add("Issuer", "is %q, want a URL without query and fragment", cfg.Issuer)
	}
	jwksURI = cfg.JWKSURI
	switch {
	case jwksURI != "":
		requireHTTPS(&list, "JWKSURI", jwksURI)
	case cfg.ExternalAddress == "":
		list.Add("JWKSURI", "is empty, want an https URL, or ExternalAddress to be set")
	default:
		// Of an address that is more than one, such as a URL, the parser rejects the
		// bytes that no host has.
		jwksURI = (&url.URL{Scheme: "https", Host: cfg.ExternalAddress, Path: JWKSPath}).String()
		if u, err := url.Parse(jwksURI); err != nil || u.Hostname() == "" {
			list.Add("ExternalAddress", "is %q, want a host with an optional port", cfg.ExternalAddress)
		}
	}
	list.Require("Keys", cfg.Keys, "a keys.Source")
	return jwksURI, list.Err()
}

// requireHTTPS returns the URL, or nil after adding a mistake.
func requireHTTPS(list *configerror.List, field, raw string) *url.URL {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		list.Add(field, "is %v", errInvalidURL)
	case u.Scheme != "https":
		list.Add(field, "is %q, want an https URL", shown(u))
	default:
		return u
	}
	return nil
}

// render returns the documents of list. Its error is ErrNoKeys, together with
// the reports of bad keys.
func (p *Publisher) render(list []keys.PublicKey) (*documents, error) {
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
	config, _ := json.Marshal(struct { // in the order of KEY-30; texts always marshal
		Issuer        string           `json:"issuer"`
		JWKSURI       string           `json:"jwks_uri"`
		ResponseTypes []string         `json:"response_types_supported"`
		SubjectTypes  []string         `json:"subject_types_supported"`
		Algorithms    []keys.Algorithm `json:"id_token_signing_alg_values_supported"`
	}{p.issuer, p.jwksURI, []string{"id_token"}, []string{"public"}, slices.Compact(algorithms)})
	return &documents{
		keys: list, err: errors.Join(bad...),
		config: newDocument(config), jwks: newDocument(jwks), cacheControl: p.cacheControl(),
	}, nil
}

func newDocument(data []byte) document {
	return document{data, fmt.Sprintf(`"%x"`, sha256.Sum256(data))}
}

// cacheControl is the Cache-Control of KEY-39a.
func (p *Publisher) cacheControl() string {
	return "public, max-age=" + strconv.FormatInt(int64(keys.MaxAge(p.keys)/time.Second), 10)
}

// Refresh asks the source for its keys and renders the documents again if they
// have changed. Requests do so by themselves: call it at the start, before
// [Publisher.Publish], or to make a change visible immediately. Its error is that of
// ctx or of [Publisher.Err]; the latter wraps [keys.ErrNoKeys] if no key can be
// published. The source has 30 seconds to answer.
func (p *Publisher) Refresh(ctx context.Context) error {
	// What is under way may have asked before the change that the caller wants to see.
	if ask := p.asks.Running(struct{}{}); ask != nil {
		_, _ = ask.Wait(ctx) // Do says if ctx is done
	}
	docs, err := p.asks.Do(ctx, struct{}{}, p.ask(refreshTimeout))
	if err != nil {
		return err
	}
	return docs.err
}

// ask returns a function that asks the source once, for everyone who waits.
func (p *Publisher) ask(timeout time.Duration) func(context.Context) (*documents, error) {
	return func(ctx context.Context) (*documents, error) {
		began, start := p.clock.Now(), time.Now()
		limited, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		next, changed, err := p.next(limited)
		p.current.Store(next)
		if p.observe != nil {
			e := keys.Event{Keys: len(next.keys), Changed: changed, Err: err, Took: time.Since(start)}
			e.Panic, e.Stack = flight.PanicOf(err)
			p.observe(ctx, e)
		}
		p.askedMu.Lock()
		defer p.askedMu.Unlock()
		p.asked.Store(&began)
		return next, nil
	}
}

// next asks the source and returns the documents after that: the last ones, with the
// reason, if there are no new ones.
func (p *Publisher) next(ctx context.Context) (_ *documents, changed bool, err error) {
	next := *p.current.Load()
	list, err := flight.Do(ctx, p.guard, func(ctx context.Context) ([]keys.PublicKey, error) {
		return p.keys.PublicKeys(ctx, "")
	})
	if err != nil {
		next.err = wrap.Errorf(err, "discovery: asking for the keys to publish")
		return &next, false, next.err
	}
	if next.config.data != nil && slices.EqualFunc(list, next.keys, sameKey) {
		_, bad, _ := keys.EncodeJWKS(list)
		next.err, next.cacheControl = errors.Join(bad...), p.cacheControl()
		return &next, false, nil
	}
	docs, err := p.render(list)
	if err != nil {
		next.err = err
		return &next, false, err
	}
	return docs, true, nil
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

// fresh returns the documents to serve, asking the source if it is time to. Only one
// request at a time asks; the others wait for it only if there are no documents.
func (p *Publisher) fresh(ctx context.Context) *documents {
	if !p.due() {
		return p.current.Load() // after due: the first ask may just have ended
	}
	docs := p.current.Load()
	p.askedMu.Lock()
	ask := p.asks.Running(struct{}{})
	mine := ask == nil && p.due()
	if mine {
		ask = p.asks.Start(ctx, struct{}{}, p.ask(requestTimeout))
	}
	p.askedMu.Unlock()
	if ask != nil && !mine {
		if docs.config.data != nil {
			return docs
		}
		limited, cancel := context.WithTimeout(ctx, requestTimeout) // Refresh waits longer
		defer cancel()
		ctx = limited
	}
	if ask != nil {
		_, _ = ask.Wait(ctx) // who leaves gets the last documents
	}
	return p.current.Load()
}

// due reports whether it is time to ask the source.
func (p *Publisher) due() bool {
	now := p.clock.Now() // an ask that ends meanwhile is due in the eyes of this request only
	asked := p.asked.Load()
	return asked == nil || now.Since(*asked) >= refreshInterval
}

// Err returns nil if the documents have every key of the source as of the last time
// it was asked. Otherwise it wraps a [*keys.KeyError] for each key that was left out,
// or says why the documents are stale or missing.
func (p *Publisher) Err() error { return p.current.Load().err }

// Documents returns the two documents as they are served, nil before there are any.
func (p *Publisher) Documents() (config, jwks []byte) {
	docs := p.current.Load()
	return slices.Clone(docs.config.data), slices.Clone(docs.jwks.data)
}

// Publish writes the documents that have changed below dir, at the paths at which a
// static host serves them. Each file is replaced atomically, the keys before the
// configuration. Call [Publisher.Refresh] first; without documents it fails.
//
// Configure the static host to send the content types application/json and
// application/jwk-set+json, and a Cache-Control like that of the handler.
func (p *Publisher) Publish(dir string) error {
	docs := p.current.Load()
	switch {
	case dir == "": // which would be the root of the file system
		return errors.New("discovery: publishing: no folder")
	case docs.config.data == nil:
		return fmt.Errorf("discovery: publishing: %w", docs.err)
	}
	if err := publishFile(dir, JWKSPath, docs.jwks.data); err != nil {
		return fmt.Errorf("discovery: publishing: %w", err)
	}
	if err := publishFile(dir, ConfigPath, docs.config.data); err != nil {
		return fmt.Errorf("discovery: publishing: %w", err)
	}
	return nil
}

// publishFile writes data to path, which uses slashes, below dir, unless it is
// there already.
func publishFile(dir, path string, data []byte) error {
	var disk files.Disk
	name := filepath.Join(dir, filepath.FromSlash(path))
	if old, _, _ := disk.ReadFile(name); string(old) == string(data) {
		return nil
	}
	if err := disk.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return files.Replace(disk, name, data, 0o644)
}
