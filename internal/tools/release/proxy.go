package release

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/dirhash"
	"golang.org/x/mod/zip"
)

// WriteProxy writes the published modules, as they are in the tree now, as
// version into dir, laid out so that GOPROXY=file://dir serves them. They are
// what the go command would make of tags on a commit of this tree.
func (t *Tree) WriteProxy(dir, version string) error {
	for _, m := range t.Published {
		escaped, err := module.EscapePath(m.Path)
		if err != nil {
			return err
		}
		folder := filepath.Join(dir, filepath.FromSlash(escaped), "@v")
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		archive, err := t.zip(m, version)
		if err != nil {
			return err
		}
		mod, err := os.ReadFile(t.path(path.Join(m.Dir, "go.mod")))
		if err != nil {
			return err
		}
		info, err := json.Marshal(map[string]any{"Version": version, "Time": time.Unix(0, 0).UTC()})
		if err != nil {
			return err
		}
		for name, data := range map[string][]byte{"list": []byte(version + "\n"), version + ".info": info, version + ".mod": mod, version + ".zip": archive} {
			if err := os.WriteFile(filepath.Join(folder, name), data, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// zip returns the archive of one module: the files that git knows in its folder
// and in no module below it. As the go command does, it gives a module without a
// LICENSE that of the repository.
func (t *Tree) zip(m *Module, version string) ([]byte, error) {
	var files []zip.File
	hasLicence := false
	for _, name := range t.files {
		inModule, ok := t.within(m, name)
		if !ok {
			continue
		}
		hasLicence = hasLicence || inModule == "LICENSE"
		files = append(files, treeFile{inModule, t.path(name)})
	}
	if !hasLicence {
		files = append(files, treeFile{"LICENSE", t.path("LICENSE")})
	}
	var b bytes.Buffer
	if err := zip.Create(&b, module.Version{Path: m.Path, Version: version}, files); err != nil {
		return nil, fmt.Errorf("%s: %w", m.Dir, err)
	}
	return b.Bytes(), nil
}

// within returns the name of a file of the tree in m, if it is m's.
func (t *Tree) within(m *Module, name string) (string, bool) {
	if m.Dir != "." {
		rest, ok := strings.CutPrefix(name, m.Dir+"/")
		if !ok {
			return "", false
		}
		name = rest
	}
	for _, other := range append(t.Published[1:len(t.Published):len(t.Published)], t.Others...) {
		below := other.Dir
		if m.Dir != "." {
			rest, ok := strings.CutPrefix(other.Dir, m.Dir+"/")
			if !ok {
				continue
			}
			below = rest
		}
		if strings.HasPrefix(name, below+"/") {
			return "", false
		}
	}
	return name, true
}

// sums returns the lines of go.sum for one module.
func (t *Tree) sums(m *Module, version string) (string, error) {
	archive, err := t.zip(m, version)
	if err != nil {
		return "", err
	}
	file, err := os.CreateTemp("", "module-*.zip")
	if err != nil {
		return "", err
	}
	defer os.Remove(file.Name())
	_, err = file.Write(archive)
	if err := errorsJoinClose(err, file); err != nil {
		return "", err
	}
	whole, err := dirhash.HashZip(file.Name(), dirhash.Hash1)
	if err != nil {
		return "", err
	}
	mod, err := dirhash.Hash1([]string{"go.mod"}, func(string) (io.ReadCloser, error) {
		return os.Open(t.path(path.Join(m.Dir, "go.mod")))
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%[1]s %[2]s %[3]s\n%[1]s %[2]s/go.mod %[4]s\n", m.Path, version, whole, mod), nil
}

// A treeFile is a file of a tree, under its name in a module.
type treeFile struct{ name, file string }

func (f treeFile) Path() string                 { return f.name }
func (f treeFile) Lstat() (os.FileInfo, error)  { return os.Lstat(f.file) }
func (f treeFile) Open() (io.ReadCloser, error) { return os.Open(f.file) }
