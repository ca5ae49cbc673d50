// Package clientgo makes the fake clientset of client-go behave for service
// accounts: tokens are real JWTs, reviews verify them, and what is
// stored follows the API's rules. It is a module of its own, so that only those
// who use it depend on client-go. The package controllerruntime below it does
// the same for the fake client of controller-runtime.
//
//	authority, err := fake.NewAuthority(fake.AuthorityConfig{})
//	clientset := kubernetesfake.NewClientset(objects...)
//	err = clientgo.Install(clientset, clientgo.Config{Authority: authority})
//	answer, err := clientset.CoreV1().ServiceAccounts("ci").CreateToken(ctx, "builder", request, metav1.CreateOptions{})
//
// # Concepts
//
// There is one store for each kind. Namespaces, Nodes, ServiceAccounts, Secrets,
// Pods, ConfigMaps and ClusterTrustBundles live in the [fake.Cluster] of the Authority; all other kinds
// stay in the clientset's tracker. So the test may arrange and look at those seven
// kinds through the clientset or through the Cluster, run controllers with
// [fake.Authority.Settle], move the clock with [fake.Authority.Advance], and make
// calls of the clientset fail with [fake.Cluster.Inject].
//
// For those who know client-go's fake, this is new:
//
//   - Objects get a UID, a resourceVersion, a creationTimestamp and defaults;
//     generateName, conflicts, preconditions, finalizers, grace periods and dry
//     runs work; invalid objects are rejected.
//   - Namespaces must exist: a create in one that doesn't is answered with 404.
//     Objects that were given to NewClientset bring theirs with them.
//   - Lists know label and field selectors, limit and continue. Watches start at
//     their resourceVersion, so that an informer misses nothing between its list
//     and its watch.
//   - Server-side apply works as before, also for a clientset of NewSimpleClientset,
//     and every write keeps metadata.managedFields, by [fake.Cluster.ManageFields].
//   - Subresources: status, token, eviction, binding, resize, ephemeralcontainers, and
//     finalize. Others of the seven kinds are answered with 404; logs are still those of
//     client-go's fake.
//   - A SelfSubjectReview says whose token is in [Config.Token].
//
// # Failure
//
// Errors are those of the API server, for apierrors.IsNotFound and its like, and
// injected faults as they were given. Objects that are nil, and everything else
// that is malformed, get such an error, too. The one exception is client-go's: a
// label or field selector that can't be parsed panics in its fake before this
// package sees it.
//
// # Security
//
// This is for tests. There is no authorization: [Config.Token] decides only
// whether a call is let in.
//
// # Compatibility
//
// The model is Kubernetes v1.37, with the limits that the comment of package fake
// lists. client-go's fakes of its dynamic and metadata clients have trackers of
// their own and know nothing of the Cluster: point the real ones at
// the module fake/apiserver. Reactors are not given the context of a call, so it
// can't be cancelled; the clientset holds its lock meanwhile, and calls are made one after the other.
package clientgo
