// Package wrap says what was being done when an error happened, without the name of
// the package that the error is from: the texts of some errors are those of
// Kubernetes.
package wrap

import (
	"fmt"
	"strings"
)

type contextError struct {
	text string
	err  error
}

// Errorf puts a text, as for [fmt.Sprintf], in front of err, which the result wraps.
func Errorf(err error, format string, args ...any) error {
	return &contextError{fmt.Sprintf(format, args...), err}
}

func (e *contextError) Error() string {
	text := e.err.Error()
	for _, name := range []string{"keys: ", "keyring: ", "discovery: ", "external: "} {
		text = strings.TrimPrefix(text, name)
	}
	return e.text + ": " + text
}

func (e *contextError) Unwrap() error { return e.err }
