// Package controlplane runs a real etcd and a real kube-apiserver on loopback,
// for tests that ask what Kubernetes itself does.
//
// The programs, kubectl included, are built from the modules that go.mod pins as
// tools, so that a machine needs Go and nothing else. They are kept in the
// user's cache folder under a name that is derived from all versions involved:
// only the first run on a machine builds, which takes minutes.
//
//	server, err := controlplane.Start(ctx, controlplane.Config{
//		Issuer:     "https://kubernetes.default.svc",
//		SigningKey: key,
//	})
//	if err != nil { … }
//	defer server.Stop()
//	clients := kubernetes.NewForConfigOrDie(server.Admin())
//
// # Lifetime
//
// Everything lives in one temporary folder and three child processes: the two
// servers and a watchdog, a shell that waits for the end of this process.
// [ControlPlane.Stop] ends all three and removes the folder. When this process
// ends without Stop (a panic, a timeout, an interrupt, kill -9), the watchdog
// does the same.
//
// # Limits
//
// It is meant for tests on Unix: the client port of etcd is open to every user
// of the machine, and nothing is durable. There is no kube-controller-manager,
// no scheduler and no kubelet, and the ServiceAccount admission plugin is off:
// that is the work of the library under test.
package controlplane
