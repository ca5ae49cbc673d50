package apiserver

import (
	"fmt"
	"reflect"
	"slices"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// AddToScheme registers the types of authentication.k8s.io/v1, as those that the
// server works with too. A server with internal types of that group, as
// kube-apiserver, doesn't need it.
func AddToScheme(scheme *runtime.Scheme) error {
	if err := authenticationv1.AddToScheme(scheme); err != nil {
		return err
	}
	return AddHub(scheme, authenticationv1.SchemeGroupVersion)
}

// AddHub makes the types of version the ones that a server with scheme works with: it
// registers those that have no internal type as internal types too. They must be
// registered already. A server converts every request to the internal version, so
// without this it can't serve a group that has none.
func AddHub(scheme *runtime.Scheme, version schema.GroupVersion) error {
	known := scheme.KnownTypes(version)
	if len(known) == 0 {
		return fmt.Errorf("apiserver: no type of %s is registered", version)
	}
	internal := schema.GroupVersion{Group: version.Group, Version: runtime.APIVersionInternal}
	for kind, typ := range known {
		object, ok := reflect.New(typ).Interface().(runtime.Object)
		// Kinds of every group, such as WatchEvent, have internal types already.
		kinds, _, err := scheme.ObjectKinds(object)
		shared := slices.ContainsFunc(kinds, func(k schema.GroupVersionKind) bool { return k.Group != version.Group })
		if !ok || err != nil || shared || scheme.Recognizes(internal.WithKind(kind)) {
			continue
		}
		scheme.AddKnownTypeWithName(internal.WithKind(kind), object)
	}
	return nil
}

// A hub converts between T, a type of a version that is served, and the type that the
// server works with: T itself, or the internal type of scheme. A nil scheme has none.
type hub[T any, P interface {
	*T
	runtime.Object
}] struct {
	scheme *runtime.Scheme
	kind   schema.GroupVersionKind
}

// new returns an empty object of the type that the server works with.
func (h hub[T, P]) new() runtime.Object {
	if h.scheme != nil {
		internal := schema.GroupVersionKind{Group: h.kind.Group, Version: runtime.APIVersionInternal, Kind: h.kind.Kind}
		if object, err := h.scheme.New(internal); err == nil {
			return object
		}
	}
	return P(new(T))
}

// served returns object as a T, which may be object itself.
func (h hub[T, P]) served(object runtime.Object) (P, error) {
	if t, ok := object.(P); ok && t != nil {
		return t, nil
	}
	t := P(new(T))
	if object == nil || h.scheme == nil || reflect.ValueOf(object).IsZero() {
		return nil, h.misfit(object)
	}
	if err := h.scheme.Convert(object, t, nil); err != nil {
		return nil, h.misfit(object)
	}
	return t, nil
}

// internal returns t as the type that the server works with.
func (h hub[T, P]) internal(t P) (runtime.Object, error) {
	object := h.new()
	if _, ok := object.(P); ok {
		return t, nil
	}
	if err := h.scheme.Convert(t, object, nil); err != nil {
		return nil, apierrors.NewInternalError(fmt.Errorf("apiserver: converting a %s: %w", h.kind.Kind, err))
	}
	return object, nil
}

// misfit says that object isn't a T, without its contents.
func (h hub[T, P]) misfit(object runtime.Object) error {
	return apierrors.NewInternalError(fmt.Errorf("apiserver: a %T is not a %s", object, h.kind.Kind))
}
