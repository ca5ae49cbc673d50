package keys

import (
	"io"
	"io/fs"
	"os"
)

// diskFS is the file system of the operating system.
type diskFS struct{}

// ReadFile reads a file of at most maxPEMBytes.
func (diskFS) ReadFile(name string) ([]byte, fs.FileMode, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxPEMBytes+1))
	if err == nil && len(data) > maxPEMBytes {
		err = ErrTooLarge
	}
	return data, info.Mode(), err
}
