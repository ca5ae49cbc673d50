package externalgrpc_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	externaljwtv1 "k8s.io/externaljwt/apis/v1"

	externalgrpc "github.com/kubesa/serviceaccount/keys/external/grpc"
)

const stranger = 54321

// asStranger calls f in a thread of another user, which needs root.
func asStranger(t *testing.T, f func() error) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, stranger, stranger, stranger); errno != 0 {
			done <- errno
			return
		}
		done <- f()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// endpoints returns an abstract socket and one with a path, which the mode of nothing
// protects.
func endpoints(t *testing.T) map[string]string {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return map[string]string{"abstract": fmt.Sprintf("@serviceaccount-test-%d", time.Now().UnixNano()), "path": filepath.Join(dir, "s")}
}

// greeting is how a gRPC server begins.
func greeting(endpoint string) (string, error) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return "", err
	}
	if err := syscall.Connect(fd, &syscall.SockaddrUnix{Name: endpoint}); err != nil {
		syscall.Close(fd)
		return "", err
	}
	f := os.NewFile(uintptr(fd), endpoint)
	defer f.Close()
	_, _ = io.WriteString(f, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00") // may be cut off
	buf := make([]byte, 9)
	n, err := f.Read(buf)
	if err != nil {
		return "", nil // closed
	}
	return string(buf[:n]), nil
}

// Other users can have nothing signed, whatever the mode of the socket, unless they
// were named.
func TestServeOtherUsers(t *testing.T) {
	for name, endpoint := range endpoints(t) {
		for _, users := range [][]int{nil, {stranger}} {
			listener, err := externalgrpc.Listen(t.Context(), endpoint, users...)
			if err != nil {
				t.Fatal(err)
			}
			if name == "path" && users == nil {
				if err := os.Chmod(endpoint, 0o666); err != nil {
					t.Fatal(err)
				}
			}
			s := grpc.NewServer()
			answers, err := externalgrpc.NewServer(newService(t, newRing(t)))
			if err != nil {
				t.Fatal(err)
			}
			externaljwtv1.RegisterExternalJWTSignerServer(s, answers)
			go s.Serve(listener)
			asStranger(t, func() error {
				got, err := greeting(endpoint)
				if allowed := len(users) > 0; err == nil && (got != "") != allowed {
					return fmt.Errorf("%s: the server greets %v with %q, want something: %v", name, users, got, allowed)
				}
				return err
			})
			if got, err := greeting(endpoint); got == "" || err != nil {
				t.Errorf("%s: the server greets its own user with %q, %v", name, got, err)
			}
			s.Stop()
		}
	}
}

// A server of another user isn't asked: it could answer with keys of its own.
func TestDialOtherUsers(t *testing.T) {
	for name, endpoint := range endpoints(t) {
		var listener net.Listener
		if name == "path" {
			if err := os.Chmod(filepath.Dir(endpoint), 0o777); err != nil {
				t.Fatal(err)
			}
		}
		asStranger(t, func() error {
			fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
			if err == nil {
				err = syscall.Bind(fd, &syscall.SockaddrUnix{Name: endpoint})
			}
			if err == nil {
				err = syscall.Listen(fd, 8)
			}
			if err == nil {
				listener, err = net.FileListener(os.NewFile(uintptr(fd), endpoint))
			}
			return err
		})
		s := grpc.NewServer()
		answers, err := externalgrpc.NewServer(newService(t, newRing(t)))
		if err != nil {
			t.Fatal(err)
		}
		externaljwtv1.RegisterExternalJWTSignerServer(s, answers)
		go s.Serve(listener)
		defer s.Stop()
		client, err := externalgrpc.Dial(endpoint)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if _, err := client.FetchKeys(t.Context()); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("at its other end is user %d, want one of [0 0]", stranger)) {
			t.Errorf("%s: FetchKeys() = %v, want the server refused", name, err)
		}
		known, err := externalgrpc.Dial(endpoint, stranger)
		if err != nil {
			t.Fatal(err)
		}
		defer known.Close()
		if _, err := known.FetchKeys(t.Context()); err != nil {
			t.Errorf("%s: FetchKeys() of a named user = %v", name, err)
		}
	}
}

// The kernel keeps other users away from a socket that is for this one alone.
func TestListenMode(t *testing.T) {
	for _, tt := range []struct {
		users []int
		mode  fs.FileMode
	}{{nil, 0o600}, {[]int{0, os.Geteuid()}, 0o600}, {[]int{stranger}, 0o666}, {[]int{65534}, 0o666}} {
		endpoint := endpoints(t)["path"]
		listener, err := externalgrpc.Listen(t.Context(), endpoint, tt.users...)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(endpoint); err != nil || info.Mode().Perm() != tt.mode {
			t.Errorf("for %v: the socket has the mode %v, %v, want %v", tt.users, info.Mode(), err, tt.mode)
		}
		listener.Close()
		client, err := externalgrpc.Dial(endpoint, tt.users...)
		if err != nil {
			t.Fatal(err)
		}
		client.Close()
	}
}

// Two servers don't share an abstract socket, whose end has nothing to do with folders.
func TestListenAbstract(t *testing.T) {
	endpoint := endpoints(t)["abstract"]
	first, err := externalgrpc.Listen(t.Context(), endpoint)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := externalgrpc.Listen(t.Context(), endpoint); !errors.Is(err, syscall.EADDRINUSE) || second != nil {
		t.Errorf("a second Listen() = %v, want EADDRINUSE", err)
	}
	folder, err := os.Open(".")
	if err == nil {
		err = syscall.Flock(int(folder.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	if err := first.Close(); err != nil {
		t.Errorf("Close() = %v", err)
	}
}

// What the kernel refuses is an error.
func TestListenNoSockets(t *testing.T) {
	if listener, err := externalgrpc.Listen(t.Context(), "/proc/s"); err == nil || listener != nil || !strings.Contains(err.Error(), "bind") {
		t.Errorf("Listen() = %v, want an error of the kernel", err)
	}
}

func TestUsersRefused(t *testing.T) {
	for _, users := range [][]int{{-1}, {65534}} { // who has no id, and whom others look like
		if client, err := externalgrpc.Dial("@signer", users...); err == nil {
			client.Close()
			t.Errorf("Dial() for %v = nil, want an error", users)
		}
		if listener, err := externalgrpc.Listen(t.Context(), "@signer", users...); err == nil {
			listener.Close()
			t.Errorf("Listen() for %v = nil, want an error", users)
		}
	}
}
