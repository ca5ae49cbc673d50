package external

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/kubesa/serviceaccount/internal/jose"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/internal/wrap"
)

// Times of the external signer (KEY-44).
const (
	externalRetry     = 10 * time.Second
	externalFillLimit = time.Minute
)

// externalCoolDown is the shortest time between two fetches that unknown ids cause,
// and between two that Run makes.
const externalCoolDown = time.Second

// An Service is the three calls of ExternalJWTSigner, the plug-in of
// Kubernetes by which another process holds the keys. It must be safe for
// concurrent use, and its calls must return when their context is done.
type Service interface {
	// Sign signs claims, a payload in base64url without padding, and returns
	// the header and the signature that belong to it in the same encoding.
	Sign(ctx context.Context, claims string) (header, signature string, err error)
	// FetchKeys returns all keys that verify tokens.
	FetchKeys(ctx context.Context) (*Keys, error)
	// MaxTokenLifetime returns how long the tokens may last that Sign signs.
	MaxTokenLifetime(ctx context.Context) (time.Duration, error)
}

// Keys is what [Service].FetchKeys returns.
type Keys struct {
	Keys          []Key
	DataTimestamp time.Time     // when the keys were last changed
	RefreshHint   time.Duration // when to fetch them again
}

// An Key is a public key in PKIX DER, under the id that its owner has
// given it.
type Key struct {
	ID                   string
	PKIX                 []byte
	ExcludeFromDiscovery bool
}

// SignerConfig configures [NewSigner].
type SignerConfig struct {
	Service Service // required
	// AllowUnpublished also accepts signatures of keys that are excluded from
	// discovery, which verifiers elsewhere refuse.
	AllowUnpublished bool
	// OnChange, if set, is called after the keys have changed, by whoever has
	// fetched them.
	OnChange func()
	// Now returns the current time. If nil, time.Now is used.
	Now func() time.Time
}

// An Signer is a [keys.Signer] and a [keys.Source] whose keys another process
// holds. Every token is checked against its keys before it is returned.
//
// The caller runs [Signer.Run], which keeps the keys fresh. It is safe
// for concurrent use.
type Signer struct {
	service          Service
	allowUnpublished bool
	onChange         func()
	now              func() time.Time

	mu      sync.Mutex
	set     *keys.Set
	stamp   time.Time
	next    time.Time // when to fetch again
	ended   time.Time // when the last fetch ended
	err     error     // of the last fetch
	running *externalFetch
}

// An externalFetch is one call of FetchKeys that many may wait for.
type externalFetch struct {
	done chan struct{}
	err  error
}

// NewSigner returns an Signer that has its keys. It tries to
// fetch them for a minute, every ten seconds (KEY-44), and gives up with the
// reason of the last attempt.
func NewSigner(ctx context.Context, cfg SignerConfig) (*Signer, error) {
	if cfg.Service == nil {
		return nil, errors.New("keys: external signer: no Service")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Signer{service: cfg.Service, allowUnpublished: cfg.AllowUnpublished, onChange: cfg.OnChange, now: cfg.Now, set: keys.SetOf(nil)}
	ctx, cancel := context.WithTimeout(ctx, externalFillLimit)
	defer cancel()
	var last error
	for {
		err := s.Refresh(ctx)
		if err == nil {
			return s, nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		if !sleep(ctx, externalRetry) {
			return nil, wrap.Errorf(last, "keys: while setting up external-jwt-signer: while initially filling key cache")
		}
	}
}

// sleep reports whether d has passed before ctx was done.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Run fetches the keys again when the service wants it, and every ten seconds
// while that fails, until ctx is done. Meanwhile the keys that were there stay,
// and [Signer.Err] says why.
func (s *Signer) Run(ctx context.Context) {
	for {
		s.mu.Lock()
		wait := s.next.Sub(s.now())
		if s.err != nil {
			wait = externalRetry
		}
		s.mu.Unlock()
		if !sleep(ctx, max(wait, externalCoolDown)) {
			return
		}
		_ = s.Refresh(ctx) // kept for Err
	}
}

// Refresh fetches the keys now, or waits for the fetch that is under way.
func (s *Signer) Refresh(ctx context.Context) error {
	s.mu.Lock()
	f := s.running
	if f == nil {
		f = &externalFetch{done: make(chan struct{})}
		s.running = f
		go s.fetch(ctx, f)
	}
	s.mu.Unlock()
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fetch calls the service for everyone who waits for f; ctx is that of the
// first.
func (s *Signer) fetch(ctx context.Context, f *externalFetch) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), externalRetry)
	answer, err := s.fetchKeys(ctx)
	cancel()
	var set *keys.Set
	if err == nil {
		set, err = answer.check()
	}
	if err != nil {
		err = wrap.Errorf(err, "keys: while fetching token verification keys")
	}

	s.mu.Lock()
	changed := false
	if err == nil {
		changed = !s.stamp.Equal(answer.DataTimestamp) || !slices.EqualFunc(allKeys(set), allKeys(s.set), samePublished)
		s.set, s.stamp, s.next = set, answer.DataTimestamp, s.now().Add(answer.RefreshHint)
	}
	s.err, s.running, s.ended, f.err = err, nil, s.now(), err
	s.mu.Unlock()
	close(f.done)
	if changed && s.onChange != nil {
		s.onChange()
	}
}

