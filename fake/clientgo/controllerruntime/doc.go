// Package controllerruntime makes the fake client of controller-runtime behave
// for service accounts: tokens are real JWTs, reviews verify them,
// and what is stored follows the API's rules.
//
//	authority, err := fake.NewAuthority(fake.AuthorityConfig{})
//	base := clientfake.NewClientBuilder().WithObjects(objects...).Build()
//	c, err := controllerruntime.NewClient(base, controllerruntime.Config{Authority: authority})
//	err = c.SubResource("token").Create(ctx, account, request)
//
// # Concepts
//
// Namespaces, Nodes, ServiceAccounts, Secrets, Pods, ConfigMaps and ClusterTrustBundles live in the
// [fake.Cluster] of the Authority, all other kinds in the client that it is made
// from. The test may arrange and look at those seven kinds through either; what is
// different for them from controller-runtime's fake is what the comment of
// package clientgo, the folder above, says. Beyond that:
//
//   - Objects and lists may be typed, unstructured, or metadata only, also in
//     watches. Creates and updates of metadata only are rejected.
//   - Field selectors are those that an API server knows, and indices of the builder:
//     for these the client that it is made from gets copies of the objects.
//   - Status is a subresource of Namespaces, Nodes and Pods, without
//     WithStatusSubresource.
//   - DeleteAllOf needs a namespace, as in the API.
//   - Functions of WithInterceptorFuncs see only the other kinds. To make calls
//     for the seven kinds fail, use [fake.Cluster.Inject], or wrap the result with
//     interceptor.NewClient once more.
//
// # Failure
//
// Errors are those of the API server, and injected faults as they were given.
// Nil objects get such an error, too. Calls end when their context does.
//
// # Security
//
// This is for tests. There is no authorization: [Config.Token] decides only
// whether a call is let in.
//
// # Compatibility
//
// The model is Kubernetes v1.37, with the limits that the comment of package fake
// lists.
package controllerruntime
