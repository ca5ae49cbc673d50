//go:build unix

package externalgrpc_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	externalgrpc "github.com/kubesa/serviceaccount/keys/external/grpc"
)

// stale leaves a socket as a killed process does.
func stale(t *testing.T, endpoint string) {
	t.Helper()
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: endpoint, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	left.Close()
}

// Of servers that start together, beside what a killed one has left, one gets the
// socket and serves it; the others know that.
func TestListenTogether(t *testing.T) {
	for range 30 {
		endpoint := filepath.Join(t.TempDir(), "s")
		stale(t, endpoint)
		const servers = 8
		listeners, errs := make([]net.Listener, servers), make([]error, servers)
		var group sync.WaitGroup
		for i := range servers {
			group.Go(func() { listeners[i], errs[i] = externalgrpc.Listen(t.Context(), endpoint) })
		}
		group.Wait()
		var winner net.Listener
		for i, listener := range listeners {
			switch {
			case listener != nil && winner != nil:
				t.Fatal("two servers got the socket")
			case listener != nil:
				winner = listener
			case !strings.Contains(errs[i].Error(), "another process serves it"):
				t.Fatalf("Listen() = %v, want that another process serves it", errs[i])
			}
		}
		if winner == nil {
			t.Fatalf("no server got the socket: %v", errs)
		}
		conn, err := net.Dial("unix", endpoint)
		if err != nil {
			t.Fatalf("the socket isn't that of the server: %v", err)
		}
		conn.Close()
		if err := winner.Close(); err != nil {
			t.Fatal(err)
		}
		if left, err := os.ReadDir(filepath.Dir(endpoint)); err != nil || len(left) != 0 {
			t.Fatalf("%v is left, %v", left, err)
		}
	}
}

// A server that is too busy to answer is none that has died: its socket stays.
func TestListenBusy(t *testing.T) {
	endpoint := filepath.Join(t.TempDir(), "s")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrUnix{Name: endpoint}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	for range 8 { // fill the backlog
		conn, err := net.Dial("unix", endpoint)
		if err != nil {
			break
		}
		defer conn.Close()
	}
	if listener, err := externalgrpc.Listen(t.Context(), endpoint); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("Listen() = %v, %v, want an error", listener, err)
	}
	if _, err := os.Stat(endpoint); err != nil {
		t.Errorf("the socket is gone: %v", err)
	}
}

// A listener removes its own socket only.
func TestListenReplaced(t *testing.T) {
	endpoint := filepath.Join(t.TempDir(), "s")
	first, err := externalgrpc.Listen(t.Context(), endpoint)
	if err == nil {
		err = os.Remove(endpoint)
	}
	if err != nil {
		t.Fatal(err)
	}
	second, err := externalgrpc.Listen(t.Context(), endpoint)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(endpoint); err != nil {
		t.Errorf("the socket of the second is gone: %v", err)
	}
	if err := errors.Join(os.Remove(endpoint), second.Close()); err != nil {
		t.Error(err)
	}
}

// A socket in a folder in which others may replace it is refused, and so is a link in
// its place.
func TestListenFolder(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		prepare    func(dir string) error
	}{
		{"writable", "writable", func(dir string) error { return os.Chmod(dir, 0o777) }},
		{"writable by group", "writable", func(dir string) error { return os.Chmod(dir, 0o1757&^0o1000|0o020) }},
		{"writable parent", "writable", func(dir string) error { return os.Chmod(filepath.Dir(dir), 0o777) }},
		{"a file", "not a folder", func(dir string) error {
			return errors.Join(os.Remove(dir), os.WriteFile(dir, nil, 0o600))
		}},
		{"a link in place of the socket", "no socket", func(dir string) error { return os.Symlink("elsewhere", filepath.Join(dir, "s")) }},
		{"a FIFO in place of the socket", "no socket", func(dir string) error { return syscall.Mkfifo(filepath.Join(dir, "s"), 0o600) }},
	} {
		dir := filepath.Join(t.TempDir(), "folder")
		if err := errors.Join(os.Mkdir(dir, 0o755), tt.prepare(dir)); err != nil {
			t.Fatal(err)
		}
		listener, err := externalgrpc.Listen(t.Context(), filepath.Join(dir, "s"))
		if err == nil {
			listener.Close()
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Listen() = %v, want an error that says %q", tt.name, err, tt.want)
		}
	}
	dir := filepath.Join(t.TempDir(), "folder")
	if err := errors.Join(os.Mkdir(dir, 0o755), os.Chmod(dir, os.ModeSticky|0o777)); err != nil {
		t.Fatal(err)
	}
	listener, err := externalgrpc.Listen(t.Context(), filepath.Join(dir, "s"))
	if err != nil {
		t.Fatalf("sticky: Listen() = %v", err)
	}
	listener.Close()
}

// A listener is closed once, also if its folder is gone.
func TestListenClose(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "folder")
	for _, remove := range []bool{false, true} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		listener, err := externalgrpc.Listen(t.Context(), filepath.Join(dir, "s"))
		if err != nil {
			t.Fatal(err)
		}
		if remove {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}
		if err := listener.Close(); errors.Is(err, fs.ErrNotExist) != remove || !remove && err != nil {
			t.Errorf("folder removed: %v, Close() = %v", remove, err)
		}
		if err := listener.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("folder removed: %v, a second Close() = %v, want ErrClosed", remove, err)
		}
	}
}

// One who waits for the folder's lock honours his context.
func TestListenWaits(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := externalgrpc.Listen(ctx, filepath.Join(dir, "s")); !errors.Is(err, context.Canceled) {
		t.Errorf("Listen() = %v, want Canceled", err)
	}
}
