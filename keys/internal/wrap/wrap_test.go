package wrap_test

import (
	"errors"
	"testing"

	"github.com/kubesa/serviceaccount/keys/internal/wrap"
)

// The name of the package that an error is from is cut off, and the error is wrapped.
func TestErrorf(t *testing.T) {
	for text, want := range map[string]string{
		"boom":                      "reading a: boom",
		"keys: boom":                "reading a: boom",
		"keyring: boom":             "reading a: boom",
		"discovery: boom":           "reading a: boom",
		"external: keys: it boomed": "reading a: keys: it boomed",
		"other: boom":               "reading a: other: boom",
	} {
		err := errors.New(text)
		if got := wrap.Errorf(err, "reading %s", "a"); got.Error() != want || !errors.Is(got, err) {
			t.Errorf("Errorf(%q) = %q, want %q, which wraps it", text, got, want)
		}
	}
}
