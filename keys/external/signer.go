package external

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/kubesa/serviceaccount/internal/age"
	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/internal/flight"
	"github.com/kubesa/serviceaccount/internal/jose"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/internal/wrap"
)

// Times of the external signer (KEY-44).
const (
	retryInterval = 10 * time.Second // also the limit of one fetch
	waitLimit     = time.Minute
)

// coolDown is the shortest time between two fetches that unknown ids cause,
// and between two that Run makes.
const coolDown = time.Second

// How many calls of a service may be under way or hang.
const (
	maxSignCalls  = 64
	maxOtherCalls = 4
)

// SignerConfig configures [NewSigner].
type SignerConfig struct {
	// Service has the keys. Required.
	Service Service
	// AllowUnpublished also accepts signatures of keys that are excluded from
	// discovery, which verifiers elsewhere reject.
	AllowUnpublished bool
	// Observe, if set, is called after each call of Service, with its context or, of
	// FetchKeys, the values of the context of the call that started it. It must not wait
	// for the Signer.
	Observe func(ctx context.Context, e Event)
	// Now returns the current time. If nil, time.Now is used.
	Now func() time.Time
}

// A Signer is a [keys.Signer] and a [keys.Source] whose keys another process
// holds. Every token is checked against its keys before it is returned.
//
// The caller runs [Signer.Run], which keeps the keys fresh. It is safe for
// concurrent use. Calls of the service that panic or hang are errors.
type Signer struct {
	cfg     SignerConfig
	clock   age.Clock
	signing *flight.Guard
	others  *flight.Guard
	fetches flight.Group[struct{}, struct{}]

	mu      sync.Mutex
	set     *keys.Set
	stamp   time.Time
	fetched age.Time      // when the fetch of set began
	hint    time.Duration // the age at which set is fetched again
	ended   age.Time      // when the last fetch ended
	err     error         // of the last fetch
	waiting int           // calls that wait in case an unknown id is new
}

// Who asks for an unknown key while the service is slow, which anyone can do, must not
// occupy all who authenticate tokens: maxWaiting calls wait, up to maxWait.
const (
	maxWaiting = 2
	maxWait    = 2 * time.Second
)

// NewSigner returns a Signer, or an error naming every invalid field, each as a
// [*ConfigError]. It fetches nothing: the keys are fetched when they are first
// needed, by [Signer.Run], or by [Signer.WaitForKeys].
func NewSigner(cfg SignerConfig) (*Signer, error) {
	list := configerror.List{Config: "external.SignerConfig"}
	list.Require("Service", cfg.Service, "an external.Service")
	if err := list.Err(); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Signer{
		cfg: cfg, clock: cfg.Now, set: keys.SetOf(nil),
		signing: flight.NewGuard("the external signer", maxSignCalls),
		others:  flight.NewGuard("the external signer", maxOtherCalls),
	}, nil
}

// WaitForKeys fetches the keys for the first time: it tries for a minute, every ten
// seconds, and gives up with the reason of the last attempt. Call it at the start, as
// kube-apiserver does. With keys it returns nil immediately.
func (s *Signer) WaitForKeys(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, waitLimit)
	defer cancel()
	var last error
	for !s.hasKeys() {
		err := s.Refresh(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		if !sleep(ctx, retryInterval) {
			return wrap.Errorf(last, "external: while setting up external-jwt-signer: while initially filling key cache")
		}
	}
	return nil
}

func (s *Signer) hasKeys() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(allKeys(s.set)) > 0
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
// while that fails, until ctx is done. Meanwhile the last good keys are used, and
// [Signer.Err] says why.
func (s *Signer) Run(ctx context.Context) {
	for sleep(ctx, s.untilNextFetch()) {
		_ = s.Refresh(ctx) // kept for Err
	}
}

func (s *Signer) untilNextFetch() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended.IsZero():
		return 0
	case s.err != nil:
		return retryInterval
	}
	return max(s.untilHint(), coolDown)
}

// untilHint returns the time until the service wants the keys to be fetched again. The
// caller holds mu.
func (s *Signer) untilHint() time.Duration {
	return max(0, s.hint-s.clock.Now().Of(s.fetched))
}

// Refresh fetches the keys now, or waits for the fetch that is under way. Its error is
// that of [Signer.Err] or of ctx.
func (s *Signer) Refresh(ctx context.Context) error {
	_, err := s.fetches.Do(ctx, struct{}{}, s.fetch)
	return err
}

// fetch calls the service for everyone who waits.
func (s *Signer) fetch(ctx context.Context) (struct{}, error) {
	began, start := s.clock.Now(), time.Now()
	limited, cancel := context.WithTimeout(ctx, retryInterval)
	answer, err := flight.Do(limited, s.others, s.cfg.Service.FetchKeys)
	cancel()
	e := newEvent(MethodFetchKeys, start, err)
	var set *keys.Set
	if err == nil {
		set, err = answer.check()
	}
	if err != nil {
		err = wrap.Errorf(err, "external: while fetching token verification keys")
	}

	s.mu.Lock()
	changed := false
	if err == nil {
		changed = !s.stamp.Equal(answer.DataTimestamp) || !slices.EqualFunc(allKeys(set), allKeys(s.set), samePublished)
		s.set, s.stamp, s.fetched, s.hint = set, answer.DataTimestamp, began, answer.RefreshHint
	}
	s.err, s.ended = err, s.clock.Now()
	e.Keys, e.Changed, e.DataTimestamp, e.Err = len(allKeys(s.set)), changed, s.stamp, err
	s.mu.Unlock()
	if s.cfg.Observe != nil {
		s.cfg.Observe(ctx, e)
	}
	return struct{}{}, err
}

