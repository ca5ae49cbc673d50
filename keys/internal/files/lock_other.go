//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package files

import (
	"context"
	"errors"
	"os"
)

// Lock fails: what is changed without a lock could lose the change of another process.
func Lock(_ context.Context, name string) (unlock func() error, err error) {
	return nil, &os.PathError{Op: "lock", Path: name, Err: errors.ErrUnsupported}
}

// LockFolder fails as [Lock] does.
func LockFolder(ctx context.Context, dir string) (unlock func() error, err error) {
	return Lock(ctx, dir)
}
