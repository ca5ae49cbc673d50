//go:build linux

package files_test

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/kubesa/serviceaccount/keys/internal/files"
)

// What is in the place of a folder isn't locked, and a pipe that nobody writes to holds
// nobody up.
func TestLockFolderOfNoFolder(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := files.LockFolder(t.Context(), pipe); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("LockFolder() of a named pipe = %v, want that it is no folder", err)
	}
}
