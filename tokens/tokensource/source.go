package tokensource

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/internal/age"
	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/internal/flight"
	"github.com/kubesa/serviceaccount/internal/logvalue"
	"github.com/kubesa/serviceaccount/tokens"
)

// When a [Source] renews its token: after 80 % of the lifetime or after 24 hours,
// whichever comes first, as kubelets do, and up to 10 % of that time earlier, so
// that clients that started together don't renew together.
const (
	renewAfter  = 24 * time.Hour
	renewJitter = 0.1
)

// Bounds of the calls of a [Source].
const (
	mintTimeout = 30 * time.Second
	maxMints    = 4 // that may hang
	retryFirst  = time.Second
	retryMost   = time.Minute
)

// Config configures [New].
type Config struct {
	// Mint is required. It returns a new token, for example from
	// [tokenissuer.Issuer.Issue], or with [TokenOf] from client-go's CreateToken or
	// [tokenrequest.Requester.Create]. There is one call at a time, for whoever asks:
	// a Source has the tokens of one account of one tenant. Its context has none of
	// the values of theirs, and ends after MintTimeout. A token without Expiry doesn't expire.
	Mint func(ctx context.Context) (*tokens.Token, error)

	// UID, if set, returns the last known UID of the account, or of the object that
	// the tokens are bound to. It must be fast and send no request. If the UID has
	// changed, the object was recreated, which revoked the old token: it is no
	// longer returned.
	UID func() types.UID

	// MintTimeout bounds one call of Mint. Zero means 30 seconds.
	MintTimeout time.Duration

	// Observe, if set, is called after each call of Mint, with its context. It must be
	// fast, and must not call the Source.
	Observe func(ctx context.Context, e Event)

	// Now returns the current time. If nil, [time.Now] is used.
	Now func() time.Time
}

// An Event is one call of [Config.Mint]. It never holds the token.
type Event struct {
	CredentialID string    // of the new token
	Expiry       time.Time // of the token that is there now, zero if none or unknown
	Err          error     // nil if there is a new token
	Took         time.Duration

	// Panic and Stack are set if Mint panicked. The value may hold a secret.
	Panic any
	Stack []byte
}

// LogValue returns e for log/slog.
func (e Event) LogValue() slog.Value { return logvalue.Of(e) }

// A ConfigError is one mistake in a [Config]. It has the fields Config, Field and
// Problem. Only another config helps.
type ConfigError = configerror.Error

// A Source caches a bound token and renews it. The first call of [Source.Token]
// calls Mint; later calls return the cached token. The first call after 80 % of the
// token's lifetime or 24 hours, less a jitter of up to 10 %, renews it in the
// background. While that fails, the old token is returned until it expires, and Mint
// is retried with a back-off of one second to one minute.
//
// Concurrent calls share one call of Mint. A Source has no other goroutine than
// that of this call, so it needs no Close. It is safe for concurrent use, and prints
// without the token.
type Source struct {
	cfg   Config
	guard *flight.Guard
	mints flight.Group[struct{}, *heldToken]

	mu       sync.Mutex
	held     *heldToken // nil for none
	err      error      // of the last call of Mint
	failures int        // of Mint, since it last succeeded
	backOff  age.Span   // in which Mint isn't called
}

// A heldToken is a token, with the UID that was known when it was requested.
type heldToken struct {
	token tokens.Token
	uid   types.UID
	got   time.Time
	fresh age.Span // then it is time to get the next one
}

