// Package manager runs the controllers of package sacontroller, and any other
// sacontroller.Controller, on client-go: shared informers, fair queues with back-off,
// leader election, metrics, Events and health checks.
//
//	config.Wrap(manager.Guard) // a *rest.Config
//	…
//	m, err := manager.New(manager.Config{Client: clientset, Logger: logger})
//	…
//	tokens, err := sacontroller.NewTokens(sacontroller.TokensConfig{
//		Reader: m.Reader(),                                    // the caches
//		Client: serviceaccount.FromCoreV1(clientset.CoreV1()), // live
//		Issuer: m.CountIssued(issuer),
//	})
//	…
//	err = m.Add(tokens, manager.Options{Workers: 5})
//	…
//	err = m.Run(ctx)
//
// It is a module of its own, so that programs with another driver don't depend on
// client-go. The command serviceaccount-manager in it is a complete program.
//
// # Concepts
//
// A [Manager] watches each [Resource] once, for all controllers that were added,
// and no more than they need: of Secrets only token Secrets, of ConfigMaps only
// those of known names, and only the metadata of accounts if that is enough for
// all. Watches start at once. The controllers start when all caches are filled and,
// with [LeaderElection], when the lease is held.
//
// Each controller has a queue, in which namespaces take turns: no number of keys of
// one holds up a key of another. A key that fails waits 5 ms, then twice as long each
// time up to 1000 s, and is retried for ever, but for a [sacontroller.TerminalError]:
// then it waits for a change. Of one namespace ten keys are retried per second, after
// the first hundred. Calls for one namespace take half of the free workers at most,
// so that calls that hang don't take all: have more than one.
//
// # Tenants
//
// One Manager with [Config.Tenants] runs its controllers for many tenants, such as the
// logical clusters of one control plane or the virtual clusters on one host. They join
// and leave at run time; see [Manager.Join]. Each has watches and caches of its own, from
// which [Reader] reads by the context. All share the queues and the workers: tenants take
// turns, and then the namespaces of each do, and back-off is a namespace's own. The
// controllers' Client finds the tenant in the context, too; serviceaccount.ByTenant makes
// one.
//
// A tenant has half of the free workers at most. One whose calls take longer than a second
// is taken for one whose API server hangs: from then on, until there was no such call for
// a minute, it has two workers of its own and none of the others'.
//
// # Failure
//
// [New] and [Manager.Add] return an error naming every invalid field, each as a
// [*ConfigError]. client-go handles dropped watches and expired versions: it lists again, and what was missed
// arrives as changes, deletions included. After a list the controllers look at every
// object again: what one of them made, and somebody deleted, before the list is in no
// change. A watch lasts a minute or so, whether the API server ends it or not. A panic
// of a controller is counted and logged, and affects only the key that caused it.
//
// When the context of [Manager.Run] ends, no key is started, running requests may
// finish within [Config.ShutdownTimeout], and then the lease is released. When the
// lease can't be renewed, requests are cancelled before it can be another process's;
// [Guard] bounds each of them. A process may die at any time: the next one looks at
// every object again.
//
// # Security
//
// The process needs to read and write Secrets of all namespaces: RBAC can't tell
// types of Secrets apart. Logs, metrics, Events and health checks hold none of their
// data, and labels of metrics hold no text from the cluster. client-go itself logs
// request bodies from verbosity 8 on, which this package never sets.
package manager
