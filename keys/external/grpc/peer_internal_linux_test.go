package externalgrpc

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

// Whoever the kernel says nothing about is nobody, not root.
func TestCheckFails(t *testing.T) {
	pipe, _ := net.Pipe()
	defer pipe.Close()
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	closed, err := net.Dial("unix", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	everybody := peers{0, os.Geteuid(), -1}
	for name, conn := range map[string]net.Conn{"a pipe": pipe, "closed": closed, "none": &net.UnixConn{}} {
		if err := everybody.check(conn); err == nil {
			t.Errorf("%s: check() = nil, want an error", name)
		}
	}
	file, err := os.Open(".")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if user, err := userOf(int(file.Fd())); err == nil || user != -1 {
		t.Errorf("userOf() of a folder = %d, %v, want nobody and an error", user, err)
	}
}
