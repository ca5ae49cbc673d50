package keyring

import (
	"context"
	"path/filepath"
)

// HoldRingLock takes the lock of the ring in dir.
func HoldRingLock(dir string) (unlock func() error, err error) {
	return lockFile(context.Background(), filepath.Join(dir, lockName))
}
