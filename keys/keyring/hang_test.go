//go:build unix

package keyring_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/internal/keystest"
	"github.com/kubesa/serviceaccount/keys/keyring"
)

// A folder that doesn't answer, as on a network, holds up nobody for longer than his
// context: not who opens the ring, nor who takes a step, and those who wait for it, nor
// who asks for a key.
func TestRingFolderHangs(t *testing.T) {
	clock := keystest.NewClock()
	dir := t.TempDir()
	ring := keystest.Must(keyring.Open(t.Context(), dir, ringConfig(clock)))
	known := keystest.Must(ring.Add(t.Context(), keystest.P256Key()))
	ok(t, ring.Promote(t.Context(), known))
	index := filepath.Join(dir, "ring.json")
	text := keystest.Must(os.ReadFile(index))
	// A FIFO is opened once there is a writer.
	ok(t, errors.Join(os.Remove(index), syscall.Mkfifo(index, 0o600)))
	short := func() context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}

	if _, err := keyring.Open(short(), dir, ringConfig(clock)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Open() = %v, want that of the context", err)
	}
	if _, err := ring.Add(short(), keystest.P384Key()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Add() = %v, want that of the context", err)
	}
	endless, end := context.WithCancel(t.Context())
	step := make(chan error)
	go func() { step <- ring.Promote(endless, known) }()
	// Until that step is the one that hangs, this one does; then it waits for its turn.
	for range 3 {
		if _, err := ring.Add(short(), keystest.P384Key()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Add() beside a step that hangs = %v, want that of the context", err)
		}
	}
	clock.Add(time.Second)
	if list, err := ring.PublicKeys(short(), known); err != nil || len(list) != 1 {
		t.Errorf("PublicKeys() of a known key = %d keys, %v", len(list), err)
	}
	if _, err := ring.PublicKeys(short(), "unknown"); !errors.Is(err, keys.ErrUnavailable) {
		t.Errorf("PublicKeys() of an unknown key = %v, want ErrUnavailable", err)
	}
	if mint(t, ring).KeyID != known {
		t.Error("the ring doesn't sign")
	}
	end()
	if err := <-step; !errors.Is(err, context.Canceled) {
		t.Errorf("Promote() = %v, want that of the context", err)
	}

	// It answers after all: to those who wait, and then to everybody.
	ok(t, os.Rename(index, index+"~"))
	ok(t, os.WriteFile(index, text, 0o644))
	fifo := keystest.Must(os.OpenFile(index+"~", os.O_RDWR, 0))
	ok(t, fifo.Close())
	ok(t, ring.Promote(t.Context(), known))
}
