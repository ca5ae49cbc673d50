package sacontroller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// errNothing is the answer of a Reader or Client that breaks its contract.
var errNothing = errors.New("the call returned neither an object nor an error")

// requireObject passes on the answer of a method that returns an object, and
// makes nil with a nil error an error.
func requireObject[T any](object *T, err error) (*T, error) {
	if err == nil && object == nil {
		err = errNothing
	}
	return object, err
}

// requireObjects is requireObject for the answer of a list.
func requireObjects[T any](objects []*T, err error) ([]*T, error) {
	if err == nil && slices.Contains(objects, nil) {
		err = errNothing
	}
	return objects, err
}

// getIfExists returns what get does, with nil for an object that doesn't exist.
func getIfExists[T any](ctx context.Context, get func(ctx context.Context, namespace, name string) (*T, error), namespace, name string) (*T, error) {
	object, err := requireObject(get(ctx, namespace, name))
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		_, kind, _ := strings.Cut(fmt.Sprintf("%T", object), ".")
		key := Key{Kind: kind, Namespace: namespace, Name: name}
		return nil, fmt.Errorf("sacontroller: reading %.350s: %w", key, err)
	}
	return object, nil
}

// namespaceIfExists is getIfExists for a Namespace.
func namespaceIfExists(ctx context.Context, from NamespaceGetter, name string) (*corev1.Namespace, error) {
	return getIfExists(ctx, func(ctx context.Context, _, name string) (*corev1.Namespace, error) {
		return from.GetNamespace(ctx, name)
	}, "", name)
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

// terminalf returns a [*TerminalError] with a formatted text.
func terminalf(format string, args ...any) error {
	return &TerminalError{Err: fmt.Errorf("sacontroller: "+format, args...)}
}
