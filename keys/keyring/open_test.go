package keyring_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubesa/serviceaccount/keys/internal/keystest"
	"github.com/kubesa/serviceaccount/keys/keyring"
)

// Below a folder that others may write to, a ring opens with InsecureParents only.
func TestOpenInsecureParents(t *testing.T) {
	base := t.TempDir()
	ok(t, os.Chmod(base, 0o777))
	dir := filepath.Join(base, "ring")
	if ring, err := keyring.Open(t.Context(), dir, keyring.Config{}); ring != nil || err == nil || !strings.Contains(err.Error(), base+" must not be writable") {
		t.Errorf("Open() = %v, want that %s is writable", err, base)
	}
	if _, err := keyring.Open(t.Context(), dir, keyring.Config{InsecureParents: true}); err != nil {
		t.Errorf("Open() with InsecureParents = %v", err)
	}
}

// A mistake in the config is told before anything is written.
func TestOpenRefuses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ring")
	ring, err := keyring.Open(t.Context(), dir, keyring.Config{MaxAge: -1})
	if e, ok := errors.AsType[*keyring.ConfigError](err); !ok || e.Field != "MaxAge" || ring != nil {
		t.Errorf("Open() = %v, want a ConfigError", err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("there is a folder")
	}
	file := filepath.Join(t.TempDir(), "file")
	ok(t, os.WriteFile(file, nil, 0o600))
	for dir, want := range map[string]string{
		filepath.Join(file, "ring"): "keyring: opening ring: mkdir " + file + ": not a directory",
		file:                        "keyring: opening ring: mkdir " + file + ": not a directory",
		"":                          "keyring: opening ring: mkdir : no such file or directory",
	} {
		if ring, err := keyring.Open(t.Context(), dir, keyring.Config{}); ring != nil || err == nil || err.Error() != want {
			t.Errorf("Open(%q) = %v, want %s", dir, err, want)
		}
	}
}

// A ring that is there opens while another process takes a step, and whatever has become
// of kubeadm's files; but not for one who has given up.
func TestOpenAgain(t *testing.T) {
	dir := t.TempDir()
	ring := keystest.Must(keyring.Open(t.Context(), dir, keyring.Config{}))
	keystest.Must(ring.Add(t.Context(), keystest.P256Key()))
	ok(t, os.WriteFile(filepath.Join(dir, "sa.key"), []byte("canary"), 0o644))
	unlock := keystest.Must(keyring.HoldRingLock(dir))
	again, err := keyring.Open(t.Context(), dir, keyring.Config{})
	if err != nil || len(again.Keys()) != 1 {
		t.Errorf("Open() = %v, %v, want the ring", again, err)
	}
	ok(t, unlock())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := keyring.Open(ctx, dir, keyring.Config{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Open() for one who has given up = %v", err)
	}
}
