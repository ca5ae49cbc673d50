package external

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/kubesa/serviceaccount/internal/flight"
	"github.com/kubesa/serviceaccount/internal/logvalue"
	"github.com/kubesa/serviceaccount/keys"
)

// A Method is one of a [Service], as the protocol calls it.
type Method string

// The methods.
const (
	MethodSign      Method = "Sign"
	MethodFetchKeys Method = "FetchKeys"
	MethodMetadata  Method = "Metadata" // MaxTokenLifetime
)

// An Event is one call of a [Service], which a [Signer] has made or a [Server] has
// answered. It never holds a token or its claims.
type Event struct {
	Method Method
	Took   time.Duration // by the Service

	// Code is the gRPC code of the answer, such as "OK". Errors of keys/external/grpc have
	// one, by a method Code() string. It is "unknown-non-grpc" for a Service that isn't
	// reached by gRPC, and for errors that the Service didn't return.
	Code string

	// Err is why there is no token, or there are no new keys. The answer of the Service
	// may be OK and not usable.
	Err error

	// Of FetchKeys: how many keys there are now, whether they or the data timestamp are
	// others than before, and that timestamp.
	Keys          int
	Changed       bool
	DataTimestamp time.Time

	// Panic and Stack are set if the Service panicked. The value may hold a secret.
	Panic any
	Stack []byte
}

// LogValue returns e for log/slog.
func (e Event) LogValue() slog.Value { return logvalue.Of(e) }

// newEvent returns the Event of a call that began at start and returned err.
func newEvent(method Method, start time.Time, err error) Event {
	e := Event{Method: method, Took: time.Since(start), Code: codeOf(err), Err: err}
	e.Panic, e.Stack = flight.PanicOf(err)
	return e
}

// codeUnknown is what Kubernetes calls it.
const codeUnknown = "unknown-non-grpc"

func codeOf(err error) string {
	var coded interface{ Code() string }
	switch {
	case err == nil:
		return "OK"
	case errors.As(err, &coded):
		return coded.Code()
	case errors.Is(err, ErrBadClaims):
		return "InvalidArgument"
	case errors.Is(err, keys.ErrNoSigningKey):
		return "FailedPrecondition"
	case errors.Is(err, context.DeadlineExceeded):
		return "DeadlineExceeded"
	case errors.Is(err, context.Canceled):
		return "Canceled"
	}
	return codeUnknown
}
