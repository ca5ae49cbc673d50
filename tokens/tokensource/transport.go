package tokensource

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/tokens"
)

// A Provider has a token that is still valid whenever it is asked for one. [Source] and
// [File] are Providers. Implementations must be safe for concurrent use.
type Provider interface {
	// Token returns the token to send now; the caller may keep it. Its errors never
	// contain a token.
	Token(ctx context.Context) (*tokens.Token, error)

	// Discard tells that a server has rejected the token with this value. The
	// Provider need not believe it.
	Discard(value string)
}

// A Transport is an [http.RoundTripper] that authenticates requests with the
// token of a [Provider], as "Authorization: Bearer". Requests that already have an
// Authorization header are sent unchanged. It is safe for concurrent use if Base is;
// its fields must not be changed after the first request.
//
// The token is sent over https only, and never follows a redirect to another host.
// After a 401 response the Provider discards the token, so that the next request gets a
// new one. The response is returned as it is: not every request is safe to retry.
type Transport struct {
	Source Provider // required
	// Base sends the requests. If nil, [http.DefaultTransport] is used.
	Base http.RoundTripper
	// InsecureAllowHTTP allows http, where anyone on the network path can read the
	// token.
	InsecureAllowHTTP bool
}

// RoundTrip implements [http.RoundTripper]. It returns the errors of Base, those of
// the Provider, a [*ConfigError] without one, and one for a URL that is not https.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	base := t.Base
	if base == nil {
		base = http.DefaultTransport
	}
	if r.Header.Get("Authorization") != "" || redirectedElsewhere(r) {
		return base.RoundTrip(r)
	}
	token, err := t.token(r)
	if err != nil {
		if r.Body != nil {
			r.Body.Close() // as every RoundTripper must
		}
		return nil, err
	}
	authenticated := r.Clone(r.Context())
	authenticated.Header.Set("Authorization", "Bearer "+token.Value)
	resp, err := base.RoundTrip(authenticated)
	if err == nil && resp.StatusCode == http.StatusUnauthorized {
		t.Source.Discard(token.Value)
	}
	return resp, err
}

// CloseIdleConnections closes those of Base, for [http.Client.CloseIdleConnections].
func (t *Transport) CloseIdleConnections() {
	(&http.Client{Transport: t.Base}).CloseIdleConnections()
}

func (t *Transport) token(r *http.Request) (*tokens.Token, error) {
	if r.URL.Scheme != "https" && !t.InsecureAllowHTTP {
		return nil, fmt.Errorf("tokensource: no token is sent to %s://%s: want https", r.URL.Scheme, r.URL.Host)
	}
	mistakes := configerror.List{Config: "tokensource.Transport"}
	mistakes.Require("Source", t.Source, "a Provider")
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	token, err := t.Source.Token(r.Context())
	if err == nil && (token == nil || token.Value == "") {
		err = errors.New("tokensource: the Provider returned neither a token nor an error")
	}
	return token, err
}

// redirectedElsewhere reports whether r follows a redirect that came from
// another host or over another scheme than r goes to.
func redirectedElsewhere(r *http.Request) bool {
	for cause := r.Response; cause != nil && cause.Request != nil; cause = cause.Request.Response {
		if from := cause.Request.URL; from.Host != r.URL.Host || from.Scheme != r.URL.Scheme {
			return true
		}
	}
	return false
}
