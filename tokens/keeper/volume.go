package keeper

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// The layout of a volume (KUB-17): the files are in a folder with a time in its name,
// ..data is a link to that folder, and each visible name is a link through ..data.
const (
	dataLink    = "..data"
	newDataLink = "..data_tmp"
	timeFolder  = "..2006_01_02_15_04_05."

	maxPathBytes = 4096
	maxNameBytes = 255

	folderMode fs.FileMode = 0o755
)

// A File is one of a volume. Its Data may be a token, so whatever prints or encodes a File
// leaves them out.
type File struct {
	Data []byte
	Mode fs.FileMode // the permissions; zero means 0600

	// UID and GID, if set, are those of its owner. Setting them needs privileges.
	UID, GID *int
}

// String returns the length and the mode.
func (f File) String() string {
	return fmt.Sprintf("keeper.File(%d bytes, mode %04o)", len(f.Data), f.Mode.Perm())
}

// Format writes what String returns, whatever the verb.
func (f File) Format(s fmt.State, _ rune) { fmt.Fprint(s, f.String()) }

// MarshalText returns what String returns.
func (f File) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// MarshalBinary is MarshalText for encoding/gob.
func (f File) MarshalBinary() ([]byte, error) { return f.MarshalText() }

// A PathError means that a file can't be in a volume, or that something else is in its
// place: nothing was written.
type PathError struct {
	Path    string
	Problem string
}

func (e *PathError) Error() string { return fmt.Sprintf("keeper: path %.253q: %s", e.Path, e.Problem) }

// WriteVolume makes files, by their slash-separated paths, the content of the folder
// dir, as the kubelet writes projected volumes, and reports whether anything has
// changed. All files change at once: whoever opens two of them through the folder
// ..data gets both of one moment. Readers that mount a single file, or keep one open,
// don't see changes.
//
// Each path leads through a link in dir. If a file's content, mode or owner differs, all
// files are written anew; otherwise dir stays as it is. What an interrupted WriteVolume has
// left is removed. The files are on the disk when it returns. dir must exist and must not
// be written to by others; call WriteVolume for one dir at a time. It needs an operating
// system whose rename replaces links, so not Windows.
//
// A [*PathError] means that nothing was written: a path isn't relative, is too long,
// begins with "..", or something that WriteVolume hasn't made is in its place. Other
// errors are those of the operating system; the old files stay unless all new ones are
// there.
func WriteVolume(dir string, files map[string]File) (changed bool, err error) {
	clean, err := cleanPaths(files)
	if err != nil {
		return false, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return false, err
	}
	defer root.Close()
	return (&volume{root, clean}).update()
}

// A volume is a folder and what belongs into it.
type volume struct {
	root  disk
	files map[string]File // by clean paths
}

// A disk is what a volume needs of an [os.Root]. Tests make its steps fail.
type disk interface {
	Chmod(name string, mode fs.FileMode) error
	FS() fs.FS
	Lstat(name string) (fs.FileInfo, error)
	Mkdir(name string, mode fs.FileMode) error
	MkdirAll(name string, mode fs.FileMode) error
	Open(name string) (*os.File, error)
	OpenFile(name string, flag int, mode fs.FileMode) (*os.File, error)
	Readlink(name string) (string, error)
	Remove(name string) error
	RemoveAll(name string) error
	Rename(from, to string) error
	Symlink(target, name string) error
}

// update is WriteVolume.
func (v *volume) update() (changed bool, err error) {
	if err := v.checkVisible(); err != nil {
		return false, err
	}
	current, err := v.current()
	if err != nil {
		return false, err
	}
	if err := v.remove(newDataLink); err != nil {
		return false, err
	}
	if !v.equal(current) {
		if current, err = v.replace(); err != nil {
			return current != "", err
		}
		changed = true
	}
	linked, err := v.link()
	return changed || linked, errors.Join(err, v.sweep(current))
}

// cleanPaths checks the paths of files (KUB-19).
func cleanPaths(files map[string]File) (map[string]File, error) {
	clean := make(map[string]File, len(files))
	for p, file := range files {
		problem := ""
		switch c := path.Clean(p); {
		case p == "":
			problem = "it is empty"
		case path.IsAbs(p):
			problem = "it is absolute, want a relative one"
		case len(p) > maxPathBytes:
			problem = fmt.Sprintf("it has more than %d bytes", maxPathBytes)
		case strings.ContainsRune(p, 0):
			problem = "it has a NUL"
		case strings.HasPrefix(c, ".."):
			problem = `it begins with ".."`
		case slices.Contains(strings.Split(p, "/"), ".."):
			problem = `it has ".." in it`
		case c == ".":
			problem = "it is the folder itself"
		case slices.ContainsFunc(strings.Split(c, "/"), func(name string) bool { return len(name) > maxNameBytes }):
			problem = fmt.Sprintf("a name in it has more than %d bytes", maxNameBytes)
		case file.Mode&^fs.ModePerm != 0:
			problem = fmt.Sprintf("mode %v has more than permissions", file.Mode)
		default:
			if _, ok := clean[c]; ok {
				problem = "it is there twice"
			}
			if file.Mode == 0 {
				file.Mode = 0o600
			}
			clean[c] = file
		}
		if problem != "" {
			return nil, &PathError{p, problem}
		}
	}
	for p := range clean {
		for parent := path.Dir(p); parent != "."; parent = path.Dir(parent) {
			if _, ok := clean[parent]; ok {
				return nil, &PathError{p, "its folder is a file: " + parent}
			}
		}
	}
	return clean, nil
}

