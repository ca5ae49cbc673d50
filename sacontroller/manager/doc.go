// Package manager runs the controllers of package sacontroller, and any other
// sacontroller.Controller, on client-go: shared informers, work queues with
// back-off, leader election, metrics, Events and health checks.
//
//	m, err := manager.New(manager.Config{Client: clientset, Logger: logger})
//	…
//	tokens, err := sacontroller.NewTokens(sacontroller.TokensConfig{
//		Reader: m.Reader(),                                 // the caches
//		Client: serviceaccount.FromCoreV1(clientset.CoreV1()), // live
//		Issuer: m.CountIssued(issuer),
//	})
//	…
//	err = m.Add(tokens, manager.Options{Workers: 5})
//	…
//	err = m.Run(ctx)
//
// It is a module of its own, so that programs with another driver don't depend on
// client-go. The command serviceaccount-manager beside it is a whole program.
//
// # Concepts
//
// A [Manager] watches each [Resource] once, for all controllers that were added,
// and no more than they need: of Secrets only token Secrets, of ConfigMaps only the
// ones with a known name, and only metadata of accounts if nobody asks for more.
// Watches begin at once; the controllers begin when all caches are filled and, with
// [LeaderElection], when the lease is held. Each controller has a queue. A key that
// fails waits 5 ms, then twice as long each time up to 1000 s, and is never given
// up.
//
// # Failure
//
// Dropped watches and expired versions are client-go's business: it lists again,
// and what was missed meanwhile arrives as changes, deletions included. A panic of
// a controller is counted and logged, and costs only the key that caused it.
//
// When the context of [Manager.Run] ends, nothing new is begun, requests on their
// way may finish within [Config.ShutdownTimeout], and then the lease is given back.
// When the lease is lost, requests are cancelled at once. A process that dies in
// the middle of anything does no harm: the next one judges everything anew.
//
// # Security
//
// The process needs to read and write Secrets of all namespaces: Kubernetes' roles
// can't tell types of Secrets apart. Neither logs, metrics, Events nor health
// checks hold any of their data, and labels of metrics hold no text from the
// cluster. client-go itself logs request bodies from its verbosity 8 on, which this
// package never sets.
package manager
