package fault

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// An Op is one call of the API: what a [Fault] decides about.
type Op struct {
	Verb        string // get, list, watch, create, update, patch, delete or deletecollection
	Resource    string // plural, like "secrets"; or the path of what is no resource, like "/openid/v1/jwks"
	Subresource string // "" for most
	Namespace   string // "" for cluster-scoped resources and for all namespaces
	Name        string // "" for list, watch, reviews, and create with generateName

	// Object is what was sent with a create or an update, nil otherwise. It is
	// a copy; a Fault only reads it.
	Object runtime.Object

	// PatchType and Patch are what was sent with a patch.
	PatchType types.PatchType
	Patch     []byte

	// Preconditions are those of a delete, nil without.
	Preconditions *metav1.Preconditions

	// Actor is who calls, if known: the name of a controller that the Cluster
	// drives, what was given to WithActor, or "kube-apiserver" for what an API
	// server looks up to answer another call.
	Actor string
}

// String returns op in the form "verb resource namespace/name". It shows no
// content.
func (op Op) String() string {
	text := op.Verb + " " + op.resource()
	if op.Namespace != "" || op.Name != "" {
		text += " " + place(op.Namespace, op.Name)
	}
	return text
}

func place(namespace, name string) string {
	if namespace != "" && name != "" {
		return namespace + "/" + name
	}
	return namespace + name
}

// resource returns the resource with its subresource.
func (op Op) resource() string {
	if op.Subresource == "" {
		return op.Resource
	}
	return op.Resource + "/" + op.Subresource
}
