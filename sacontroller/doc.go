// Package sacontroller keeps ServiceAccounts and their token Secrets in order, as
// the controllers of Kubernetes do.
//
//	accounts, err := sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{Reader: c, Client: c})
//	…
//	tokens, err := sacontroller.NewTokens(sacontroller.TokensConfig{Reader: c, Client: c, Issuer: issuer})
//	…
//	err = c.Settle(ctx, accounts, tokens) // c is a fake.Cluster
//
// # Concepts
//
// A driver tells a [Controller] what changed, collects the keys that are due, and
// has them reconciled one by one. A Controller starts no goroutine, keeps no queue
// and has no timer. fake.Cluster.Settle drives controllers without goroutines, the
// manager module drives them on client-go, and a loop of one's own needs little
// more than a queue with back-off. A driver must reconcile nothing before its
// Reader has seen every object that exists.
//
//   - [ServiceAccounts] gives every active Namespace the account "default", or
//     the configured ones.
//   - [Tokens] fills Secrets of type kubernetes.io/service-account-token, deletes
//     orphaned ones, and removes references to those that don't exist. With
//     AutoGenerate each account gets a token Secret of its own.
//
// Package legacytoken has the controllers that retire unused generated tokens, and
// package rootca those that publish the CA bundle.
//
// # Readers and Clients
//
// Each controller decides from a Reader, which may be a stale cache, and acts
// through a Client, which must be live. Before a controller deletes anything or
// removes a reference it reads the objects in question through the Client; its
// other writes carry the resourceVersion that the decision was made on. A stale
// cache therefore costs an attempt, never an object. fake.Cluster and
// serviceaccount.FromCoreV1 implement all of these interfaces. Their methods
// promise the same everywhere:
//
//   - Errors are those of the Kubernetes API, as k8s.io/apimachinery's errors
//     package tells them apart: NotFound, AlreadyExists, Conflict, and Forbidden
//     with cause NamespaceTerminating for a create in a namespace that is being
//     deleted. Any other error is retryable.
//   - A returned object, and each one in a list, is not nil if the error is nil:
//     otherwise the controller reports an error. It is read only: the controllers
//     change deep copies.
//   - An update whose object carries a resourceVersion fails with Conflict if the
//     stored object has another one. Deletes and patches honour their UID and
//     resourceVersion preconditions the same way.
//   - They are safe for concurrent use and honour the context.
//
// # Tenants
//
// One set of controllers can serve many tenants, each with objects of its own, perhaps of
// the same names and UIDs. The driver says in [Change.Tenant] whose object has changed.
// The keys have that tenant, and whatever a controller calls gets a context that names it,
// by package tenant. What is remembered is remembered per tenant, in [Key.Tenant], until
// the driver calls Forget of a [Forgetter]. A Reader and a Client find their objects by
// the context; serviceaccount.ByTenant makes one of both.
//
// # Failure
//
// Constructors return an error naming every invalid field, each as a [*ConfigError]. After
// an error of Reconcile the key must be tried again later, with back-off, for as long
// as errors come. Nothing is given up after a number of attempts, and every step
// is idempotent: a controller that is stopped anywhere, even between a write and
// its answer, goes on from there when it is started again. Only a [*TerminalError]
// must not be retried: nothing but a change of an object helps, and that makes the
// key due again. [Tokens.LastError] tells why a key has not succeeded.
//
// An account's reference to a Secret that was deleted while no controller ran is
// removed only if the name looks generated, such as default-token-x7k2q: any other
// may name a Secret that is still to be created.
//
// # Security
//
// A token is written only to a Secret that names an account of its own namespace,
// by name, and by UID or none. It never replaces another token, unless
// ReplaceInvalid is set. Nothing is written to objects or for accounts that are
// being deleted. No error text and no exported value holds a token; the errors of
// the issuer and of the clients are passed on.
//
// # Compatibility
//
// The behaviour is that of Kubernetes v1.37, and of v1.23 for AutoGenerate, with
// these differences. Deletions of Secrets that were noticed late are handled.
// Objects are read live before they are deleted or lose a reference. Failures of
// the signer and of updates are retried for ever. Nothing that is being deleted is
// filled, nor anything for an account that is. A Secret is filled with one write
// and no read. The name of a generated Secret is deterministic, so that a second
// attempt finds the first one's Secret.
package sacontroller
