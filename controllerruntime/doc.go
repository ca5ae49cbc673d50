// Package saruntime runs this library in a program that is built on
// controller-runtime: controllers and the pod webhook on its manager, and access to
// the cluster through its cache and clients.
//
//	mgr, err := ctrl.NewManager(config, ctrl.Options{LeaderElection: true, LeaderElectionID: "example"})
//	…
//	sa, err := saruntime.New(saruntime.Config{Manager: mgr})
//	…
//	tokens, err := sacontroller.NewTokens(sacontroller.TokensConfig{
//		Reader: sa.Reader(), // the cache
//		Client: sa.Client(), // live
//		Issuer: issuer,
//	})
//	…
//	err = sa.Add(tokens, saruntime.Options{})
//	…
//	plugin, err := admission.New(sa.Admission())
//	…
//	err = sa.AddPodWebhook(plugin, saruntime.WebhookOptions{})
//	…
//	err = mgr.Start(ctx)
//
// It is a module of its own. The name is not that of the folder, because
// controller-runtime's own package has that one, and a program imports both.
//
// # Concepts
//
// Two types keep apart what may be stale and what may not. A [Reader] reads from a
// cache and has no method that writes, so it can't be the Client of a controller. Live
// access is a [serviceaccount.CoreV1], which [Runtime.Client] and [NewClient] return:
// both read through a client without a cache, and NewClient refuses what a manager's
// GetClient returns. [Runtime.Admission] puts each where it belongs.
//
// [Runtime.Add] makes one controller of controller-runtime out of a
// [sacontroller.Controller]: it has its name, in metrics (workqueue_depth,
// controller_runtime_reconcile_total …) and logs too, its watches, and waits for the
// lease and for the first list. Due is its predicate. A [sacontroller.TerminalError]
// becomes a reconcile.TerminalError, and a Reconcile that panics is retried.
//
// In its queue, namespaces take turns, so that no number of keys of one holds up a key
// of another; calls for one take half of the free workers at most, and ten of its keys
// that fail are retried per second, after the first hundred. What the first list makes
// due is overtaken by changes, as with controller-runtime's priority queue. If
// RateLimiter, NewQueue or UsePriorityQueue is set, for the manager or for the
// controller, controller-runtime's own queue takes its place.
//
// # Failure
//
// Constructors do no I/O and return an error naming every invalid field, each as a
// [*ConfigError]. Errors of the API server are returned unchanged. After a watch has broken and its kind was listed
// again, controllers look at every object once more: what one of them made, and
// somebody deleted in between, is in no change. A [Config.Cache] of yours doesn't tell
// when it lists; there its SyncPeriod does that, every ten hours by default. A call that
// never ends takes a worker: have more than one, or a ReconciliationTimeout.
//
// # Security
//
// The manager's account needs get, list and watch of namespaces, serviceaccounts,
// secrets, pods and configmaps in all namespaces, as far as the controllers that are
// added read them, and the writes that they do. Logs hold names, never data.
//
// # Compatibility
//
// controller-runtime v0.25 and client-go v0.37. A manager is one cluster.
package saruntime