// visible returns the names of v in its folder, sorted.
func (v *volume) visible() []string {
	var names []string
	for p := range v.files {
		name, _, _ := strings.Cut(p, "/")
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// checkVisible refuses to write what would stay hidden behind something that
// WriteVolume hasn't made (KUB-25).
func (v *volume) checkVisible() error {
	for _, name := range v.visible() {
		if _, err := v.root.Lstat(name); !errors.Is(err, fs.ErrNotExist) && !v.isOurs(name) {
			return &PathError{name, "something else is there, and would hide it"}
		}
	}
	return nil
}

// isOurs reports whether name is a link through ..data.
func (v *volume) isOurs(name string) bool {
	target, _ := v.root.Readlink(name)
	return target == dataLink+"/"+name
}

// current returns the folder that ..data names, empty if there is none.
func (v *volume) current() (string, error) {
	target, err := v.root.Readlink(dataLink)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return "", &PathError{dataLink, "it is not a link"}
	case err == nil && !isTimeFolder(target):
		return "", &PathError{dataLink, "it is not a link to a folder of this volume"}
	}
	return target, nil
}

func isTimeFolder(name string) bool {
	return strings.HasPrefix(name, "..20") && !strings.Contains(name, "/") && len(name) > len(timeFolder)
}

// equal reports whether folder has exactly the files of v, with their content, modes and
// owners (KUB-22, KUB-23). What can't be read isn't equal.
func (v *volume) equal(folder string) bool {
	found := 0
	err := fs.WalkDir(v.root.FS(), folder, func(p string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		want, ok := v.files[strings.TrimPrefix(p, folder+"/")]
		info, err := v.root.Lstat(p)
		if !ok || err != nil || info.Mode() != want.Mode || info.Size() != int64(len(want.Data)) || !hasOwner(info, want) || !v.holds(p, want.Data) {
			return fs.ErrInvalid
		}
		found++
		return nil
	})
	return err == nil && found == len(v.files)
}

func (v *volume) holds(name string, want []byte) bool {
	data, _ := fs.ReadFile(v.root.FS(), name)
	return bytes.Equal(data, want)
}

// replace writes all files into a new folder and makes it the current one, in one step
// (KUB-21, KUB-24, KUB-28). It returns the folder if it is the current one.
func (v *volume) replace() (folder string, err error) {
	folder = fmt.Sprintf("%s%010d", time.Now().UTC().Format(timeFolder), rand.Uint32())
	if err := v.root.Mkdir(folder, folderMode); err != nil {
		return "", err
	}
	err = v.fill(folder)
	if err == nil {
		err = v.root.Symlink(folder, newDataLink)
	}
	if err == nil {
		err = v.root.Rename(newDataLink, dataLink)
	}
	if err != nil {
		return "", errors.Join(err, v.remove(newDataLink), v.root.RemoveAll(folder))
	}
	return folder, v.sync(".")
}

// fill writes all files into folder.
func (v *volume) fill(folder string) (err error) {
	folders := map[string]struct{}{folder: {}}
	for p, file := range v.files {
		p = path.Join(folder, p)
		for parent := path.Dir(p); parent != folder; parent = path.Dir(parent) {
			folders[parent] = struct{}{}
		}
		if err := v.root.MkdirAll(path.Dir(p), folderMode); err != nil {
			return err
		}
		if err := v.write(p, file); err != nil {
			return err
		}
	}
	for _, p := range slices.Sorted(maps.Keys(folders)) {
		err = errors.Join(err, v.root.Chmod(p, folderMode), v.sync(p)) // whatever the umask
	}
	return errors.Join(err, v.sync("."))
}

func (v *volume) write(name string, file File) error {
	f, err := v.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(file.Data)
	if err == nil && (file.UID != nil || file.GID != nil) {
		err = f.Chown(idOr(file.UID), idOr(file.GID))
	}
	if err == nil {
		err = f.Chmod(file.Mode) // after Chown, which may clear bits
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// idOr returns what Chown wants for an owner that is left as it is.
func idOr(id *int) int {
	if id == nil {
		return -1
	}
	return *id
}

func (v *volume) sync(name string) error {
	d, err := v.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// link makes the visible links that are missing, and removes those of files that v
// doesn't have any more.
func (v *volume) link() (changed bool, err error) {
	visible := v.visible()
	names, err := v.names()
	note := func(e error) { changed, err = changed || e == nil, errors.Join(err, e) }
	for _, name := range visible {
		if !v.isOurs(name) {
			note(v.root.Symlink(dataLink+"/"+name, name))
		}
	}
	for _, name := range names {
		if _, wanted := slices.BinarySearch(visible, name); !wanted && !strings.HasPrefix(name, "..") && v.isOurs(name) {
			note(v.remove(name))
		}
	}
	return changed, errors.Join(err, v.sync("."))
}

// sweep removes the folders of earlier writes, each of which may hold a token
// (KUB-26, KUB-27).
func (v *volume) sweep(current string) error {
	names, err := v.names()
	for _, name := range names {
		if isTimeFolder(name) && name != current {
			err = errors.Join(err, v.root.RemoveAll(name))
		}
	}
	return err
}

func (v *volume) names() ([]string, error) {
	d, err := v.root.Open(".")
	if err != nil {
		return nil, err
	}
	names, err := d.Readdirnames(-1)
	return names, errors.Join(err, d.Close())
}

// remove removes a name. That there is none is no error.
func (v *volume) remove(name string) error {
	if err := v.root.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// permissions returns the mode that the API writes as a number.
func permissions(mode int32) fs.FileMode { return fs.FileMode(mode) & fs.ModePerm }
