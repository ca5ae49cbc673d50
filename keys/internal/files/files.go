// Package files replaces files such that, whatever happens, there is either the old
// content or the new one under their name.
package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Limit is the size of the largest file that is read whole.
const Limit = 1 << 20

// A System is what durable rings and published documents need of the operating
// system. Tests stop it after any step.
type System interface {
	MkdirAll(dir string, mode fs.FileMode) error
	// ReadFile reads a file, of one that is longer than Limit the first Limit+1
	// bytes, which its parser refuses.
	ReadFile(name string) (data []byte, info fs.FileInfo, err error)
	// WriteTemp makes a file with a new name that begins with TempPrefix and
	// returns when its content can't get lost any more.
	WriteTemp(dir string, data []byte, mode fs.FileMode) (name string, err error)
	Rename(from, to string) error
	// Remove removes a file. That there is none is no error.
	Remove(name string) error
	// SyncDir returns when the names in dir can't get lost any more.
	SyncDir(dir string) error
	// List returns the names in dir.
	List(dir string) (names []string, err error)
	// CheckFolder is that of this package for a folder that isn't shared.
	CheckFolder(dir string) error
}

// maxNames is how many files a folder has that is listed.
const maxNames = 4096

// TempPrefix begins the names of files that are being written.
const TempPrefix = ".tmp-"

// Replace writes a file such that, whatever happens, there is either the old
// content or the new one under its name. When it returns, there is the new one.
func Replace(fsys System, name string, data []byte, mode fs.FileMode) error {
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

// RemoveTemps removes what interrupted writers have left in dir. Nobody may be
// writing there.
func RemoveTemps(fsys System, dir string) error {
	names, err := fsys.List(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		if strings.HasPrefix(name, TempPrefix) {
			errs = append(errs, fsys.Remove(filepath.Join(dir, name)))
		}
	}
	return errors.Join(errs...)
}

// Disk is the System of the operating system.
type Disk struct {
	// InsecureParents doesn't check the folders above one.
	InsecureParents bool
}

func (Disk) MkdirAll(dir string, mode fs.FileMode) error { return os.MkdirAll(dir, mode) }

func (Disk) Rename(from, to string) error { return os.Rename(from, to) }

func (Disk) ReadFile(name string) ([]byte, fs.FileInfo, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, statErr := f.Stat()
	data, err := io.ReadAll(io.LimitReader(f, Limit+1))
	return data, info, errors.Join(statErr, err)
}

func (Disk) WriteTemp(dir string, data []byte, mode fs.FileMode) (name string, err error) {
	f, err := os.CreateTemp(dir, TempPrefix)
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

func (Disk) Remove(name string) error {
	if err := os.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (Disk) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (Disk) List(dir string) (names []string, err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err = d.Readdirnames(maxNames + 1)
	switch {
	case err != nil && err != io.EOF:
		return nil, err
	case len(names) > maxNames:
		return nil, fmt.Errorf("%s has more than %d files", dir, maxNames)
	}
	return names, nil
}

func (d Disk) CheckFolder(dir string) error {
	if d.InsecureParents {
		return checkOne(dir)
	}
	return CheckFolder(dir, false)
}