func allKeys(set *keys.Set) []keys.PublicKey {
	list, _ := set.PublicKeys(context.Background(), "")
	return list
}

// PublicKeys implements [keys.Source]. An unknown id makes it fetch the keys, but not
// within a second of the last fetch, so that tokens with made-up ids don't burden the
// service. Until there are keys everyone waits for them; after that, two calls at a
// time wait for an unknown one, up to two seconds.
//
// The error wraps [keys.ErrUnavailable] or is that of ctx. An unknown id gives such an
// error unless the keys were fetched since this call began: the key may be new.
func (s *Signer) PublicKeys(ctx context.Context, id string) ([]keys.PublicKey, error) {
	s.mu.Lock()
	list, _ := s.set.PublicKeys(ctx, id)
	err, empty := s.err, len(allKeys(s.set)) == 0
	cool := s.clock.Now().Since(s.ended) < coolDown
	crowded := s.waiting >= maxWaiting
	waits := len(list) == 0 && !cool && !crowded
	if waits && !empty {
		s.waiting++
	}
	s.mu.Unlock()
	switch {
	case len(list) > 0:
		return list, nil
	case cool && err != nil:
		return nil, fmt.Errorf("%w: %w", keys.ErrUnavailable, err)
	case !waits:
		return nil, fmt.Errorf("%w: the key was not there a moment ago", keys.ErrUnavailable)
	case empty:
		return s.fetchFor(ctx, ctx, id, false)
	}
	defer func() { s.mu.Lock(); s.waiting--; s.mu.Unlock() }()
	limited, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	return s.fetchFor(ctx, limited, id, false)
}

// fetchFor returns the keys called id after a fetch. It waits for one that is under way,
// which may miss a new key; then, if sure is set, for another one.
func (s *Signer) fetchFor(ctx, waiting context.Context, id string, sure bool) ([]keys.PublicKey, error) {
	joined := s.fetches.Running(struct{}{}) != nil
	list, err := s.refreshed(ctx, waiting, id)
	switch {
	case err != nil || len(list) > 0 || !joined:
		return list, err
	case sure:
		return s.refreshed(ctx, waiting, id)
	}
	return nil, fmt.Errorf("%w: the key was not there when the fetch began that has just ended", keys.ErrUnavailable)
}

// refreshed returns the keys called id after one fetch.
func (s *Signer) refreshed(ctx, waiting context.Context, id string) ([]keys.PublicKey, error) {
	err := s.Refresh(waiting)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case waiting.Err() != nil:
		return nil, fmt.Errorf("%w: the key is not known, and they are being fetched", keys.ErrUnavailable)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", keys.ErrUnavailable, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.set.PublicKeys(ctx, id)
}

// signingKeys returns the keys of what the service has just signed: nobody makes up
// their id, so they are fetched now if they are unknown.
func (s *Signer) signingKeys(ctx context.Context, id string) ([]keys.PublicKey, error) {
	s.mu.Lock()
	list, _ := s.set.PublicKeys(ctx, id)
	s.mu.Unlock()
	if len(list) > 0 {
		return list, nil
	}
	return s.fetchFor(ctx, ctx, id, true)
}

// MaxAge returns the time until the keys are fetched again, in whole seconds.
func (s *Signer) MaxAge() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.untilHint().Truncate(time.Second)
}

// Err returns why the last fetch failed: nil if it succeeded or there was none.
func (s *Signer) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Sign implements [keys.Signer]. Its errors have the texts of Kubernetes; if the
// service's own keys don't verify what it signed, they wrap [keys.ErrMismatch].
func (s *Signer) Sign(ctx context.Context, payload []byte) (string, error) {
	claims, start := base64.RawURLEncoding.EncodeToString(payload), time.Now()
	signed, err := flight.Do(ctx, s.signing, func(ctx context.Context) (signed [2]string, err error) {
		signed[0], signed[1], err = s.cfg.Service.Sign(ctx, claims)
		return signed, err
	})
	e := newEvent(MethodSign, start, err)
	token := ""
	if err != nil {
		err = wrap.Errorf(err, "external: while signing jwt")
	} else {
		token, err = s.checked(ctx, claims, signed[0], signed[1])
	}
	if e.Err = err; s.cfg.Observe != nil {
		s.cfg.Observe(ctx, e)
	}
	return token, err
}

// checked returns the token that the service has signed, if one of its keys verifies it.
func (s *Signer) checked(ctx context.Context, claims, header, signature string) (string, error) {
	id, err := parseHeader(header)
	if err != nil {
		return "", wrap.Errorf(err, "external: while validating header")
	}
	if signature == "" {
		return "", errors.New("external: empty signature returned")
	}
	list, err := s.signingKeys(ctx, id)
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
		if key.Unpublished && !s.cfg.AllowUnpublished {
			return "", fmt.Errorf("external: while validating header: key used for signing JWT (kid: %s) is excluded from OIDC discovery docs", id)
		}
		return raw, nil
	}
	return "", fmt.Errorf("%w: of %d keys with the id of the header none verifies", keys.ErrMismatch, len(list))
}
