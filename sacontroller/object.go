package sacontroller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubesa/serviceaccount/internal/names"
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

// getIfExists returns what get does, with nil for an object that doesn't exist. One
// whose name is invalid can't exist: that name never reaches get.
func getIfExists[T any](ctx context.Context, get func(ctx context.Context, namespace, name string) (*T, error), namespace, name string) (*T, error) {
	if !names.Valid(name) {
		return nil, nil
	}
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
func namespaceIfExists(ctx context.Context, get func(ctx context.Context, name string) (*corev1.Namespace, error), name string) (*corev1.Namespace, error) {
	return getIfExists(ctx, func(ctx context.Context, _, name string) (*corev1.Namespace, error) { return get(ctx, name) }, "", name)
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

// writeError returns the error of a write, with what was written: a [*TerminalError]
// if only another object helps.
func writeError(err error, format string, args ...any) error {
	err = fmt.Errorf("sacontroller: %s: %w", fmt.Sprintf(format, args...), err)
	if isPermanent(err) {
		return &TerminalError{Err: err}
	}
	return err
}

// isPermanent reports whether err, of a write, comes again however often the same
// is written: the object is invalid, or too large for the API server or for what is
// behind it. Those have no reason of their own. Whether others may write, quotas and
// what admission thinks can change without a change of the object.
func isPermanent(err error) bool {
	return apierrors.IsInvalid(err) || apierrors.IsRequestEntityTooLargeError(err) ||
		err != nil && strings.Contains(err.Error(), "etcdserver: request is too large")
}

func isTerminal(err error) bool {
	_, ok := errors.AsType[*TerminalError](err)
	return ok
}

// A pauseError says why a key is put off although no call failed.
type pauseError struct {
	problem string
	wait    time.Duration
}

func (e *pauseError) Error() string {
	return fmt.Sprintf("sacontroller: %s; the next attempt is in %v", e.problem, e.wait.Round(time.Second))
}

// reverted says that a write is put off because the last ones were reverted.
func reverted(key Key, wait time.Duration) error {
	return &pauseError{fmt.Sprintf("%s is being reverted by another writer, want it to stop", key), wait}
}
