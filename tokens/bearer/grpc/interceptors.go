package bearergrpc

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/internal/flight"
	"github.com/kubesa/serviceaccount/internal/logvalue"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/bearer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// authorization is the key of the metadata that has the token.
const authorization = "authorization"

// Config configures [New].
type Config struct {
	// Verifier is required.
	Verifier tokens.Verifier

	// Audiences are those that a token must be issued for, at least one of them. If
	// empty, those of the Verifier.
	Audiences []string

	// Policy denies ServiceAccounts with PermissionDenied, before Authorize is asked.
	Policy tokens.Policy

	// Authorize, if set, decides whether the ServiceAccount may call method, such as
	// "/package.Service/Method": an error denies it, or says that it can't be told if
	// it is a [*tokens.UnavailableError]. Only Observe gets the error. If nil, every
	// authenticated ServiceAccount may.
	Authorize func(ctx context.Context, method string, id *tokens.Identity) error

	// Public, if set, says which methods need no token, such as those of health
	// checks.
	Public func(method string) bool

	// Observe, if set, is called for every call but those of Public, with its
	// context, before it reaches the handler or ends. It must be fast and safe for
	// concurrent use.
	Observe func(ctx context.Context, e Event)
}

// A ConfigError is one mistake in a [Config]. It has the fields Config, Field and
// Problem. Only another config helps.
type ConfigError = configerror.Error

// An Event is one call. It never holds the token.
type Event struct {
	Method   string
	Identity *tokens.Identity // nil if the token was not accepted
	Code     codes.Code       // OK if the call reaches the handler
	Err      error            // see [bearer.Gate.Authenticate]
	Took     time.Duration    // until then

	// Panic and Stack are set if the Verifier, Authorize or Public panicked.
	Panic any
	Stack []byte
}

// LogValue returns e for log/slog.
func (e Event) LogValue() slog.Value { return logvalue.Of(e) }

// Outcome returns the name of Code and Took, for metrics that don't know this module.
func (e Event) Outcome() (code string, took time.Duration) { return e.Code.String(), e.Took }

// Interceptors let the calls of authenticated and authorized ServiceAccounts through.
// They are safe for concurrent use.
type Interceptors struct {
	cfg  Config
	gate *bearer.Gate
}

// New returns Interceptors, or an error naming every invalid field, each as a
// [*ConfigError].
func New(cfg Config) (*Interceptors, error) {
	mistakes := configerror.List{Config: "bearergrpc.Config"}
	gate, err := bearer.NewGate(cfg.Verifier, cfg.Audiences, cfg.Policy)
	mistakes.Within("", err)
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	return &Interceptors{cfg, gate}, nil
}

// Unary is a [grpc.UnaryServerInterceptor].
func (i *Interceptors) Unary(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	ctx, err := i.authenticate(ctx, info.FullMethod)
	if err != nil {
		return nil, err
	}
	return handler(ctx, request)
}

// Stream is a [grpc.StreamServerInterceptor].
func (i *Interceptors) Stream(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx, err := i.authenticate(stream.Context(), info.FullMethod)
	if err != nil {
		return err
	}
	return handler(server, &authenticatedStream{stream, ctx})
}

// An authenticatedStream has the context with the Identity.
type authenticatedStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *authenticatedStream) Context() context.Context { return s.ctx }

// authenticate returns the context for the handler, or the status that ends the call.
func (i *Interceptors) authenticate(ctx context.Context, method string) (context.Context, error) {
	start := time.Now()
	// gRPC lets the process die of a panic.
	public, err := flight.Catch("Public", func() (bool, error) { return i.cfg.Public != nil && i.cfg.Public(method), nil })
	if public {
		return withoutToken(ctx), nil
	}
	e := Event{Method: method, Code: codes.OK, Err: err}
	if err == nil {
		e.Identity, e.Err = i.authorized(ctx, method)
	}
	var ended error
	if e.Err != nil {
		f := bearer.FailureOf(e.Err)
		e.Code = codeOf(f.Status)
		ended = status.Error(e.Code, f.Text)
		e.Panic, e.Stack = flight.PanicOf(e.Err)
	}
	if i.cfg.Observe != nil {
		e.Took = time.Since(start)
		i.cfg.Observe(ctx, e)
	}
	if ended != nil {
		return nil, ended
	}
	return bearer.WithIdentity(withoutToken(ctx), e.Identity), nil
}

// authorized returns who calls method, if that ServiceAccount may.
func (i *Interceptors) authorized(ctx context.Context, method string) (*tokens.Identity, error) {
	return i.gate.Authenticate(ctx, metadata.ValueFromIncomingContext(ctx, authorization), func(id *tokens.Identity) error {
		if i.cfg.Authorize == nil {
			return nil
		}
		return i.cfg.Authorize(ctx, method, id)
	})
}

// codeOf returns the gRPC code of the HTTP status of a failure.
func codeOf(status int) codes.Code {
	switch status {
	case http.StatusForbidden:
		return codes.PermissionDenied
	case http.StatusServiceUnavailable:
		return codes.Unavailable
	}
	return codes.Unauthenticated
}

// withoutToken returns ctx with metadata that has no token.
func withoutToken(ctx context.Context) context.Context {
	md, _ := metadata.FromIncomingContext(ctx) // a copy
	md.Delete(authorization)
	return metadata.NewIncomingContext(ctx, md)
}
