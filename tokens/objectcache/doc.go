// Package objectcache caches the objects that tokens depend on, for getters that
// send a request to a server each time.
//
//	cached, err := objectcache.New(getters, objectcache.Config{
//		TTL: 10 * time.Second,
//	})
//	…
//	tokens.AuthenticatorConfig{ServiceAccounts: cached.ServiceAccounts, …}
//
// It delays the effect of a deletion, so an Authenticator doesn't do so by itself;
// getters that read a watched cache are both fast and fresh.
//
// # Concepts
//
// An answer is used until TTL after its lookup began, by a clock that is never set
// back. Concurrent lookups of one object are shared, within the same limit: a caller
// that has waited for an older lookup makes one of its own.
//
// Lookups get the values of the context of the first who asked, and their answers
// count for all contexts of the same tenant: see package tenant. So contexts whose
// lookups may differ, such as those of the logical clusters of one control plane, must
// name different ones.
//
// # Failure
//
// Only objects and, with NegativeTTL, NotFound errors are remembered. A lookup goes
// on, for up to Timeout, when its caller gives up. One that panics or hangs is an
// error; while 1024 hang in spite of Timeout, others fail immediately. Of one
// tenant among several the limit is 256, so that one whose server hangs doesn't take all.
//
// # Security
//
// The cache is bounded in bytes. A flood of names passes through a quarter of it,
// and evicts no object that is in use.
package objectcache
