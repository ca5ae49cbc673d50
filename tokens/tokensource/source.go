package tokensource

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/internal/flight"
	"github.com/kubesa/serviceaccount/tokens"
)

// When a [Source] gets a new token: after four fifths of the life of the old
// one or after a day, whichever comes first, as kubelets do, and up to a tenth
// of that time earlier, so that those who started together don't ask together.
const (
	renewAfter  = 24 * time.Hour
	renewJitter = 0.1
)

// Bounds of the calls of a [Source].
const (
	mintTimeout = 30 * time.Second
	maxMints    = 4 // that may be left hanging
	retryFirst  = time.Second
	retryMost   = time.Minute
)

// Config configures [New].
type Config struct {
	// Mint is required: it returns a new token, for example that of
	// [tokens.Issuer.Issue], or with [TokenOf] that of a TokenRequest, which client-go's
	// CreateToken and [tokenrequest.Requester.Create] make. It is called by one goroutine
	// at a time, whose context ends after MintTimeout. A token without Expiry
	// counts as one that doesn't expire.
	Mint func(ctx context.Context) (*tokens.Token, error)

	// UID, if set, returns the UID of the account, or of the object that the
	// tokens are bound to, as far as is known: fast, without asking a server.
	// When it changes, the object was deleted and made anew, and the old token,
	// which nobody accepts any more, is not served.
	UID func() types.UID

	// MintTimeout bounds one call of Mint. Zero means 30 seconds.
	MintTimeout time.Duration

	// Now returns the current time. If nil, [time.Now] is used.
	Now func() time.Time
}

// A ConfigError is one mistake in a [Config]: Config says which struct, Field
// which field, and Problem what is wrong with it.
type ConfigError = configerror.Error

// A Source is the client's side of bound tokens: it keeps one fresh. The first
// call of [Source.Token] gets one and later ones return it. A new one is got
// in the background once four fifths of its life or a day have passed, up to a
// tenth earlier. While that fails the old one is served until it expires, and
// Mint is called again after a second, later after up to a minute.
//
// There is one call of Mint at a time, however many ask. A Source has no
// goroutine but that of this call, so it needs no end. It is safe for
// concurrent use, and prints without the token.
type Source struct {
	cfg   Config
	guard *flight.Guard
	mints flight.Group[struct{}, *heldToken]

	mu       sync.Mutex
	held     *heldToken // nil for none
	err      error      // of the last call of Mint
	failures int        // of Mint, since it last succeeded
	retryAt  time.Time  // Mint isn't called before
}

// A heldToken is a token and what was known when it was asked for.
type heldToken struct {
	token tokens.Token
	uid   types.UID
	got   time.Time
	renew time.Time // when to get the next one
}

// New returns a Source, or a [*ConfigError] for each invalid field of cfg,
// joined. It doesn't call Mint.
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

// Token returns a token that has not expired; the caller may keep it. It waits
// only if there is none: for Mint, until ctx is done.
//
// The error is that of ctx, or wraps the one of Mint, or says what was wrong
// with what Mint returned. Within the pause after a failure it is the same one
// again. It never holds a token.
func (s *Source) Token(ctx context.Context) (*tokens.Token, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for {
		mint, held, err := s.ask()
		if held != nil || err != nil {
			return held, err
		}
		got, err := mint.Wait(ctx)
		if err != nil {
			return nil, err
		}
		// If the object has changed meanwhile, its token is of no use either.
		if got.uid == s.cfg.UID() {
			return got.copy(), nil
		}
	}
}

// ask returns the token that is there, or the call of Mint to wait for, or why
// there is neither.
func (s *Source) ask() (*flight.Call[*heldToken], *tokens.Token, error) {
	now, uid := s.cfg.Now(), s.cfg.UID()
	s.mu.Lock()
	defer s.mu.Unlock()
	good := s.held != nil && s.held.uid == uid && aliveAt(&s.held.token, now)
	if good && now.Before(s.held.renew) {
		return nil, s.held.copy(), nil
	}
	mint := s.mints.Running(struct{}{})
	if mint == nil && !now.Before(s.retryAt) {
		mint = s.mints.Start(context.Background(), struct{}{}, func(ctx context.Context) (*heldToken, error) { return s.renew(ctx, uid) })
	}
	switch {
	case good:
		return nil, s.held.copy(), nil
	case mint == nil:
		return nil, nil, s.err
	}
	return mint, nil, nil
}

// renew calls Mint and keeps what it returns.
func (s *Source) renew(ctx context.Context, uid types.UID) (held *heldToken, err error) {
	asked := s.cfg.Now()
	token, err := s.mint(ctx)
	now := s.cfg.Now()
	switch {
	case err != nil:
		err = fmt.Errorf("tokens: getting a new token: %w", err)
	case token == nil || token.Value == "":
		err = errors.New("tokens: getting a new token: Mint returned neither a token nor an error")
	case !aliveAt(token, now):
		err = fmt.Errorf("tokens: getting a new token: the one that Mint returned expired at %s", token.Expiry.UTC().Format(time.RFC3339))
	default:
		held = &heldToken{token: *token, uid: uid, got: now, renew: renewalOf(token, asked, rand.Float64())}
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
	if err != nil {
		s.failures++
		s.retryAt = now.Add(pauseAfter(s.failures))
	} else {
		s.held, s.failures, s.retryAt = held, 0, time.Time{}
	}
	return held, err
}

// mint calls Mint, for up to MintTimeout.
func (s *Source) mint(ctx context.Context) (*tokens.Token, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.MintTimeout)
	defer cancel()
	token, err := flight.Do(ctx, s.guard, s.cfg.Mint)
	if err == context.DeadlineExceeded && ctx.Err() != nil {
		err = fmt.Errorf("the function Mint took longer than %v: %w", s.cfg.MintTimeout, err)
	}
	return token, err
}

// Discard makes s forget the token with this value, because a server refused
// it. If s holds another one by now, or has got it less than a second ago, it
// stays: a server that refuses every token doesn't make s get one for every
// request.
func (s *Source) Discard(value string) {
	now := s.cfg.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held != nil && s.held.token.Value == value && now.Sub(s.held.got) >= retryFirst {
		s.held = nil
	}
}

// Err returns nil if the last call of Mint has succeeded or there was none,
// otherwise why it failed.
func (s *Source) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// String returns which token s holds, without its value.
func (s *Source) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held == nil {
		return "tokens.Source(no token)"
	}
	return fmt.Sprintf("tokens.Source(%v)", s.held.token)
}

// Format writes what String returns, whatever the verb.
func (s *Source) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// MarshalText returns what String returns, so that no encoder looks inside.
func (s *Source) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (h *heldToken) copy() *tokens.Token {
	t := h.token
	return &t
}

// aliveAt reports whether t has not expired at now.
func aliveAt(t *tokens.Token, now time.Time) bool { return t.Expiry.IsZero() || now.Before(t.Expiry) }

// renewalOf returns when to replace a token that was asked for at asked; random
// is from 0 to 1. Its life is taken to have begun then, because the clock of
// whoever made it may be another.
func renewalOf(t *tokens.Token, asked time.Time, random float64) time.Time {
	wait := renewAfter
	if !t.Expiry.IsZero() {
		wait = min(wait, t.Expiry.Sub(asked)/5*4)
	}
	return asked.Add(wait - time.Duration(random*renewJitter*float64(wait)))
}

// pauseAfter returns how long to wait after a number of failures in a row.
func pauseAfter(failures int) time.Duration {
	return min(retryMost, retryFirst<<min(failures-1, 10))
}
