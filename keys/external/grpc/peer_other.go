//go:build !(linux || darwin || freebsd)

package externalgrpc

const canTellUsers = false

func userOf(int) (int, error) { return -1, errNoCredentials }
