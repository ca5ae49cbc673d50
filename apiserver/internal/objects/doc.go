// Package objects has the objects of a server on k8s.io/apiserver as the types that are
// served: those in its storage, and the conversion of what its handlers get and return.
package objects
