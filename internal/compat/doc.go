// Package compat compares this library with Kubernetes v1.37: its tests give
// both the same generated inputs, and its benchmarks measure both side by side.
// There is nothing to import.
//
// The packages of upstream that are compared with are those that run in
// kube-apiserver and kube-controller-manager: the ServiceAccount admission
// plugin, the authenticators of bound and of Secret-based tokens, the token
// controller (for the requests that it makes), and client-go's reading of key files.
//
// What differs must be a deviation that this library's documentation lists, and
// each of those has a named predicate here. A difference that no predicate
// explains fails the test, and so does a predicate that explained nothing: then
// the deviation is gone, or the generator no longer reaches it.
//
//	go test ./...                      # 100,000 pods, 20,000 tokens
//	COMPAT_LONG=1 go test -timeout 4h ./...   # 5,000,000 and 1,000,000
//	go test -run '^$' -bench . .        # side by side, impl=upstream and impl=ours
//
// Package controlplane runs a real etcd and kube-apiserver for the tests that need
// them.
package compat
