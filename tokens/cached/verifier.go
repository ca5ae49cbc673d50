package cached

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/internal/flight"
	"github.com/kubesa/serviceaccount/internal/logvalue"
	"github.com/kubesa/serviceaccount/tenant"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/inspect"
	"github.com/kubesa/serviceaccount/tokens/internal/bounded"
)

// DefaultMaxBytes is the default of [Config.MaxBytes].
const DefaultMaxBytes = 16 << 20

// Bounds of the calls of the Verifier.
const (
	defaultTimeout = 30 * time.Second
	maxCalls       = 1024 // at a time, and so those that may be left hanging
)

// Config configures [New].
type Config struct {
	Verifier tokens.Verifier // required

	// TTL is required: how long an accepted token isn't checked again, counted from the
	// question. Kubernetes caches the answers to its TokenReviews for 10 s.
	TTL time.Duration

	// NegativeTTL is the same for tokens that are rejected or not recognized: a few
	// seconds at most. Zero means that they are not remembered.
	NegativeTTL time.Duration

	// MaxBytes bounds the memory of the accepted tokens; a quarter of it is that of the
	// others. Zero means [DefaultMaxBytes].
	MaxBytes int64

	// Timeout bounds one call of the Verifier. Zero means 30 s.
	Timeout time.Duration

	// Observe, if set, is called before Authenticate returns, with its context. It must
	// be fast and safe for concurrent use. The Verifier's own Observe is called only
	// when it is asked, with the values of the context of the first who did.
	Observe func(ctx context.Context, e Event)
}

// A ConfigError is one mistake in a [Config]. It has the fields Config, Field and
// Problem. Only another config helps.
type ConfigError = configerror.Error

// An Event is one call of Authenticate. It never holds the token.
type Event struct {
	Identity *tokens.Identity // nil unless the token was accepted
	Err      error            // as returned
	Hit      bool             // the Verifier was not asked
	Asked    bool             // it was, by this call; if neither, another call's question was joined
	Took     time.Duration    // by Authenticate

	// Panic and Stack are set if the Verifier panicked.
	Panic any
	Stack []byte
}

// LogValue returns e for log/slog.
func (e Event) LogValue() slog.Value { return logvalue.Of(e) }

// A Verifier caches the answers of another one. It is safe for concurrent use if that
// is, and implements [tokens.Verifier].
type Verifier struct {
	cfg                Config
	guard              *flight.Guard
	calls              flight.Group[key, answer]
	accepted, rejected *bounded.Cache[key, answer]

	mu sync.Mutex // held by who starts a call or stores its answer
}

// New returns a Verifier, or an error naming every invalid field, each as a
// [*ConfigError].
func New(cfg Config) (*Verifier, error) {
	mistakes := configerror.List{Config: "cached.Config"}
	mistakes.Require("Verifier", cfg.Verifier, "a tokens.Verifier")
	if cfg.TTL <= 0 {
		mistakes.Add("TTL", "is %v, want more than 0", cfg.TTL)
	}
	configerror.NotNegative(&mistakes, "NegativeTTL", cfg.NegativeTTL)
	configerror.NotNegative(&mistakes, "MaxBytes", cfg.MaxBytes)
	configerror.NotNegative(&mistakes, "Timeout", cfg.Timeout)
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = DefaultMaxBytes
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	return &Verifier{
		cfg:      cfg,
		guard:    flight.NewGuard("the Verifier", maxCalls),
		calls:    flight.Group[key, answer]{JoinWithin: cfg.TTL},
		accepted: bounded.New[key, answer](cfg.MaxBytes),
		rejected: bounded.New[key, answer](cfg.MaxBytes / 4),
	}, nil
}

// A key is a hash of all that an answer depends on (TRC-23).
type key [sha256.Size]byte

// keyOf returns the key of a question. Each part has its length before it, so that no two
// questions have the same text.
func keyOf(tenant, token string, audiences []string) key {
	var usual [2048]byte
	text := usual[:0]
	add := func(part string) {
		text = binary.BigEndian.AppendUint64(text, uint64(len(part)))
		text = append(text, part...)
	}
	add(tenant)
	add(token)
	for _, audience := range audiences {
		add(audience)
	}
	return sha256.Sum256(text)
}

// An answer is what the Verifier returned, and how long that counts.
type answer struct {
	identity *tokens.Identity // nil if the token was not accepted
	err      error
	began    time.Time // with the reading of the monotonic clock
	ttl      time.Duration
}

// counts reports whether a still counts at now.
func (a *answer) counts(now time.Time) bool { return now.Sub(a.began) < a.ttl }

