package apicall

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// A TerminalError is sacontroller.TerminalError.
type TerminalError struct {
	Err error // never nil
}

func (e *TerminalError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *TerminalError) Unwrap() error { return e.Err }

// Terminalf returns a [*TerminalError] with a formatted text.
func Terminalf(format string, args ...any) error {
	return &TerminalError{Err: fmt.Errorf(format, args...)}
}

// WriteError returns the error of a write, with what was written: a [*TerminalError]
// if only another object helps.
func WriteError(err error, format string, args ...any) error {
	err = fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err)
	if Permanent(err) {
		return &TerminalError{Err: err}
	}
	return err
}

// Permanent reports whether err, of a write, comes again however often the same is
// written: the object is invalid, or too large for the API server or for what is
// behind it. Those have no reason of their own. Whether others may write, quotas and
// what admission thinks can change without a change of the object.
func Permanent(err error) bool {
	if err == nil {
		return false
	}
	text := err.Error()
	return apierrors.IsInvalid(err) || apierrors.IsRequestEntityTooLargeError(err) ||
		strings.Contains(text, "etcdserver: request is too large") || strings.Contains(text, "trying to send message larger than max")
}

// SaysTerminating accepts the answer to a create in a Namespace that is being
// deleted (SAC-10, CTL-87, RCA-5): there is nothing left to keep in order.
func SaysTerminating(err error) bool {
	return apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
}

// A PauseError says why a key is put off although no call failed.
type PauseError struct {
	Problem string
	Wait    time.Duration
}

func (e *PauseError) Error() string {
	return fmt.Sprintf("%s; the next attempt is in %v", e.Problem, e.Wait.Round(time.Second))
}

// Reverted says, for the package pkg, that a write for key is put off because the last
// ones were reverted.
func Reverted(pkg string, key fmt.Stringer, wait time.Duration) error {
	return &PauseError{fmt.Sprintf("%s: %s is being reverted by another writer, want it to stop", pkg, key), wait}
}
