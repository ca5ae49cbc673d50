// Package apicall is what the controllers' calls of Readers and Clients share: answers
// that break the contract, objects that don't exist, and which errors come again.
package apicall

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubesa/serviceaccount/internal/names"
)

// errNothing is the answer of a Reader or Client that breaks its contract.
var errNothing = errors.New("the call returned neither an object nor an error")

// Require passes on the answer of a method that returns an object, and makes nil with
// a nil error an error.
func Require[T any](object *T, err error) (*T, error) {
	if err == nil && object == nil {
		err = errNothing
	}
	return object, err
}

// RequireAll is Require for the answer of a list.
func RequireAll[T any](objects []*T, err error) ([]*T, error) {
	if err == nil && slices.Contains(objects, nil) {
		err = errNothing
	}
	return objects, err
}

// Get returns what get does, with nil for an object that doesn't exist. One whose name
// is invalid can't exist: that name never reaches get. The error begins with pkg, the
// package that calls it.
func Get[T any](ctx context.Context, pkg string, get func(ctx context.Context, namespace, name string) (*T, error), namespace, name string) (*T, error) {
	if !names.Valid(name) {
		return nil, nil
	}
	object, err := Require(get(ctx, namespace, name))
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		_, kind, _ := strings.Cut(fmt.Sprintf("%T", object), ".")
		if namespace != "" {
			name = namespace + "/" + name
		}
		return nil, fmt.Errorf("%s: reading %.350s: %w", pkg, kind+" "+name, err)
	}
	return object, nil
}

// Namespace is Get for a Namespace.
func Namespace(ctx context.Context, pkg string, get func(ctx context.Context, name string) (*corev1.Namespace, error), name string) (*corev1.Namespace, error) {
	return Get(ctx, pkg, func(ctx context.Context, _, name string) (*corev1.Namespace, error) { return get(ctx, name) }, "", name)
}

// Terminating reports whether namespace is being deleted.
func Terminating(namespace *corev1.Namespace) bool {
	return namespace.DeletionTimestamp != nil || namespace.Status.Phase == corev1.NamespaceTerminating
}
