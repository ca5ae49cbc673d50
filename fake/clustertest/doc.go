// Package clustertest is the checker for implementations of the clients of this
// module.
package clustertest
