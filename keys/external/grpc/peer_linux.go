package externalgrpc

import "syscall"

const canTellUsers = true

// userOf returns the user at the other end of a socket, as of when it was connected
// or, for a server, began to listen.
func userOf(fd int) (int, error) {
	peer, err := syscall.GetsockoptUcred(fd, syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	if err != nil {
		return -1, err
	}
	return int(peer.Uid), nil
}
