package files

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// CheckFolder returns an error if somebody else than this user and root may change what
// is in the folder dir, or replace the folder: because it, or a folder or link on the
// way to it, belongs to somebody else, or is writable by group or others.
//
// A folder with the sticky bit may be writable, since nobody can rename there what
// others own; dir itself only if shared is set. So may, by its group, a folder below one
// that only its owner can enter. Where files have no Unix owner, nothing is checked.
func CheckFolder(dir string, shared bool) error {
	path, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	w := walk{todo: names(path)}
	for err = w.enter("/"); err == nil && len(w.todo) > 0; {
		err = w.next()
	}
	if err != nil {
		return err
	}
	if !shared && w.mode&0o022 != 0 {
		return fmt.Errorf("%s must not be writable by group or others, its mode is %#o", w.at, permissions(w.mode))
	}
	return nil
}

// checkOne returns an error if somebody else than this user and root may change what is
// in the folder dir, without a look at the way to it.
func checkOne(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is not a folder", dir)
	case info.Mode()&0o022 != 0:
		return fmt.Errorf("%s must not be writable by group or others, its mode is %#o", dir, permissions(info.Mode()))
	}
	return CheckOwner(dir, info)
}

// A walk follows a path from the root.
type walk struct {
	at      string // a folder, without links
	mode    fs.FileMode
	private bool     // only its owner can reach at
	todo    []string // names that follow
	links   int
}

// maxLinks is how many links a path may have, as in Linux.
const maxLinks = 40

func names(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == filepath.Separator })
}

// next follows one name.
func (w *walk) next() error {
	name := w.todo[0]
	w.todo = w.todo[1:]
	if name == ".." {
		w.private = false // it isn't known of which folder
	}
	return w.enter(filepath.Join(w.at, name))
}

// enter checks a folder and goes on from it, or from where a link leads.
func (w *walk) enter(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if err := CheckOwner(path, info); err != nil {
		return err
	}
	switch {
	case info.Mode().Type() == fs.ModeSymlink:
		return w.follow(path)
	case !info.IsDir():
		return fmt.Errorf("%s is not a folder", path)
	}
	mode := info.Mode()
	writable := mode&0o002 != 0 || mode&0o020 != 0 && !w.private
	if writable && mode&fs.ModeSticky == 0 {
		return fmt.Errorf("%s must not be writable by group or others without the sticky bit, its mode is %#o", path, permissions(mode))
	}
	w.at, w.mode = path, mode
	w.private = w.private || mode&0o011 == 0
	return nil
}

// follow goes on where a link leads.
func (w *walk) follow(link string) error {
	if w.links++; w.links > maxLinks {
		return fmt.Errorf("%s: too many links", link)
	}
	target, err := os.Readlink(link)
	if err != nil {
		return err
	}
	w.todo = append(names(target), w.todo...)
	if filepath.IsAbs(target) {
		w.private = false
		return w.enter("/")
	}
	return nil
}

// permissions returns the bits as chmod takes them.
func permissions(mode fs.FileMode) uint32 {
	bits := uint32(mode.Perm())
	if mode&fs.ModeSticky != 0 {
		bits |= 0o1000
	}
	return bits
}
