package flight_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/kubesa/serviceaccount/internal/flight"
)

// checkPanic checks that err is a PanicError with this text, and with this value
// unless that is nil, which however it is printed holds neither value nor stack.
func checkPanic(t *testing.T, err error, text string, value any) {
	t.Helper()
	p, ok := errors.AsType[*flight.PanicError](err)
	if !ok || err.Error() != text || fmt.Sprintf("%+v", p) != text {
		t.Fatalf("the error is %v, want a PanicError %q", err, text)
	}
	if value != nil && (p.PanicValue() != value || !bytes.Contains(p.PanicStack(), []byte("flight_test"))) {
		t.Errorf("the PanicError has the value %v and a stack of %d bytes, want %v and that of the panic", p.PanicValue(), len(p.PanicStack()), value)
	}
	encoded, _ := json.Marshal(map[string]any{"error": p})
	for _, printed := range []string{fmt.Sprintf("%v %+v %#v %s %q %x", p, p, p, p, p, p), string(encoded)} {
		if strings.Contains(printed, "hunter2") || strings.Contains(printed, "goroutine") {
			t.Errorf("printed, the PanicError is %q, want nothing of its value or stack", printed)
		}
	}
}

func TestCatch(t *testing.T) {
	got, err := flight.Catch("the service", func() (int, error) { return 7, nil })
	if got != 7 || err != nil {
		t.Errorf("Catch() = %d, %v, want what the function returns", got, err)
	}
	own := errors.New("own")
	if _, err := flight.Catch("the service", func() (int, error) { return 0, own }); err != own {
		t.Errorf("Catch() = %v, want the error of the function", err)
	}
	_, err = flight.Catch("the service", func() (int, error) { panic("hunter2") })
	checkPanic(t, err, "the service panicked", "hunter2")
}

func TestPanicOf(t *testing.T) {
	_, err := flight.Catch("the service", func() (int, error) { panic("hunter2") })
	value, stack := flight.PanicOf(fmt.Errorf("wrapped: %w", err))
	if value != "hunter2" || !bytes.Contains(stack, []byte("TestPanicOf")) {
		t.Errorf("PanicOf() = %v, %q, want the value and the stack", value, stack)
	}
	if value, stack := flight.PanicOf(errors.New("another")); value != nil || stack != nil {
		t.Errorf("PanicOf() = %v, %q for another error, want nothing", value, stack)
	}
}

func TestPanicText(t *testing.T) {
	var list []int
	for _, tt := range []struct {
		name string
		f    func() (int, error)
		want string
	}{
		{"runtime error", func() (int, error) { return list[3], nil }, "runtime error: index out of range [3] with length 0"},
		{"string", func() (int, error) { panic("hunter2") }, "a string"},
		{"error", func() (int, error) { panic(errors.New("hunter2")) }, "a *errors.errorString"},
	} {
		_, err := flight.Catch("it", tt.f)
		p, ok := errors.AsType[*flight.PanicError](err)
		if !ok || p.PanicText() != tt.want {
			t.Errorf("%s: PanicText() of %v is not %q", tt.name, err, tt.want)
		}
	}
}
