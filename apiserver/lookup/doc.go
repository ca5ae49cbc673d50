// Package lookup finds the objects that tokens and pods depend on, for servers on
// k8s.io/apiserver: in the server's own storage, live, or in the caches of informers.
//
//	live := lookup.FromStorage(scheme, lookup.Storage{
//		ServiceAccounts: accounts, Secrets: secrets, Pods: pods, // stores of the registry
//	})
//	informers := lookup.FromInformers(factory)
//	getters := informers.Or(live)
//
// They are the Live and the Cached of an apiserver.Config, and the getters of what is
// made by hand. [TrackingStorage] is for its Tracking.
//
// A getter gets the context of the request, and so does the storage: a tenant that the
// server keeps there is that of every lookup. An error of a getter is that of what it
// reads, such as NotFound. A kind without a getter isn't there.
package lookup
