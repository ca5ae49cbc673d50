package keys

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A fileSystem is what durable rings and published documents need of the
// operating system. Tests stop it after any step.
type fileSystem interface {
	MkdirAll(dir string, mode fs.FileMode) error
	// ReadFile reads a file of at most maxPEMBytes.
	ReadFile(name string) (data []byte, info fs.FileInfo, err error)
	// WriteTemp makes a file with a new name that begins with tempPrefix and
	// returns when its content can't get lost any more.
	WriteTemp(dir string, data []byte, mode fs.FileMode) (name string, err error)
	Rename(from, to string) error
	// Remove removes a file. That there is none is no error.
	Remove(name string) error
	// SyncDir returns when the names in dir can't get lost any more.
	SyncDir(dir string) error
	// List returns the names in dir, and the mode of dir itself.
	List(dir string) (names []string, mode fs.FileMode, err error)
}

const tempPrefix = ".tmp-"

// replaceFile writes a file such that, whatever happens, there is either the old
// content or the new one under its name. When it returns, there is the new one.
func replaceFile(fsys fileSystem, name string, data []byte, mode fs.FileMode) error {
	dir := filepath.Dir(name)
	temp, err := fsys.WriteTemp(dir, data, mode)
	if err != nil {
		return err
	}
	if err := fsys.Rename(temp, name); err != nil {
		return errors.Join(err, fsys.Remove(temp))
	}
	return fsys.SyncDir(dir)
}

// removeTemps removes what interrupted writers have left in dir. Nobody may be
// writing there.
func removeTemps(fsys fileSystem, dir string) error {
	names, _, err := fsys.List(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		if strings.HasPrefix(name, tempPrefix) {
			errs = append(errs, fsys.Remove(filepath.Join(dir, name)))
		}
	}
	return errors.Join(errs...)
}

// publishFile writes data to path, which uses slashes, below dir, unless it is
// there already.
func publishFile(dir, path string, data []byte) error {
	var disk diskFS
	name := filepath.Join(dir, filepath.FromSlash(path))
	if old, _, err := disk.ReadFile(name); err == nil && string(old) == string(data) {
		return nil
	}
	if err := disk.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return replaceFile(disk, name, data, 0o644)
}

// diskFS is the fileSystem of the operating system.
type diskFS struct{}

func (diskFS) MkdirAll(dir string, mode fs.FileMode) error { return os.MkdirAll(dir, mode) }

func (diskFS) Rename(from, to string) error { return os.Rename(from, to) }

func (diskFS) ReadFile(name string) ([]byte, fs.FileInfo, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxPEMBytes+1))
	if err == nil && len(data) > maxPEMBytes {
		err = ErrTooLarge
	}
	return data, info, err
}

func (diskFS) WriteTemp(dir string, data []byte, mode fs.FileMode) (name string, err error) {
	f, err := os.CreateTemp(dir, tempPrefix)
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

func (diskFS) Remove(name string) error {
	if err := os.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (diskFS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (diskFS) List(dir string) (names []string, mode fs.FileMode, err error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, 0, err
	}
	entries, err := os.ReadDir(dir)
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names, info.Mode(), err
}
