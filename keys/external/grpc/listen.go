package externalgrpc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/kubesa/serviceaccount/keys/internal/files"
)

// closeLimit is how long the end of a listener waits for another server that starts.
const closeLimit = 5 * time.Second

// Listen returns a listener on endpoint, which is as for [Dial], for a gRPC server of
// your own with [NewServer]. It accepts connections of this user, of root, and of the
// users with these ids: the kernel says whose each one is. Others are closed.
//
// A socket that a killed process has left is replaced; one that is being served is an
// error, also if both start at once. The socket's folder and those above it must belong
// to this user or to root, and if others may write there, have the sticky bit. The
// listener removes its socket when it is closed. Where the kernel doesn't tell users of
// connections, which is anywhere but on Linux, macOS and FreeBSD, Listen fails.
func Listen(ctx context.Context, endpoint string, users ...int) (net.Listener, error) {
	if err := checkEndpoint(endpoint); err != nil {
		return nil, err
	}
	listener, err := listen(ctx, endpoint, users)
	if err != nil {
		return nil, fmt.Errorf("externalgrpc: endpoint %q: %w", endpoint, err)
	}
	return listener, nil
}

func listen(ctx context.Context, endpoint string, users []int) (net.Listener, error) {
	peers, err := newPeers(users)
	if err != nil {
		return nil, err
	}
	var config net.ListenConfig
	if strings.HasPrefix(endpoint, "@") {
		if err := peers.checkAbstract(); err != nil {
			return nil, err
		}
		listener, err := config.Listen(ctx, "unix", endpoint)
		if err != nil {
			return nil, err
		}
		return &checked{Listener: listener, peers: peers}, nil
	}
	folder := filepath.Dir(endpoint)
	if err := files.CheckFolder(folder, true); err != nil {
		return nil, err
	}
	// Of two servers that start together, the second sees the socket of the first.
	unlock, err := files.LockFolder(ctx, folder)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := removeStale(ctx, endpoint); err != nil {
		return nil, err
	}
	listener, err := config.Listen(ctx, "unix", endpoint)
	if err != nil {
		return nil, err
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false)
	own, err := os.Lstat(endpoint)
	if err := errors.Join(err, os.Chmod(endpoint, peers.mode())); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return &checked{listener, peers, endpoint, own}, nil
}

// removeStale removes the socket that a killed process has left.
func removeStale(ctx context.Context, endpoint string) error {
	info, err := os.Lstat(endpoint)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return errors.New("there is a file that is no socket")
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", endpoint)
	switch {
	case err == nil:
		conn.Close()
		return errors.New("another process serves it")
	case !errors.Is(err, syscall.ECONNREFUSED): // such as one that is too busy to answer
		return fmt.Errorf("another process may serve it: %w", err)
	}
	return os.Remove(endpoint)
}

// A checked listener accepts connections of some users. It removes its socket, unless
// that is another's by now, when it is closed.
type checked struct {
	net.Listener
	peers peers
	name  string // empty if it is abstract
	own   fs.FileInfo
}

func (l *checked) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.peers.check(conn) == nil {
			return conn, nil
		}
		conn.Close()
	}
}

func (l *checked) Close() error {
	err := l.Listener.Close()
	if err != nil || l.name == "" {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
	defer cancel()
	unlock, err := files.LockFolder(ctx, filepath.Dir(l.name))
	if err != nil {
		return err
	}
	defer unlock()
	if now, _ := os.Lstat(l.name); !os.SameFile(now, l.own) {
		return nil // removed, or replaced by another server
	}
	return os.Remove(l.name)
}
