package webhook

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/kubesa/serviceaccount/internal/flight"
)

// An Endpoint answers POST requests whose body is JSON. Its fields must be set. It is
// safe for concurrent use, and must not be copied after first use.
type Endpoint struct {
	Package  string        // that texts begin with
	MaxBytes int64         // of a body
	Timeout  time.Duration // for one request, reading included

	buffers sync.Pool // of *bytes.Buffer, that bodies are read into
}

// An Outcome is how a request was answered.
type Outcome struct {
	Status int
	Took   time.Duration
	Err    error // why there was no review to answer: an *Error, or what the webhook failed with
	// Panic and Stack are those of the webhook, which panicked.
	Panic any
	Stack []byte
}

// An Error is an answer that is only a status and a text, which must hold no secret
// of the request.
type Error struct {
	Status int
	Text   string
}

// Error returns the text.
func (e *Error) Error() string { return e.Text }

// Error returns an [*Error] whose text begins with the package.
func (e *Endpoint) Error(status int, text string) error {
	return &Error{status, e.Package + ": " + text}
}

// Serve answers r with the JSON that answer returns for its body. An [*Error] of
// answer is sent as it is; any other error, or a panic, as one of the server. The
// context ends when the request or its time does: the client's own limit, in the
// query parameter timeout as API servers send it, counts too, less a bit for the
// answer.
func (e *Endpoint) Serve(w http.ResponseWriter, r *http.Request, answer func(ctx context.Context, body string) ([]byte, error)) Outcome {
	start := time.Now()
	body, err := flight.Catch("the webhook", func() ([]byte, error) { return e.answer(w, r, start, answer) })
	if err == nil {
		e.write(w, r, body)
		return Outcome{Status: http.StatusOK, Took: time.Since(start)}
	}
	out := Outcome{Err: err}
	out.Panic, out.Stack = flight.PanicOf(err)
	if out.Panic == http.ErrAbortHandler {
		panic(http.ErrAbortHandler) // the connection is to be cut
	}
	bad, ok := errors.AsType[*Error](err)
	if !ok {
		bad = &Error{http.StatusInternalServerError, e.Package + ": the request was not answered"}
	}
	switch bad.Status {
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", http.MethodPost)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	}
	http.Error(w, bad.Text, bad.Status)
	out.Status, out.Took = bad.Status, time.Since(start)
	return out
}

func (e *Endpoint) answer(w http.ResponseWriter, r *http.Request, start time.Time, answer func(ctx context.Context, body string) ([]byte, error)) ([]byte, error) {
	if err := e.checkHeader(r); err != nil {
		return nil, err
	}
	timeout, err := e.timeout(r)
	if err != nil {
		return nil, err
	}
	deadline := start.Add(timeout)
	ctx, cancel := context.WithDeadline(r.Context(), deadline)
	defer cancel()
	body, err := e.read(w, r, deadline)
	if err != nil {
		return nil, err
	}
	return answer(ctx, body)
}

// write sends an answer. A client that does not read it holds the connection no
// longer than a request may take, or the server allows.
func (e *Endpoint) write(w http.ResponseWriter, r *http.Request, body []byte) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Cache-Control", "no-store")
	if _, own := timeouts(r); own <= 0 { // net/http takes it away after the request
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(e.Timeout)) // some writers know none
	}
	_, _ = w.Write(body) // a client that is gone is told nothing
}

// timeouts returns the limits of the server that r came to, zero for none.
func timeouts(r *http.Request) (read, write time.Duration) {
	if server, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok {
		return server.ReadTimeout, server.WriteTimeout
	}
	return 0, 0
}
