//go:build darwin || freebsd

package externalgrpc

import "golang.org/x/sys/unix"

const canTellUsers = true

// userOf returns the user at the other end of a socket, as of when it was connected
// or, for a server, began to listen.
func userOf(fd int) (int, error) {
	peer, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return -1, err
	}
	return int(peer.Uid), nil
}
