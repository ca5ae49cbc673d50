// Package objects has what the packages below tokens share about the objects
// that tokens depend on: the names of their kinds, and what counts as an answer
// of a getter.
package objects

import (
	"errors"
	"reflect"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubesa/serviceaccount/internal/contract"
)

// The kinds of objects that tokens depend on.
const (
	ServiceAccount = "ServiceAccount"
	Secret         = "Secret"
	Pod            = "Pod"
	Node           = "Node"

	ValidatingWebhook = "ValidatingWebhookConfiguration"
	MutatingWebhook   = "MutatingWebhookConfiguration"
)

// IsBuiltIn reports whether Kubernetes binds tokens to objects of kind, with
// checks that a getter of further kinds must not get around.
func IsBuiltIn(kind schema.GroupVersionKind) bool {
	switch kind.Group {
	case "":
		return kind.Kind == Pod || kind.Kind == Secret || kind.Kind == Node
	case admissionregistrationv1.GroupName:
		return kind.Kind == ValidatingWebhook || kind.Kind == MutatingWebhook
	}
	return false
}

// ErrOtherNamespace is a mistake of getters.
var ErrOtherNamespace = errors.New("the getter returned an object of another namespace")

// RequireIn is [contract.Require] for objects of any type: they must be in namespace or in
// none.
func RequireIn(namespace string, object metav1.Object, err error) (metav1.Object, error) {
	if _, err := contract.Require(&object, err); err != nil {
		return nil, err
	}
	switch {
	case IsNil(object):
		return nil, contract.ErrNothing
	case object.GetNamespace() != "" && object.GetNamespace() != namespace:
		return nil, ErrOtherNamespace
	}
	return object, nil
}

// IsNil reports whether object is nil or a typed nil, whose methods panic.
func IsNil(object metav1.Object) bool {
	if object == nil {
		return true
	}
	v := reflect.ValueOf(object)
	return v.Kind() == reflect.Pointer && v.IsNil()
}
