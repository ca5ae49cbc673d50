//go:build unix

package keys_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/internal/keystest"
)

// A file that doesn't answer, as on a network, holds up nobody for longer than his
// context, and nobody else who asks for a known key. Err says so.
func TestFileSourceHangs(t *testing.T) {
	clock := keystest.NewClock()
	file := keyFile{t, filepath.Join(t.TempDir(), "sa.pub"), clock}
	file.write(keystest.PEMs(keystest.P256Key()))
	source := keystest.Must(keys.OpenFileSource(t.Context(), keys.FileSourceConfig{Files: []string{file.name}, Now: clock.Now}))
	// A FIFO is opened once there is a writer.
	if err := errors.Join(os.Remove(file.name), syscall.Mkfifo(file.name, 0o600)); err != nil {
		t.Fatal(err)
	}
	known, unknown := keystest.ID(keystest.P256Key()), keystest.ID(keystest.P384Key())
	clock.Add(10 * time.Second)
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if list, err := source.PublicKeys(short, known); err != nil || len(list) != 1 {
		t.Errorf("PublicKeys() of the one who waits = %d keys, %v, want the known one", len(list), err)
	}
	if err := source.Err(); err != nil {
		t.Errorf("Err() = %v while the files are being read", err)
	}
	if _, err := source.PublicKeys(short, unknown); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, keys.ErrUnavailable) {
		t.Errorf("PublicKeys() of an unknown key for one who has given up = %v", err)
	}
	keystest.WantUnavailable(t, source, unknown, "the files have changed")
	clock.Add(10*time.Second - 1)
	keystest.WantUnavailable(t, source, unknown, "the files have changed")
	clock.Add(1)
	if list, err := source.PublicKeys(t.Context(), known); err != nil || len(list) != 1 {
		t.Errorf("PublicKeys() = %d keys, %v, want the known one at once", len(list), err)
	}
	const want = "keys: reading the public key files has not ended in 10s"
	keystest.WantUnavailable(t, source, unknown, want)
	if err := source.Err(); err == nil || err.Error() != want {
		t.Errorf("Err() = %v, want %s", err, want)
	}

	// It answers after all.
	if err := os.WriteFile(file.name, []byte(keystest.PEMs(keystest.P384Key())), 0); err != nil {
		t.Fatal(err)
	}
	for source.Err() != nil && strings.Contains(source.Err().Error(), "has not ended") {
		time.Sleep(time.Millisecond)
	}
	if err := os.Remove(file.name); err != nil {
		t.Fatal(err)
	}
	file.write(keystest.PEMs(keystest.P384Key()))
	clock.Add(10 * time.Second)
	if list, err := source.PublicKeys(t.Context(), unknown); err != nil || len(list) != 1 {
		t.Errorf("PublicKeys() = %d keys, %v, want the new one", len(list), err)
	}
}

// Nor does opening one wait longer than its context.
func TestOpenFileSourceHangs(t *testing.T) {
	name := filepath.Join(t.TempDir(), "sa.pub")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := keys.OpenFileSource(ctx, keys.FileSourceConfig{Files: []string{name}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("OpenFileSource() = %v, want that of the context", err)
	}
	if err := os.WriteFile(name, nil, 0); err != nil { // lets it go
		t.Fatal(err)
	}
}