func allKeys(set *keys.Set) []keys.PublicKey {
	list, _ := set.PublicKeys(context.Background(), "")
	return list
}

// fetchKeys calls the service, whose panic is an error.
func (s *Signer) fetchKeys(ctx context.Context) (answer *Keys, err error) {
	defer recovered(&err)
	return s.service.FetchKeys(ctx)
}

// callSign calls the service, whose panic is an error.
func (s *Signer) callSign(ctx context.Context, claims string) (header, signature string, err error) {
	defer recovered(&err)
	return s.service.Sign(ctx, claims)
}

// check returns the keys, or what is wrong with them (KEY-42).
func (a *Keys) check() (*keys.Set, error) {
	switch {
	case a == nil:
		return nil, errors.New("found no keys")
	case a.RefreshHint <= 0:
		return nil, fmt.Errorf("found invalid refresh hint (%ds)", int64(a.RefreshHint/time.Second))
	case len(a.Keys) == 0:
		return nil, errors.New("found no keys")
	case a.DataTimestamp.IsZero():
		return nil, errors.New("invalid data timestamp: it is not set")
	}
	list := make([]keys.PublicKey, len(a.Keys))
	for i, key := range a.Keys {
		if key.ID == "" || len(key.ID) > 1024 {
			return nil, fmt.Errorf("found invalid public key id %.64q", key.ID)
		}
		if len(key.PKIX) == 0 {
			return nil, errors.New("found empty public key")
		}
		pub, err := x509.ParsePKIXPublicKey(key.PKIX)
		if err != nil {
			return nil, errors.New("while parsing external public keys: not PKIX DER")
		}
		public, err := keys.NewPublicKey(pub)
		if err != nil {
			return nil, wrap.Errorf(err, "keys: while parsing external public keys")
		}
		public.ID, public.Unpublished = key.ID, key.ExcludeFromDiscovery
		list[i] = public
	}
	return keys.SetOf(list), nil
}

// PublicKeys implements [keys.Source]. An id that isn't known makes it fetch the keys,
// but not within a second of the last fetch, so that tokens with made-up ids don't
// burden the service. If the last fetch failed, the error wraps [keys.ErrUnavailable].
func (s *Signer) PublicKeys(ctx context.Context, id string) ([]keys.PublicKey, error) {
	return s.lookup(ctx, id, externalCoolDown)
}

// lookup is PublicKeys with a cool-down of its own.
func (s *Signer) lookup(ctx context.Context, id string, coolDown time.Duration) ([]keys.PublicKey, error) {
	s.mu.Lock()
	list, _ := s.set.PublicKeys(ctx, id)
	age, err := s.now().Sub(s.ended), s.err
	s.mu.Unlock()
	switch cool := age >= 0 && age < coolDown; {
	case len(list) > 0:
		return list, nil
	case cool && err != nil:
		return nil, fmt.Errorf("%w: %w", keys.ErrUnavailable, err)
	case cool:
		return nil, nil
	}
	if err := s.Refresh(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", keys.ErrUnavailable, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.set.PublicKeys(ctx, id)
}

// MaxAge returns the whole seconds until the keys are fetched again (KEY-46).
func (s *Signer) MaxAge() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(0, s.next.Sub(s.now())).Truncate(time.Second)
}

// Err returns nil if the last fetch has succeeded, otherwise why it failed.
func (s *Signer) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Sign implements [keys.Signer]. The errors are those of Kubernetes (KEY-40, KEY-41),
// and [keys.ErrMismatch] if the service's own keys don't verify what it signed.
func (s *Signer) Sign(ctx context.Context, payload []byte) (string, error) {
	claims := base64.RawURLEncoding.EncodeToString(payload)
	header, signature, err := s.callSign(ctx, claims)
	if err != nil {
		return "", wrap.Errorf(err, "keys: while signing jwt")
	}
	id, err := parseExternalHeader(header)
	if err != nil {
		return "", wrap.Errorf(err, "keys: while validating header")
	}
	if signature == "" {
		return "", errors.New("keys: empty signature returned")
	}
	list, err := s.lookup(ctx, id, 0) // nobody makes up what the service signs with
	if err != nil {
		return "", err
	}
	raw := header + "." + claims + "." + signature
	token, err := jose.Parse(raw, 0)
	if err != nil {
		return "", fmt.Errorf("%w: %w", keys.ErrMismatch, err)
	}
	for _, key := range list {
		if token.Verify(key.Key) != nil {
			continue
		}
		if key.Unpublished && !s.allowUnpublished {
			return "", fmt.Errorf("keys: while validating header: key used for signing JWT (kid: %s) is excluded from OIDC discovery docs", id)
		}
		return raw, nil
	}
	return "", fmt.Errorf("%w: of %d keys with the id of the header none verifies", keys.ErrMismatch, len(list))
}
