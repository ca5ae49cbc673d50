// Package tenant names the tenant that a context is of: a logical cluster, a virtual
// cluster, whatever has ServiceAccounts of its own.
//
//	ctx = tenant.NewContext(ctx, "red") // where a request comes in
//	…
//	identity, err := authenticator.Authenticate(ctx, token)
//
// # Concepts
//
// One process may serve many tenants with one [Authenticator], one admission plugin and
// one set of controllers. Whoever takes a request in knows its tenant, and names it in
// the request's context. Everything below gets that context. Getters, Readers and Clients
// look for objects where the tenant has them, and signers and key sources may have keys
// for each. Whatever remembers something remembers it per tenant: the caches of
// tokens/objectcache and tokens/cached, tokens/lastused, and the controllers, whose keys
// name their tenant. A limit on calls that hang leaves room for other tenants.
//
// A context that names no tenant is of the tenant "", which is the only one where there
// are no tenants. So a program with a single one need not know of this package.
//
// A [Set] has what there is for each tenant: clients, or key rings. Tenants join and leave
// while it is in use.
//
// # Security
//
// Only what this package names keeps tenants apart. A getter that finds its tenant in
// the context by other means, as the server that it comes from does, needs that server
// to call [NewContext], too: otherwise a cache answers for one tenant with what it
// remembers of another.
//
// A name is trusted, and compared byte for byte. It must not be reused for another tenant
// before all that remembers the first one has forgotten it: a [Set], a manager, caches for
// as long as they say.
//
// [Authenticator]: https://pkg.go.dev/github.com/kubesa/serviceaccount/tokens#Authenticator
package tenant
