// Package apicall is what the controllers' calls of Readers and Clients share: answers
// that break the contract, objects that don't exist, and which errors come again.
package apicall

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubesa/serviceaccount/internal/contract"
	"github.com/kubesa/serviceaccount/internal/names"
)

// RequireAll is [contract.Require] for the answer of a list.
func RequireAll[T any](objects []*T, err error) ([]*T, error) {
	if err == nil && slices.Contains(objects, nil) {
		err = contract.ErrNothing
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
	object, err := contract.Require(get(ctx, namespace, name))
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
