// Package clustertest checks implementations of the clients that the packages
// of this module ask for: a store of Kubernetes objects that passes behaves like
// an API server, as far as controllers, admission and authentication can tell.
//
//	func TestStore(t *testing.T) {
//		clustertest.Run(t, func(t *testing.T) clustertest.Cluster { return newStore(t) })
//	}
//
// # Concepts
//
// A [Promise] is one sentence about what a [Cluster] does, with a check that
// makes calls and looks at the answers: what a create fills in, when an update
// is a Conflict, what a finalizer keeps, which of two concurrent writers wins.
// [Run] makes a subtest of each of the [Promises].
//
// fake.Cluster, serviceaccount.FromCoreV1 of a clientset, and a real kube-apiserver
// v1.37 all keep every promise. What only
// some of them do is not promised.
//
// # The cluster under test
//
// A check works in namespaces of its own with generated names, and so needs
// neither an empty Cluster nor one for itself; it deletes them in the end. Where
// nothing finalizes namespaces, their content stays. Nodes are created and
// deleted, too. Controllers that write to the objects of others, such as one
// that fills token Secrets, have to be off; the namespace controller may run.
//
// Reads must be live: a write is seen by the next read. A cache that lags can't
// be checked.
//
// # Failure
//
// The error of a check says which call did what, and what was wanted. Errors are
// compared by reason, code, and details, not by their text. A method that returns
// an error that wraps errors.ErrUnsupported makes the promises that need it
// skipped, so read the list of skipped tests. A check that waits for an answer
// forever does so until its context ends.
//
// # Limits
//
// Watches, selectors, paging, subresources and authorization are not part of the
// clients, and not checked. Of pods only what service accounts are about is.
package clustertest
