//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package keyring

import (
	"context"
	"errors"
	"os"
)

// lockFile fails: a ring may be read here, but changing it without a lock could
// lose the change of another process.
func lockFile(_ context.Context, name string) (unlock func() error, err error) {
	return nil, &os.PathError{Op: "lock", Path: name, Err: errors.ErrUnsupported}
}
