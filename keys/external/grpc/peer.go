package externalgrpc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
)

// errNoCredentials means that the kernel doesn't say whose a connection is.
var errNoCredentials = fmt.Errorf("the user at the other end of a socket can't be told on this system: %w", errors.ErrUnsupported)

// overflowUser is whom users of other user namespaces look like.
const overflowUser = 65534

// peers are the users who may be at the other end of a socket.
type peers []int

// newPeers returns this user, root and others.
func newPeers(others []int) (peers, error) {
	if !canTellUsers {
		return nil, errNoCredentials
	}
	p := peers{0, os.Geteuid()}
	for _, user := range others {
		if user < 0 {
			return nil, fmt.Errorf("user %d, want an id of 0 or more", user)
		}
		if !slices.Contains(p, user) {
			p = append(p, user)
		}
	}
	return p, nil
}

// mode returns the mode of a socket for p: the kernel checks no more than check does.
func (p peers) mode() fs.FileMode {
	if len(p) > 2 { // not root and this user alone
		return 0o666
	}
	return 0o600
}

// checkAbstract returns an error if p has a user whom others look like: no mode
// protects an abstract socket from these.
func (p peers) checkAbstract() error {
	if slices.Contains(p, overflowUser) {
		return fmt.Errorf("an abstract socket can't be for user %d, whom users of other namespaces look like: use the path of a socket", overflowUser)
	}
	return nil
}

// connect connects to a server of p.
func (p peers) connect(ctx context.Context, endpoint string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", endpoint)
	if err != nil {
		return nil, err
	}
	if err := p.check(conn); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// check returns an error unless conn has one of p at its other end.
func (p peers) check(conn net.Conn) error {
	unix, ok := conn.(*net.UnixConn)
	if !ok {
		return errNoCredentials
	}
	raw, err := unix.SyscallConn()
	if err != nil {
		return err
	}
	var user int
	failed := raw.Control(func(fd uintptr) { user, err = userOf(int(fd)) })
	if err := errors.Join(failed, err); err != nil {
		return err
	}
	return p.allow(user)
}

// allow returns an error unless user is one of p.
func (p peers) allow(user int) error {
	if !slices.Contains(p, user) {
		return fmt.Errorf("at its other end is user %d, want one of %v", user, []int(p))
	}
	return nil
}
