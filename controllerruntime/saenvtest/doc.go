// Package saenvtest makes controller-runtime's envtest behave for service accounts.
//
//	testEnv := &saenvtest.Environment{Environment: envtest.Environment{
//		CRDDirectoryPaths: []string{"../../config/crd/bases"},
//	}}
//	config, err := testEnv.Start()
//	…
//	err = testEnv.Stop()
//
// # Concepts
//
// envtest alone runs etcd and kube-apiserver, without the admission plugin
// ServiceAccount and without controllers. So pods have no account and no token, no
// namespace has the account "default", token Secrets stay empty, and kube-root-ca.crt
// is missing. An [Environment] has all of that: the API server's own plugin, and the
// controllers of package sacontroller, which sign with the API server's own key. Tokens
// of the TokenRequest API and of Secrets are real, and end with their account.
// [Environment.TokenConfig] gives a client that acts as an account, for tests of the
// RBAC rules of a program.
//
// What else a cluster has isn't there: nothing schedules or runs pods, and namespaces
// that are deleted stay Terminating.
//
// # Failure
//
// Start returns when the controllers have done their first work, or with an error, and
// then stops what it has started.
//
// # Security
//
// This is for tests: the key of the API server is read from envtest's folder.
//
// # Compatibility
//
// Every kube-apiserver that envtest of controller-runtime v0.25 runs. With
// UseExistingCluster it changes nothing.
package saenvtest