// New returns a Source, or an error naming every invalid field, each as a
// [*ConfigError]. It doesn't call Mint.
func New(cfg Config) (*Source, error) {
	mistakes := configerror.List{Config: "tokensource.Config"}
	mistakes.Require("Mint", cfg.Mint, "a function that returns a new token")
	configerror.NotNegative(&mistakes, "MintTimeout", cfg.MintTimeout)
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	if cfg.UID == nil {
		cfg.UID = func() types.UID { return "" }
	}
	if cfg.MintTimeout == 0 {
		cfg.MintTimeout = mintTimeout
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Source{cfg: cfg, guard: flight.NewGuard("the function Mint", maxMints)}, nil
}

// Token returns a token that has not expired; the caller may keep it. Without a
// cached token it waits for Mint, until ctx is done.
//
// The error is that of ctx, wraps that of Mint, or says what is wrong with the token
// that Mint returned. During the back-off after a failure the same error is returned
// again. It never contains a token.
func (s *Source) Token(ctx context.Context) (*tokens.Token, error) {
	for ctx.Err() == nil {
		mint, held, err := s.ask()
		if mint == nil {
			return held, err
		}
		got, err := mint.Wait(ctx)
		if err != nil {
			return nil, err
		}
		// If the object was recreated meanwhile, this token is revoked, too.
		if got.uid == s.cfg.UID() {
			return got.copy(), nil
		}
	}
	return nil, ctx.Err()
}

// ask returns the cached token, or the call of Mint to wait for, or the error of
// the last call during its back-off.
func (s *Source) ask() (mint *flight.Call[*heldToken], held *tokens.Token, err error) {
	now, uid := s.cfg.Now(), s.cfg.UID()
	s.mu.Lock()
	defer s.mu.Unlock()
	good := s.held != nil && s.held.uid == uid && aliveAt(&s.held.token, now)
	if !s.backOff.Holds(now) && !(good && s.held.fresh.Holds(now)) {
		mint = s.mints.Start(context.Background(), struct{}{}, func(ctx context.Context) (*heldToken, error) { return s.renew(ctx, uid) })
	}
	if good {
		return nil, s.held.copy(), nil
	}
	return mint, nil, s.err
}

// renew calls Mint and caches its result.
func (s *Source) renew(ctx context.Context, uid types.UID) (held *heldToken, err error) {
	asked, began := s.cfg.Now(), time.Now()
	token, err := s.mint(ctx)
	took := time.Since(began)
	now := s.cfg.Now()
	switch {
	case err != nil:
		err = fmt.Errorf("tokensource: getting a new token: %w", err)
	case token == nil || token.Value == "":
		err = errors.New("tokensource: getting a new token: Mint returned neither a token nor an error")
	case !aliveAt(token, now):
		err = fmt.Errorf("tokensource: getting a new token: the one that Mint returned expired at %s", token.Expiry.UTC().Format(time.RFC3339))
	default:
		held = &heldToken{token: *token, uid: uid, got: now, fresh: age.Span{From: asked, Until: renewalOf(token, asked, rand.Float64())}}
	}

	e := Event{Expiry: s.note(held, err, now), Err: err, Took: took}
	if held != nil {
		e.CredentialID = held.token.CredentialID()
	}
	e.Panic, e.Stack = flight.PanicOf(err)
	if s.cfg.Observe != nil {
		s.cfg.Observe(ctx, e)
	}
	return held, err
}

// note remembers the result of Mint, and returns the expiry of the token that is there.
func (s *Source) note(held *heldToken, err error, now time.Time) (expiry time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
	if err != nil {
		s.failures++
		s.backOff = age.Span{From: now, Until: now.Add(pauseAfter(s.failures))}
	} else {
		s.held, s.failures, s.backOff = held, 0, age.Span{}
	}
	if s.held != nil {
		expiry = s.held.token.Expiry
	}
	return expiry
}

// mint calls Mint, and waits for up to MintTimeout.
func (s *Source) mint(ctx context.Context) (*tokens.Token, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.MintTimeout)
	defer cancel()
	token, err := flight.Do(ctx, s.guard, s.cfg.Mint)
	if err != nil && err == ctx.Err() {
		err = fmt.Errorf("the function Mint took longer than %v: %w", s.cfg.MintTimeout, err)
	}
	return token, err
}

// Discard removes the token with this value from the cache, because a server rejected
// it. It does nothing if s has another token by now, or if the token is less than a
// second old: a server that rejects every token doesn't cause a call of Mint for
// every request.
func (s *Source) Discard(value string) {
	now := s.cfg.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held != nil && s.held.token.Value == value && !(age.Span{From: s.held.got, Until: s.held.got.Add(retryFirst)}).Holds(now) {
		s.held = nil
	}
}

// Err returns the error of the last call of Mint, or nil if it succeeded or there was
// none.
func (s *Source) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// String describes the cached token, without its value.
func (s *Source) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held == nil {
		return "tokensource.Source(no token)"
	}
	return fmt.Sprintf("tokensource.Source(%v)", s.held.token)
}

// Format writes what String returns, whatever the verb.
func (s *Source) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// MarshalText returns what String returns, so that no encoder writes the token.
func (s *Source) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (h *heldToken) copy() *tokens.Token {
	t := h.token
	return &t
}

// aliveAt reports whether t has not expired at now.
func aliveAt(t *tokens.Token, now time.Time) bool { return t.Expiry.IsZero() || now.Before(t.Expiry) }

// renewalOf returns when to renew a token that was requested at asked; random is
// from 0 to 1. Its lifetime counts from then, because the issuer's clock may differ.
func renewalOf(t *tokens.Token, asked time.Time, random float64) time.Time {
	wait := renewAfter
	if !t.Expiry.IsZero() {
		wait = min(wait, t.Expiry.Sub(asked)/5*4)
	}
	return asked.Add(wait - time.Duration(random*renewJitter*float64(wait)))
}

// pauseAfter returns the back-off after a number of failures in a row.
func pauseAfter(failures int) time.Duration {
	return min(retryMost, retryFirst<<min(failures-1, 6))
}
