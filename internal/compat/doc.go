// Package compat compares this library with Kubernetes v1.37: its tests give
// both the same generated inputs, and its benchmarks measure both side by side.
// There is nothing to import.
//
// The packages of upstream that are compared with are those that run in
// kube-apiserver and kube-controller-manager: the ServiceAccount admission
// plugin, the authenticators of bound and of Secret-based tokens, the controllers of
// tokens, of ServiceAccounts and of the root CA, and client-go's reading of key files.
//
// What differs must be a deviation that this library's documentation lists, and
// each of those has a named predicate here. A difference that no predicate
// explains fails the test, and so does a predicate that explained nothing: then
// the deviation is gone, or the generator no longer reaches it.
//
//	go test ./...                      # 100,000 pods, 20,000 tokens, 4,000 event sequences
//	COMPAT_LONG=1 go test -timeout 4h ./...   # 5,000,000, 1,000,000 and 200,000
//	go run ./cmd/benchtable            # measures side by side, and writes docs/benchmarks.md
//
// TestLoad and TestAtRest run upstream's controllers and serviceaccount-manager in turns
// against a real API server; with COMPAT_LONG=1 they take half an hour and log what
// each needed. Use -count=1: go test doesn't know that they depend on other modules.
//
// Package controlplane runs a real etcd and kube-apiserver for the tests that need
// them.
package compat
