// Package rootca publishes the CA bundle that verifies the API server, as the root CA
// publishers of Kubernetes do.
//
//	maps, err := rootca.NewConfigMaps(rootca.ConfigMapsConfig{Reader: c, Client: c, RootCA: bundle})
//	…
//	bundles, err := rootca.NewTrustBundles(rootca.TrustBundlesConfig{Reader: c, Client: c, RootCA: bundle})
//	…
//	err = c.Settle(ctx, maps, bundles) // c is a fake.Cluster
//
// # Concepts
//
// Both are a [sacontroller.Controller] and a [sacontroller.Resyncer]. [ConfigMaps]
// publishes the bundle in the ConfigMap kube-root-ca.crt of every Namespace, which
// the token volumes of pods project. [TrustBundles] publishes it as one
// ClusterTrustBundle of the signer [ServingSigner], for those that project the
// bundles of a signer. SetRootCA of either changes it while it runs.
//
// Package sacontroller says what a Reader and a Client promise, and how many tenants
// are served. A tenant has the RootCA of the config, or one of its own by RootCAOf.
//
// # Failure
//
// A bundle that isn't whole is never published: the one before stays. Where another
// writer reverts what is written, again and again, at most sixty writes are made in a
// minute, and LastError says so.
//
// # Compatibility
//
// The behaviour is that of Kubernetes v1.37, but TrustBundles deletes only bundles of
// its own, after a grace period, where Kubernetes deletes all others of the signer.
package rootca
