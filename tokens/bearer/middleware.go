package bearer

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/internal/flight"
	"github.com/kubesa/serviceaccount/internal/logvalue"
	"github.com/kubesa/serviceaccount/tokens"
)

// Config configures [New].
type Config struct {
	// Verifier is required.
	Verifier tokens.Verifier

	// Audiences are those that a token must be issued for, at least one of them. If
	// empty, those of the Verifier.
	Audiences []string

	// Policy denies ServiceAccounts with 403, before Authorize is asked.
	Policy tokens.Policy

	// Authorize, if set, decides whether the ServiceAccount may send r: an error
	// denies it with 403, or with what the error says if it is a
	// [*tokens.UnavailableError]. Only Observe gets the error. If nil, every
	// authenticated ServiceAccount may.
	Authorize func(r *http.Request, id *tokens.Identity) error

	// Realm is that of WWW-Authenticate, in printable ASCII without quotes. Empty
	// means none.
	Realm string

	// Fail, if set, answers requests that don't reach the handler, for example with
	// a metav1.Status. If nil, they get f.Text as text/plain.
	Fail func(w http.ResponseWriter, r *http.Request, f Failure)

	// KeepToken leaves the header Authorization in the request that the handler
	// gets. Whatever the handler forwards or logs, it may then leak.
	KeepToken bool

	// Observe, if set, is called for every request, with its context, before it
	// reaches the handler or is answered. It must be fast and safe for concurrent
	// use.
	Observe func(ctx context.Context, e Event)
}

// A ConfigError is one mistake in a [Config]. It has the fields Config, Field and
// Problem. Only another config helps.
type ConfigError = configerror.Error

// An Event is one request. It never holds the token.
type Event struct {
	Identity *tokens.Identity // nil if the token was not accepted
	Status   int              // 0 if the request reaches the handler
	Err      error            // see [Failure]
	Took     time.Duration    // until then

	// Panic and Stack are set if the Verifier or Authorize panicked.
	Panic any
	Stack []byte
}

// LogValue returns e for log/slog.
func (e Event) LogValue() slog.Value { return logvalue.Of(e) }

// New returns a middleware that passes on the requests of authenticated and authorized
// ServiceAccounts, and answers others itself; or an error naming every invalid field,
// each as a [*ConfigError]. The middleware is safe for concurrent use.
func New(cfg Config) (func(http.Handler) http.Handler, error) {
	mistakes := configerror.List{Config: "bearer.Config"}
	gate, err := NewGate(cfg.Verifier, cfg.Audiences, cfg.Policy)
	mistakes.Within("", err)
	if strings.ContainsFunc(cfg.Realm, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
		mistakes.Add("Realm", "is %q, want printable ASCII without quotes and backslashes", cfg.Realm)
	}
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { cfg.serve(gate, w, r, next) })
	}, nil
}

func (cfg *Config) serve(gate *Gate, w http.ResponseWriter, r *http.Request, next http.Handler) {
	start := time.Now()
	e := Event{}
	e.Identity, e.Err = gate.Authenticate(r.Context(), r.Header.Values("Authorization"), func(id *tokens.Identity) error {
		if cfg.Authorize == nil {
			return nil
		}
		return cfg.Authorize(r, id)
	})
	var f Failure
	if e.Err != nil {
		f = FailureOf(e.Err)
		e.Status = f.Status
		e.Panic, e.Stack = flight.PanicOf(e.Err)
	}
	if cfg.Observe != nil {
		e.Took = time.Since(start)
		cfg.Observe(r.Context(), e)
	}
	switch {
	case e.Err == nil:
		next.ServeHTTP(w, cfg.authenticated(r, e.Identity))
	case cfg.Fail != nil:
		cfg.Fail(w, r, f)
	default:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		f.WriteHeader(w, cfg.Realm)
		fmt.Fprintln(w, f.Text)
	}
}

// authenticated returns r as the handler gets it. r itself stays as it is.
func (cfg *Config) authenticated(r *http.Request, id *tokens.Identity) *http.Request {
	r = r.WithContext(WithIdentity(r.Context(), id))
	if !cfg.KeepToken {
		r.Header = r.Header.Clone()
		r.Header.Del("Authorization")
	}
	return r
}

type identityKey struct{}

// WithIdentity returns a context that [IdentityFrom] returns id for. [New] does that
// itself; it is for other frameworks and for the tests of handlers.
func WithIdentity(ctx context.Context, id *tokens.Identity) context.Context {
	return context.WithValue(ctx, identityKey{}, id)
}

// IdentityFrom returns the ServiceAccount that sent the request of ctx, nil if the
// request didn't pass the middleware. It is shared by all that have ctx: don't change
// it.
func IdentityFrom(ctx context.Context) *tokens.Identity {
	id, _ := ctx.Value(identityKey{}).(*tokens.Identity)
	return id
}
