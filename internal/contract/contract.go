// Package contract tells the answers of getters and clients from those that break their
// contract.
package contract

import (
	"errors"
	"reflect"
)

// ErrNothing is the error of a call that breaks its contract.
var ErrNothing = errors.New("the call returned neither an object nor an error")

// Require returns what a call has returned: an object, or nil and an error. That is
// [ErrNothing] if there is neither. An error that is a nil pointer is none: its methods
// would panic.
func Require[T any](object *T, err error) (*T, error) {
	if err != nil {
		if v := reflect.ValueOf(err); v.Kind() != reflect.Pointer || !v.IsNil() {
			return nil, err
		}
		object = nil
	}
	if object == nil {
		return nil, ErrNothing
	}
	return object, nil
}
