package objects

import (
	"fmt"
	"reflect"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// A Hub converts between T, a type of a version that is served, and the type that the
// server works with: T itself, or the internal type of scheme. A nil scheme has none.
type Hub[T any, P interface {
	*T
	runtime.Object
}] struct {
	Scheme *runtime.Scheme
	Kind   schema.GroupVersionKind
}

// New returns an empty object of the type that the server works with.
func (h Hub[T, P]) New() runtime.Object {
	if h.Scheme != nil {
		internal := schema.GroupVersionKind{Group: h.Kind.Group, Version: runtime.APIVersionInternal, Kind: h.Kind.Kind}
		if object, err := h.Scheme.New(internal); err == nil {
			return object
		}
	}
	return P(new(T))
}

// Served returns object as a T, which may be object itself.
func (h Hub[T, P]) Served(object runtime.Object) (P, error) {
	if t, _ := object.(P); t != nil {
		return t, nil
	}
	t := P(new(T))
	if object == nil || h.Scheme == nil || reflect.ValueOf(object).IsZero() {
		return nil, h.misfit(object)
	}
	if err := h.Scheme.Convert(object, t, nil); err != nil {
		return nil, h.misfit(object)
	}
	return t, nil
}

// Internal returns t as the type that the server works with.
func (h Hub[T, P]) Internal(t P) (runtime.Object, error) {
	object := h.New()
	if _, ok := object.(P); ok {
		return t, nil
	}
	if err := h.Scheme.Convert(t, object, nil); err != nil {
		return nil, apierrors.NewInternalError(fmt.Errorf("apiserver: converting a %s: %w", h.Kind.Kind, err))
	}
	return object, nil
}

// misfit says that object isn't a T, without its contents.
func (h Hub[T, P]) misfit(object runtime.Object) error {
	return apierrors.NewInternalError(fmt.Errorf("apiserver: a %T is not a %s", object, h.Kind.Kind))
}
