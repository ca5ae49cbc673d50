// Package bearer authenticates HTTP requests by the ServiceAccount tokens that they
// bear (RFC 6750).
//
//	middleware, err := bearer.New(bearer.Config{Verifier: authenticator, Audiences: []string{"vault"}})
//	…
//	http.Handle("/", middleware(handler))
//
// The handler learns who asks:
//
//	id := bearer.IdentityFrom(r.Context())
//
// The Verifier is a [tokens.Authenticator], a [tokens.Chain], the TokenReview client of
// tokens/tokenreview or a cache in front of one of them. Package tokens/bearer/grpc,
// a module of its own, does the same for gRPC.
//
// # Failure
//
// A request without a valid token gets 401 and WWW-Authenticate, one that
// [Config.Authorize] denies 403, and one whose token could not be checked 503, with
// Retry-After. None of them reaches the handler: everything fails closed.
//
// # Security
//
// The handler doesn't get the token: the header Authorization is removed, so that
// nothing behind it can log or forward it. No answer and no [Event] holds the token, nor
// does an answer say which object a token was revoked with.
//
// Tokens are read from the header only, not from the query or the body. Accept
// tokens of an audience of your own, never those of the API server: whoever gets such a
// token can use it at the API server.
package bearer
