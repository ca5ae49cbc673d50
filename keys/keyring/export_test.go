package keyring

import (
	"context"
	"path/filepath"

	"github.com/kubesa/serviceaccount/keys/internal/files"
)

// HoldRingLock takes the lock of the ring in dir.
func HoldRingLock(dir string) (unlock func() error, err error) {
	return files.Lock(context.Background(), filepath.Join(dir, lockName))
}

// NewFolder returns the store of the ring in dir.
func NewFolder(dir string) Store {
	return &folder{dir: dir, fsys: files.Disk{}, lock: files.Lock}
}
