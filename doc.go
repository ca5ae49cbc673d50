// Package serviceaccount is the root of a library that gives any Go program the
// service-account machinery of Kubernetes: it admits pods, signs and judges
// tokens, and keeps ServiceAccounts and token Secrets in order. It is imported,
// not deployed. This package itself holds one thing, [FromCoreV1], which connects
// the others to a real cluster.
//
// # Map
//
// The packages, in the order in which they are needed:
//
//   - keys reads, makes, publishes and rotates the keys of an issuer.
//   - tokens signs tokens with them (Issuer), judges tokens (Authenticator), and
//     answers TokenRequests and TokenReviews.
//   - admission decides about a pod: which account it runs as, where its token
//     is mounted, whether it may use the Secrets that it names. It can be called
//     (Plugin) or served as a webhook (NewHandler).
//   - sacontroller gives namespaces their accounts (ServiceAccounts), fills token
//     Secrets and deletes those whose account is gone (Tokens), retires tokens
//     that nobody uses, and publishes root CA bundles.
//   - fake is a cluster in memory that behaves like an API server, for tests of
//     all of the above and of programs that use them.
//
// The example of this package is one whole program that uses all of them. The
// command in examples/quickstart tells the longer story and prints each step; with
// -f it says what admission would do to manifests of one's own.
//
// # Concepts
//
// Decisions are pure functions of values, and thin adapters fetch, call and apply.
// So every rule can be called by itself, and every adapter can be replaced.
//
// A package declares the interfaces that it calls, of one to three methods each:
// getters such as GetServiceAccount(ctx, namespace, name). fake.Cluster and what
// [FromCoreV1] returns implement all of them:
//
//	clients := serviceaccount.FromCoreV1(clientset.CoreV1())
//	plugin, err := admission.New(admission.Config{ServiceAccounts: clients})
//	…
//	controller, err := sacontroller.NewTokens(sacontroller.TokensConfig{Reader: clients, Client: clients, Issuer: issuer})
//
// A controller has no loop of its own. fake.Cluster.Settle drives controllers in
// tests, the module sacontroller/manager drives them on client-go's informers, and
// a loop of one's own needs little more than a queue.
//
// # Failure
//
// Configuration is checked by the constructors, which report every mistake at once.
// The errors of the Kubernetes API stay what they are under errors.As, so that
// k8s.io/apimachinery's IsNotFound and IsConflict work on them. Refusals of pods
// are API statuses; refusals of tokens are tokens.InvalidError, and are told apart
// from a lookup that failed.
//
// # Security
//
// What isn't known is refused, an empty field is the strict choice, and no text
// holds a token, a private key or a Secret's value. SECURITY.md says what the
// library answers for and what is left to its caller.
//
// # Compatibility
//
// Behaviour is that of Kubernetes v1.37 but for the differences listed, with their
// reasons and tests, in docs/deviations.md. Go 1.26 or later is needed.
package serviceaccount
