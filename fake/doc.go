// Package fake is a Kubernetes cluster in memory for tests: an API that behaves
// like the real one, faults on demand, and a driver for controllers that does
// the same steps every time.
//
//	cluster := fake.New(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}})
//	controller, err := sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{Reader: cluster, Client: cluster})
//	err = cluster.Settle(ctx, controller)
//	account, err := cluster.GetServiceAccount(ctx, "ci", "default")
//
// # Concepts
//
// A [Cluster] holds Namespaces, Nodes, ServiceAccounts, Secrets, Pods,
// ConfigMaps and ClusterTrustBundles. Its methods have the names and shapes of every getter, Reader and
// Client interface of this module. They do what the API server does, with its
// error texts: UIDs, resourceVersions and the conflicts that come of them,
// generateName, defaults, validation, finalizers, preconditions of deletes and
// patches, and the lifecycle of a Namespace, which rejects new content while it is
// terminating.
//
// [Cluster.Actions] is the list of calls so far; [FormatActions] formats it. A
// [Reader] is a cache of the cluster that may lag. A [Watch] delivers changes.
//
// [Cluster.Settle] drives controllers to the fixed point. It returns only when
// nothing is left to do, so a test needs no polling and no sleep.
//
// An [Authority] issues and verifies real tokens for the accounts of a Cluster, on
// a clock that the test moves. The module fake/apiserver serves both over HTTP, for
// kubectl, client-go and programs in other languages.
//
// # Failure
//
// Faults make calls fail as the API server, the network or a cache do; package
// fault has them. One that can't fire panics where it is made, and
// [Cluster.Unfired] tells which ones did not:
//
//	cluster.Inject(fault.First(2, "update", "secrets", fault.Conflict))
//	cluster.Inject(fault.Nth(1, "create", "serviceaccounts", fault.AnswerLost))
//	cluster.Inject(fault.StaleReads(3))
//
// Settle reports keys that fail without end as an [*UnsettledError], and
// controllers that write without end as a [*LivelockError], which shows what
// they repeat.
//
// # Security
//
// There is no authorization: whoever has a Cluster or reaches its API may do
// anything. Errors and actions never show what a Secret holds.
//
// # Compatibility
//
// The model is Kubernetes v1.37. Differences: no garbage collection by owner
// references, no admission plugins but the one that guards Namespaces, no quota,
// managed fields and server-side apply only with [Cluster.ManageFields] (fake/apiserver
// and fake/clientgo call it), and of a Pod
// only what service accounts are about is
// validated; a patch with another UID is a Conflict, where the API server says
// Invalid. No clock is read, and only UIDs are random: set [Cluster.Now] to move
// time, and [Cluster.UIDSeed] for the same UIDs in every run. What it has in common with a real API server is checked: package
// clustertest is for every implementation of the clients.
package fake
