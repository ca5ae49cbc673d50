// Package cached remembers whom tokens authenticate as, in front of any
// [tokens.Verifier]: a TokenReview client, above all, which asks an API server each time.
//
//	verifier, err := cached.New(cached.Config{
//		Verifier: client, // of tokens/tokenreview
//		TTL:      10 * time.Second,
//	})
//
// # Concepts
//
// An answer counts until TTL after the question was asked, and no longer than the
// token: a clock that is set back doesn't prolong it. It is an answer for the token and
// the audiences, in their order, and for the tenant of the context: see package tenant.
// Concurrent requests for the same answer share one call, unless it began more than TTL
// ago.
//
// A token that is revoked is accepted for up to TTL. A [tokens.Authenticator] looks up
// objects live and needs no cache in front of it; tokens/objectcache caches the objects.
//
// # Failure
//
// An outage is never remembered, a rejection only with NegativeTTL: an API server's outage
// may look like one. A call goes on when its caller gives up, for up to Timeout. One that
// panics or hangs is an error.
//
// # Security
//
// The cache holds no token, only hashes, and is bounded in bytes, accepted and rejected
// tokens apart: a flood of bad tokens evicts no good one.
package cached
