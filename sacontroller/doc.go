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
// A [Controller] is told by a driver what changed, says which keys are due, and
// reconciles one key at a time. It starts no goroutine, keeps no queue and knows no
// time of day that it isn't told. fake.Cluster.Settle drives controllers without
// goroutines, the manager module drives them on client-go, and a loop of one's own
// needs little more than a queue with back-off. A driver starts reconciling only
// once its Reader has seen every object that exists.
//
//   - [ServiceAccounts] gives every active Namespace the account "default", or
//     those that it is told.
//   - [Tokens] fills Secrets of type kubernetes.io/service-account-token, deletes
//     them when their account is gone, and removes references to those that are
//     gone. With AutoGenerate each account gets a token Secret of its own.
//
// Each controller decides from a Reader, which may be a cache and may be behind,
// and acts through a Client, which must be live. Before a controller deletes
// anything or removes a reference it reads the objects in question through the
// Client; the other writes carry the resourceVersion that the decision was made on.
// A cache that is behind therefore costs an attempt, never an object.
//
// # Failure
//
// An error of Reconcile means that the key should be tried again later, with
// back-off, for as long as errors come. Nothing is given up after a number of
// attempts, and every step can be repeated: a controller that is stopped anywhere,
// even between a write and its answer, goes on where it was when it is started
// again. [Tokens.LastError] tells why a key has not succeeded.
//
// An account's reference to a Secret that was deleted while no controller ran is
// removed only if the name has the form of a generated one, such as
// default-token-x7k2q: any other may be there to name a Secret that is still to
// come.
//
// # Security
//
// A token is written only to a Secret that names an account by name, and by UID or
// by none, in its own namespace, and never over a token that is there. Nothing is
// written to objects or for accounts that are being deleted. No error text and no
// exported value holds a token; the errors of the issuer and of the clients are
// passed on.
//
// # Compatibility
//
// The behaviour is that of Kubernetes v1.37, and of v1.23 for AutoGenerate, but for
// these: deletions of Secrets that were noticed late are handled, objects are read
// live before they are deleted or dereferenced, failures of the signer and of
// updates are retried for ever, nothing is filled that is being deleted or for an
// account that is, a Secret is filled with one write and no read, and a generated
// Secret has a name that a second attempt finds again.
package sacontroller