// Authenticate implements [tokens.Verifier]. Its errors are those of the Verifier, that
// of ctx, or a [*tokens.UnavailableError] if the Verifier panics or hangs.
func (v *Verifier) Authenticate(ctx context.Context, token string, audiences ...string) (*tokens.Identity, error) {
	began := time.Now()
	a, how := v.answer(ctx, token, audiences)
	identity := copyOf(a.identity)
	if v.cfg.Observe != nil {
		e := Event{Identity: identity, Err: a.err, Hit: how == remembered, Asked: how == asked, Took: time.Since(began)}
		e.Panic, e.Stack = flight.PanicOf(a.err)
		v.cfg.Observe(ctx, e)
	}
	return identity, a.err
}

// copyOf returns an Identity that belongs to the caller.
func copyOf(id *tokens.Identity) *tokens.Identity {
	if id == nil {
		return nil
	}
	c := *id
	c.Audiences = slices.Clone(id.Audiences)
	return &c
}

// A way is how an answer was got.
type way int

const (
	none way = iota // the caller's context was done
	joined
	asked
	remembered
)

// answer returns what is known, or asks. It never takes the answer of a call that began
// so long ago that it doesn't count any more.
func (v *Verifier) answer(ctx context.Context, token string, audiences []string) (a answer, how way) {
	if err := ctx.Err(); err != nil {
		return answer{err: unavailable(err)}, none
	}
	k := keyOf(tenant.Of(ctx), token, audiences)
	if a, ok := v.known(k); ok {
		return a, remembered
	}
	wanted := slices.Clone(audiences)
	for began := time.Now(); ; {
		v.mu.Lock()
		if a, ok := v.known(k); ok { // stored meanwhile
			v.mu.Unlock()
			return a, remembered
		}
		how := asked
		if v.calls.Running(k) != nil {
			how = joined
		}
		call := v.calls.Start(ctx, k, func(ctx context.Context) (answer, error) { return v.ask(ctx, k, token, wanted), nil })
		v.mu.Unlock()
		a, err := call.Wait(ctx)
		switch {
		case err != nil:
			return answer{err: unavailable(err)}, how
		case !isAnswer(a.err), !call.Began().Before(began), a.counts(time.Now()):
			return a, how
		}
	}
}

// isAnswer reports whether an error of the Verifier, or none, says what the token is.
func isAnswer(err error) bool {
	_, invalid := errors.AsType[*tokens.InvalidError](err)
	return err == nil || invalid || errors.Is(err, tokens.ErrNotRecognized)
}

func unavailable(err error) error { return &tokens.UnavailableError{Subject: "token", Err: err} }

// known returns the answer for k that still counts.
func (v *Verifier) known(k key) (answer, bool) {
	now := time.Now()
	a, _ := v.accepted.Get(k)
	if !a.counts(now) {
		a, _ = v.rejected.Get(k)
	}
	return a, a.counts(now)
}

// ask calls the Verifier and remembers its answer. No answer that counts is lost to an older
// one: that took longer than TTL, so that it counts no more, or it is a rejection, and known
// looks at those that are accepted first.
func (v *Verifier) ask(ctx context.Context, k key, token string, audiences []string) answer {
	a := answer{began: time.Now()}
	ctx, cancel := context.WithTimeout(ctx, v.cfg.Timeout)
	defer cancel()
	id, err := flight.Do(ctx, v.guard, func(ctx context.Context) (*tokens.Identity, error) {
		return v.cfg.Verifier.Authenticate(ctx, token, audiences...)
	})
	if err == nil && id == nil {
		err = errors.New("the Verifier returned neither an Identity nor an error")
	}
	if _, ok := errors.AsType[*tokens.UnavailableError](err); !ok && !isAnswer(err) {
		err = unavailable(err)
	}
	a.err = err
	answers := v.rejected
	if err == nil {
		a.identity, a.ttl, answers = copyOf(id), v.lifetime(id, token), v.accepted
	} else if isAnswer(err) {
		a.ttl = v.cfg.NegativeTTL
	}
	if a.ttl > 0 {
		size := bounded.SizeOf(&a, v.cfg.MaxBytes)
		v.mu.Lock()
		defer v.mu.Unlock()
		answers.Add(k, a, size)
	}
	return a
}

// lifetime returns how long an accepted token counts: no longer than it lives, by the
// Identity or else by what it says of itself, which shortens the time only (TRC-41).
func (v *Verifier) lifetime(id *tokens.Identity, token string) time.Duration {
	expiry := id.Expiry
	if expiry.IsZero() {
		if claims, err := inspect.PeekUnverified(token); err == nil {
			expiry = claims.Expiry
		}
	}
	if expiry.IsZero() {
		return v.cfg.TTL
	}
	return min(v.cfg.TTL, time.Until(expiry))
}
