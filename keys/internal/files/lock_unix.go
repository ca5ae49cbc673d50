//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package files

import (
	"context"
	"os"
	"syscall"
	"time"
)

// Lock waits until nobody else, in this process or another, holds the lock of the file
// called name, which it creates if there is none. The operating system lets go of
// it when its holder dies.
func Lock(ctx context.Context, name string) (unlock func() error, err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	return lock(ctx, f)
}

// LockFolder is [Lock] of a folder, which leaves no file behind.
func LockFolder(ctx context.Context, dir string) (unlock func() error, err error) {
	f, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY, 0) // a named pipe would hang
	if err != nil {
		return nil, err
	}
	return lock(ctx, f)
}

func lock(ctx context.Context, f *os.File) (unlock func() error, err error) {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f.Close, nil
		}
		if err != syscall.EWOULDBLOCK && err != syscall.EINTR {
			_ = f.Close()
			return nil, &os.PathError{Op: "lock", Path: f.Name(), Err: err}
		}
		select {
		case <-ctx.Done():
			_ = f.Close()
			return nil, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}
