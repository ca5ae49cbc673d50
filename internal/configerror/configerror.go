// Package configerror says what is wrong with a config struct: every mistake at
// once, each with the field it is in. The packages that have constructors give
// [Error] a name of their own, ConfigError.
package configerror

import (
	"errors"
	"fmt"
	"strings"
)

// An Error is one mistake in a config struct. Only another config helps.
type Error struct {
	Config  string // the struct with its package, such as "tokens.AuthenticatorConfig"
	Field   string // such as "Issuer" or "Issuers[2]"
	Problem string // for people, such as "is empty, want at least one"
}

// Error implements the error interface.
func (e *Error) Error() string {
	pkg, name, _ := strings.Cut(e.Config, ".")
	return pkg + ": " + name + "." + e.Field + " " + e.Problem
}

// A List collects the mistakes of one config struct. Its zero value but for
// Config is ready to use. It is not safe for concurrent use.
type List struct {
	Config string
	errs   []error
}

// Add adds a mistake: what is wrong with field, as for [fmt.Sprintf].
func (l *List) Add(field, format string, args ...any) {
	l.errs = append(l.errs, &Error{l.Config, field, fmt.Sprintf(format, args...)})
}

// Require adds a mistake if the required field is missing: if value is nil, as
// an interface, a pointer or a func; want says what it should be.
func (l *List) Require(field string, value any, want string) {
	if isNil(value) {
		l.Add(field, "is required, want %s", want)
	}
}

// Optional adds a mistake if value is a typed nil, which is there and panics when it
// is used.
func (l *List) Optional(field string, value any) {
	if value != nil && isNil(value) {
		l.Add(field, "is a nil %T, want none or one that works", value)
	}
}

// NotNegative adds a mistake if number is negative.
func NotNegative[N ~int | ~int32 | ~int64](l *List, field string, number N) {
	if number < 0 {
		l.Add(field, "is %v, want 0 for the default or a positive value", number)
	}
}

// Within adds the mistakes of err, which the check of what is in field returned, as
// mistakes in field, or as the config's own if field is empty.
func (l *List) Within(field string, err error) {
	switch err := err.(type) {
	case nil:
	case interface{ Unwrap() []error }:
		for _, err := range err.Unwrap() {
			l.Within(field, err)
		}
	case *Error:
		if field != "" {
			field += "."
		}
		l.Add(field+err.Field, "%s", err.Problem)
	default:
		l.Add(field, "%v", err)
	}
}

// Err returns all mistakes joined, nil if there are none.
func (l *List) Err() error { return errors.Join(l.errs...) }
