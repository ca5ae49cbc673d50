// Package controlplane runs a real etcd and a real kube-apiserver on loopback,
// for tests that ask what Kubernetes itself does, and for the example that is a
// cluster.
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
// Everything but what [Config.Folder] keeps lives in one temporary folder and three child processes: the two
// servers and a watchdog, a shell that waits for the end of this process.
// [ControlPlane.Stop] ends all three and removes the folder. When this process
// ends without Stop (a panic, a timeout, an interrupt, kill -9), the watchdog
// does the same.
//
// # Limits
//
// It is meant for one machine that runs Unix. etcd listens on a socket in a folder of
// this user's. Nothing is durable unless [Config.Folder] says where. There is no
// kube-controller-manager, no scheduler and no kubelet, and the ServiceAccount
// admission plugin is off: that is the work of the library under test.
package controlplane
