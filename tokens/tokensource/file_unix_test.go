//go:build unix

package tokensource_test

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kubesa/serviceaccount/tokens/tokensource"
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

// A file that can be opened and not read is no empty one.
func TestFileCannotBeRead(t *testing.T) {
	const name = "/proc/self/mem" // which has nothing at its beginning
	if _, err := os.Stat(name); err != nil {
		t.Skip(err)
	}
	f := must(tokensource.NewFile(tokensource.FileConfig{Path: name}))
	if _, err := f.Token(t.Context()); !errors.Is(err, syscall.EIO) {
		t.Errorf("Token() = %v, want the error of the operating system", err)
	}
}

// No read leaves a descriptor.
func TestFileIsClosed(t *testing.T) {
	m := newMount(t)
	m.write("hunter2")
	next := func() uintptr { // the lowest descriptor that is free
		f := must(os.Open(m.path))
		defer f.Close()
		return f.Fd()
	}
	before := next()
	for range 50 {
		m.now = m.now.Add(time.Minute)
		m.want("in time", "hunter2")
	}
	if after := next(); after > before+25 {
		t.Errorf("50 reads left %d descriptors", after-before)
	}
}
