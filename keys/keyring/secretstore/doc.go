// Package secretstore keeps a key ring in a Kubernetes Secret, for replicas that share no
// file system.
//
//	store, err := secretstore.New(secretstore.Config{
//		Client: client, Namespace: "issuer-system", Name: "keys",
//	})
//	…
//	ring, err := keyring.OpenStore(ctx, store, keyring.Config{ReloadEvery: 10 * time.Second})
//
// # Concepts
//
// One Secret is one ring: the entry ring.json says what the keys do, and each key is an
// entry of its own. Other entries, labels and annotations stay as they are. Every step is
// one update with the resourceVersion that was read, so of replicas that race one wins,
// and the others decide anew. FromCoreV1 of the root package and a fake.Cluster are
// Clients. The first step creates the Secret; or create it, empty,
// beforehand, so that get and update of this one name are all that the program may do.
//
// The ring loads the Secret every ReloadEvery, for the first who signs or verifies then;
// others go on with the keys that they have. The 64 keys that a ring has at most need some
// 400 KiB of the 1 MiB that a Secret may have.
//
// # Failure
//
// An update whose answer was lost is looked up: the step succeeds if the Secret is as it
// should be. A Secret that was deleted, or made anew, is an error of an open ring, which
// goes on with its last keys; a ring that is opened then is empty, like one that never had
// keys. Calls end after Timeout, whatever the client does.
//
// # Security
//
// The Secret has the private keys in PEM. Whoever may get, list or watch Secrets in its
// namespace, or run pods there, which mount them, can sign tokens of any ServiceAccount
// of any namespace, and no log shows it; whoever may update it can have keys of their
// own accepted. So give it a namespace of its own, in which no tenant has any right,
// not even by a ClusterRole; let the API server encrypt Secrets at rest; and if
// somebody else could read it, add a key and call [keyring.Ring.Revoke] for the others.
// RBAC can limit get and update to a resourceName, but not create. Errors hold no key.
package secretstore
