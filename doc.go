// Package serviceaccount connects the packages of this library to a real cluster:
// [FromCoreV1] makes client-go's CoreV1() client implement their interfaces. The
// library gives any Go program the service-account machinery of Kubernetes. It is
// imported, not deployed.
//
// # Map
//
//   - admission decides about a pod: which account it runs as, where its token is
//     mounted, whether it may use the Secrets that it names. admission/webhook serves
//     these decisions.
//   - keys reads and generates keys. keys/keyring rotates them, keys/discovery
//     publishes and fetches them, keys/external leaves signing to another process.
//   - tokens authenticates tokens, tokens/tokenissuer issues them.
//     tokens/tokenrequest and tokens/tokenreview answer the requests of the API,
//     tokens/bearer authenticates HTTP requests, tokens/tokensource keeps a client's
//     token fresh, tokens/keeper those of Secrets and folders, tokens/lastused tracks
//     use.
//   - sacontroller creates the accounts of namespaces, fills and deletes token
//     Secrets, cleans up unused ones, and publishes root CA bundles.
//   - tenant names the tenant that a context is of, where one process serves many.
//   - fake is a cluster in memory that behaves like an API server, for tests of all of
//     the above and of programs that use them; fake/clustertest checks other stores.
//
// Modules of their own: sacontroller/manager (client-go), apiserver, controllerruntime,
// prometheus, keys/external/grpc, tokens/bearer/grpc, fake/apiserver and fake/clientgo.
//
// The example of this package is one program that uses most of them. The command in
// examples/quickstart prints a longer tour; with -f it explains what admission does to
// your manifests.
//
// # Concepts
//
// Decisions are pure functions of values; thin adapters fetch, call and apply. So each
// rule can be called directly, and each adapter can be replaced.
//
// A package declares the small interfaces that it calls: getters such as
// GetServiceAccount(ctx, namespace, name), readers and clients. fake.Cluster and the
// result of [FromCoreV1] implement all of them:
//
//	clients := serviceaccount.FromCoreV1(clientset.CoreV1())
//	plugin, err := admission.New(admission.Config{ServiceAccounts: clients})
//	…
//	controller, err := sacontroller.NewTokens(sacontroller.TokensConfig{Reader: clients, Client: clients, Issuer: issuer})
//
// A controller has no loop of its own. fake.Cluster.Settle drives controllers in
// tests, sacontroller/manager drives them on client-go's informers, and your own loop
// needs little more than a queue.
//
// # Failure
//
// Constructors report every invalid field at once, each as a ConfigError. Errors of the
// Kubernetes API stay visible to errors.As, so that IsNotFound and IsConflict of
// k8s.io/apimachinery work. Rejected pods get API statuses; rejected tokens are a
// tokens.InvalidError, unlike failed lookups, which can be retried.
//
// # Security
//
// Unknown input is denied, an empty field is the strict choice, and no text holds a
// token, a private key or a Secret's value. SECURITY.md says what is in scope.
//
// # Compatibility
//
// The behaviour is that of Kubernetes v1.37, except for the differences in
// docs/deviations.md. Go 1.26 or later is required.
package serviceaccount
