package sacontroller

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/internal/tokensecret"
)

// Kinds of keys.
const (
	kindNamespace      = "Namespace"
	kindServiceAccount = "ServiceAccount"
	kindSecret         = "Secret"
	kindConfigMap      = "ConfigMap"
)

// tokensKey returns the key that Tokens has for object: the zero Key unless it is
// a ServiceAccount or a token Secret.
func tokensKey(object runtime.Object) Key {
	switch object := object.(type) {
	case *corev1.ServiceAccount:
		if object != nil {
			return Key{Kind: kindServiceAccount, Namespace: object.Namespace, Name: object.Name, UID: object.UID}
		}
	case *corev1.Secret:
		if tokensecret.Is(object) {
			name, uid := tokensecret.Owner(object)
			return Key{
				Kind: kindSecret, Namespace: object.Namespace, Name: object.Name, UID: object.UID,
				ServiceAccountName: name, ServiceAccountUID: uid,
			}
		}
	}
	return Key{}
}

// workable reports whether k is a key of Tokens (CTL-8).
func (k Key) workable() bool {
	named := k.Namespace != "" && k.Name != "" && k.UID != ""
	return named && (k.Kind == kindServiceAccount || k.Kind == kindSecret && k.ServiceAccountName != "")
}

// gone returns the keys that are due when the object of k is gone: k, and for a
// Secret that was generated for one account and annotated with another since, one
// that leads to the first account, whatever its UID is.
func gone(k Key) []Key {
	var keys []Key
	if k.workable() {
		keys = append(keys, k)
	}
	if first := tokensecret.GeneratedFor(k.Name); k.Kind == kindSecret && first != "" && first != k.ServiceAccountName {
		k.ServiceAccountName, k.ServiceAccountUID = first, ""
		if k.workable() {
			keys = append(keys, k)
		}
	}
	return keys
}

// left returns the key of the account that the Secret of k was annotated with.
func left(k Key) []Key {
	account := Key{Kind: kindServiceAccount, Namespace: k.Namespace, Name: k.ServiceAccountName, UID: k.ServiceAccountUID}
	if k.Kind != kindSecret || !account.workable() {
		return nil
	}
	return []Key{account}
}

// uidOf returns the UID of object, or none if it has none.
func uidOf(object runtime.Object) types.UID {
	switch object := object.(type) {
	case *corev1.ServiceAccount:
		if object != nil {
			return object.UID
		}
	case *corev1.Secret:
		if object != nil {
			return object.UID
		}
	}
	return ""
}

// found turns the NotFound error of a getter into a nil object.
func found[T any](object *T, err error) (*T, error) {
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("sacontroller: reading a %T: %w", object, err)
	}
	return object, nil
}

// isTerminating reports whether namespace is being deleted.
func isTerminating(namespace *corev1.Namespace) bool {
	return namespace.DeletionTimestamp != nil || namespace.Status.Phase == corev1.NamespaceTerminating
}

// saysTerminating accepts the answer to a create in a Namespace that is being
// deleted (SAC-10, CTL-87, RCA-5): there is nothing left to keep in order.
func saysTerminating(err error) bool {
	return apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
}

// An undoneError says that a write was put off because somebody else keeps undoing
// it.
type undoneError struct {
	key  Key
	wait time.Duration
}

func (e *undoneError) Error() string {
	return fmt.Sprintf("sacontroller: somebody else keeps changing %s back, the next write is in %v", e.key, e.wait.Round(time.Second))
}
