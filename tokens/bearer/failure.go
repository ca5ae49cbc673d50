package bearer

import (
	"errors"
	"net/http"
	"strings"

	"github.com/kubesa/serviceaccount/tokens"
)

// A Failure is why a request doesn't reach the handler, and the answer to it.
type Failure struct {
	Status int // 400, 401, 403 or 503

	// Code is the error code of RFC 6750, empty if the request has no token or
	// could not be checked.
	Code string

	// Text is for the client. It holds nothing of the token and names no object.
	Text string

	// Err is ErrNoToken, ErrHeader, the error of the Verifier or of Authorize, for
	// operators.
	Err error
}

// A ForbiddenError means that the ServiceAccount is authenticated, and
// [Config.Authorize] denies the request.
type ForbiddenError struct{ Err error }

func (e *ForbiddenError) Error() string { return "bearer: forbidden: " + e.Err.Error() }

// Unwrap returns the error of Authorize.
func (e *ForbiddenError) Unwrap() error { return e.Err }

// FailureOf returns the answer to a request that failed with err, which is an error of
// [Token] or of a [tokens.Verifier], or a [*ForbiddenError]: any other one counts as an
// outage. Adapters to other frameworks need it; [New] uses it itself (RFC 6750,
// section 3.1).
func FailureOf(err error) Failure {
	f := Failure{Err: err}
	invalid, _ := errors.AsType[*tokens.InvalidError](err)
	_, forbidden := errors.AsType[*ForbiddenError](err)
	switch {
	case forbidden, invalid != nil && invalid.Reason == tokens.ReasonPolicy: // whatever Authorize returned
		f.Status, f.Code, f.Text = http.StatusForbidden, "insufficient_scope", "the service account may not do this"
	case errors.Is(err, ErrNoToken):
		f.Status, f.Text = http.StatusUnauthorized, "a bearer token is required"
	case errors.Is(err, ErrHeader):
		f.Status, f.Code, f.Text = http.StatusBadRequest, "invalid_request", "the header Authorization is malformed, want one with one bearer token"
	case invalid != nil, errors.Is(err, tokens.ErrNotRecognized):
		f.Status, f.Code, f.Text = http.StatusUnauthorized, "invalid_token", "the bearer token is not valid here"
	default:
		f.Status, f.Text = http.StatusServiceUnavailable, "the bearer token could not be checked, try again"
	}
	return f
}

// retryAfter is how many seconds a client should wait after a 503.
const retryAfter = "1"

// WriteHeader writes the headers and the status: WWW-Authenticate with 400, 401 and
// 403, and Retry-After with 503. A [Config.Fail] calls it before it writes a body of
// its own. An empty realm is left out.
func (f *Failure) WriteHeader(w http.ResponseWriter, realm string) {
	if f.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", retryAfter)
	} else {
		w.Header().Set("WWW-Authenticate", f.challenge(realm))
	}
	w.WriteHeader(f.Status)
}

// challenge returns the value of WWW-Authenticate (RFC 6750, section 3).
func (f *Failure) challenge(realm string) string {
	var params []string
	if realm != "" {
		params = append(params, `realm="`+realm+`"`)
	}
	if f.Code != "" {
		params = append(params, `error="`+f.Code+`"`, `error_description="`+f.Text+`"`)
	}
	return strings.TrimSpace("Bearer " + strings.Join(params, ", "))
}
