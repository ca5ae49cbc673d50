//go:build unix

package tokensource_test

import (
	"strings"
	"syscall"
	"testing"
)

// Opening a pipe would wait for its writer.
func TestFileIsAPipe(t *testing.T) {
	m := newMount(t)
	if err := syscall.Mkfifo(m.path, 0o600); err != nil {
		t.Fatal(err)
	}
	if token, err := m.Token(t.Context()); err == nil || !strings.Contains(err.Error(), "it is not a regular file") {
		t.Errorf("Token() = %v, %v, want an error", token, err)
	}
}
