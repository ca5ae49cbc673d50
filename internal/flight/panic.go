package flight

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// A PanicError is a panic, caught. However it is printed or encoded, it shows
// neither the value nor the stack.
type PanicError struct {
	name  string
	value any
	stack []byte
}

func (e *PanicError) Error() string { return e.name + " panicked" }

// PanicValue returns what the code panicked with.
func (e *PanicError) PanicValue() any { return e.value }

// PanicStack returns the stack of the goroutine at the time.
func (e *PanicError) PanicStack() []byte { return e.stack }

// PanicText returns what may be logged of the value: the text of an error of the
// Go runtime, such as a nil dereference, otherwise only the type.
func (e *PanicError) PanicText() string {
	if err, ok := e.value.(interface {
		error
		RuntimeError()
	}); ok {
		return err.Error()
	}
	return fmt.Sprintf("a %T", e.value)
}

// Format writes what Error returns, whatever the verb.
func (e *PanicError) Format(f fmt.State, _ rune) { fmt.Fprint(f, e.Error()) }

// PanicOf returns the value and the stack of the [PanicError] that err wraps, or
// nil for both.
func PanicOf(err error) (value any, stack []byte) {
	if e, ok := errors.AsType[*PanicError](err); ok {
		return e.value, e.stack
	}
	return nil, nil
}

// errGoexit is the value of a PanicError if the code has ended its goroutine.
var errGoexit = errors.New("runtime.Goexit was called")

// Catch calls f, which errors call name, in the caller's goroutine. If f panics,
// the error is a [*PanicError].
func Catch[V any](name string, f func() (V, error)) (value V, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{name, p, debug.Stack()}
		}
	}()
	return f()
}

// finish calls f in a goroutine of its own and passes what Catch returns to done,
// even if f ends the goroutine.
func finish[V any](name string, f func() (V, error), done func(V, error)) {
	var value V
	err := error(&PanicError{name: name, value: errGoexit})
	defer func() { done(value, err) }()
	value, err = Catch(name, f)
}
