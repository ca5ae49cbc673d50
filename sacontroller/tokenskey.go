package sacontroller

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount/internal/names"
	"github.com/kubesa/serviceaccount/internal/tokensecret"
)

// Kinds of keys.
const (
	kindNamespace      = "Namespace"
	kindServiceAccount = "ServiceAccount"
	kindSecret         = "Secret"
	kindConfigMap      = "ConfigMap"
)

// Due returns the key of the ServiceAccount or token Secret that changed, and of
// the one that it replaced if one change tells of both. Other Secrets, and token
// Secrets that name no account, give none.
//
// A Secret whose annotation was moved to another account gives a key for the
// account that it was taken from, which may need another token. A deleted Secret
// gives one for the account that it was generated for, by its name, which may
// still list it.
func (c *Tokens) Due(change Change) []Key {
	switch change.Type {
	case watch.Added, watch.Modified, watch.Deleted:
	default:
		return nil
	}
	var keys []Key
	key := tokensKey(change.Tenant, change.Object)
	switch old := tokensKey(change.Tenant, change.Old); {
	case old.UID != uidOf(change.Object):
		keys = append(keys, keysOfDeleted(old)...)
	case old.ServiceAccountName != key.ServiceAccountName:
		keys = append(keys, keysOfOwner(old)...)
	}
	switch {
	case change.Type == watch.Deleted:
		keys = append(keys, keysOfDeleted(key)...)
	case key.workable():
		keys = append(keys, key)
	}
	return keys
}

// tokensKey returns the key that Tokens has for object of tenant: the zero Key unless it is
// a ServiceAccount or a token Secret.
func tokensKey(tenant string, object runtime.Object) Key {
	switch object := object.(type) {
	case *corev1.ServiceAccount:
		if object != nil {
			return Key{Tenant: tenant, Kind: kindServiceAccount, Namespace: object.Namespace, Name: object.Name, UID: object.UID}
		}
	case *corev1.Secret:
		if tokensecret.Is(object) {
			name, uid := tokensecret.Owner(object)
			return Key{
				Tenant: tenant, Kind: kindSecret, Namespace: object.Namespace, Name: object.Name, UID: object.UID,
				ServiceAccountName: cut(name), ServiceAccountUID: cut(uid),
			}
		}
	}
	return Key{}
}

// maxAnnotation is how much of an annotation a key holds: more than a name or a UID
// has, so that what is cut is still none. Keys are remembered, and an annotation can
// have 256 KiB.
const maxAnnotation = 256

func cut[S ~string](annotation S) S {
	if len(annotation) > maxAnnotation {
		return S(strings.Clone(string(annotation[:maxAnnotation])))
	}
	return annotation
}

// workable reports whether k is a key of Tokens (CTL-8). The names of objects are
// valid; the one from the annotation may be any text.
func (k Key) workable() bool {
	named := k.UID != "" && names.ValidNamespace(k.Namespace) && names.Valid(k.Name)
	return named && (k.Kind == kindServiceAccount || k.Kind == kindSecret && k.ServiceAccountName != "")
}

// keysOfDeleted returns the keys that are due when the object of k is deleted: k,
// and for a Secret that was generated for one account and annotated with another
// since, one that leads to the first account, whatever its UID is.
func keysOfDeleted(k Key) []Key {
	var keys []Key
	if k.workable() {
		keys = append(keys, k)
	}
	if first := tokensecret.GeneratedFor(k.Name); k.Kind == kindSecret && first != k.ServiceAccountName {
		k.ServiceAccountName, k.ServiceAccountUID = first, ""
		if k.workable() {
			keys = append(keys, k)
		}
	}
	return keys
}

// keysOfOwner returns the key of the account that the Secret of k is annotated
// with.
func keysOfOwner(k Key) []Key {
	account := Key{Tenant: k.Tenant, Kind: kindServiceAccount, Namespace: k.Namespace, Name: k.ServiceAccountName, UID: k.ServiceAccountUID}
	if !account.workable() {
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
