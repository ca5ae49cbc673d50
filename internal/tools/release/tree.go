// Package release prepares releases of the modules of this repository, and
// serves them to the go command as if they were tagged.
//
// The modules that are published stand in modules.txt. They all have one
// version, name it in their go.mod files, and have no replace directives: in
// this repository go.work puts the modules beside each other.
package release

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
)

// ModulesFile says which modules are published; its path in the repository.
const ModulesFile = "internal/tools/modules.txt"

// maxFileSize bounds the files of the repository, so that no executable gets in.
const maxFileSize = 1 << 20

// A Tree is a checkout of the repository. It is not safe for concurrent use.
type Tree struct {
	Dir       string    // of the checkout
	Published []*Module // in the order of their tags
	Others    []*Module // never published
	files     []string  // as git knows them, with slashes
}

// A Module is one module of a Tree.
type Module struct {
	Dir  string // in the repository, with slashes; "." for the root
	Path string
	mod  *modfile.File
}

// Tag returns the tag that publishes version of m.
func (m *Module) Tag(version string) string {
	if m.Dir == "." {
		return version
	}
	return m.Dir + "/" + version
}

// Open reads the modules of the checkout in dir. The error says everything that
// keeps them from being published.
func Open(dir string) (*Tree, error) {
	t := &Tree{Dir: dir}
	list, err := t.git("ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		return nil, err
	}
	var errs []error
	for name := range strings.SplitSeq(strings.TrimSuffix(list, "\x00"), "\x00") {
		info, err := os.Lstat(t.path(name))
		if err != nil {
			continue // what is deleted but not committed yet is still listed
		}
		if info.Size() > maxFileSize {
			errs = append(errs, fmt.Errorf("%s has %d bytes, more than %d: is it a build's?", name, info.Size(), maxFileSize))
		}
		t.files = append(t.files, name)
	}
	slices.Sort(t.files)
	t.files = slices.Compact(t.files)
	published, err := readModules(t.path(ModulesFile))
	if err != nil {
		return nil, err
	}
	modules := map[string]*Module{}
	for _, name := range t.files {
		if path.Base(name) != "go.mod" {
			continue
		}
		m, err := t.readModule(path.Dir(name))
		if err != nil {
			return nil, err
		}
		modules[m.Dir] = m
	}
	for _, dir := range published {
		if modules[dir] == nil {
			errs = append(errs, fmt.Errorf("%s lists %s, which has no go.mod", ModulesFile, dir))
			continue
		}
		t.Published = append(t.Published, modules[dir])
		delete(modules, dir)
	}
	for dir, m := range modules {
		if !strings.HasPrefix(dir, "internal/") && !strings.HasPrefix(dir, "examples/") {
			errs = append(errs, fmt.Errorf("%s has a go.mod and is not in %s: list it, or move it below internal or examples", dir, ModulesFile))
		}
		t.Others = append(t.Others, m)
	}
	slices.SortFunc(t.Others, func(a, b *Module) int { return strings.Compare(a.Dir, b.Dir) })
	return t, errors.Join(append(errs, t.check()...)...)
}

// readModules returns the folders that the file lists.
func readModules(name string) ([]string, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var dirs []string
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			dirs = append(dirs, line)
		}
	}
	if len(dirs) == 0 || dirs[0] != "." {
		return nil, fmt.Errorf("%s: want the root module, \".\", first", name)
	}
	return dirs, nil
}

func (t *Tree) readModule(dir string) (*Module, error) {
	name := t.path(path.Join(dir, "go.mod"))
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	mod, err := modfile.Parse(name, data, nil)
	if err != nil {
		return nil, err
	}
	if mod.Module == nil {
		return nil, fmt.Errorf("%s names no module", name)
	}
	return &Module{Dir: dir, Path: mod.Module.Mod.Path, mod: mod}, nil
}

// check returns what is wrong with the published modules.
func (t *Tree) check() []error {
	var errs []error
	seen := map[string]bool{}
	version := t.Version()
	for _, m := range t.Published {
		want := t.Published[0].Path
		if m.Dir != "." {
			want += "/" + m.Dir
		}
		if m.Path != want {
			errs = append(errs, fmt.Errorf("%s: the module is %s, want %s", m.Dir, m.Path, want))
		}
		for _, r := range m.mod.Replace {
			errs = append(errs, fmt.Errorf("%s: go.mod replaces %s: nobody can install its commands; go.work puts modules beside each other", m.Dir, r.Old.Path))
		}
		for _, r := range m.mod.Require {
			switch {
			case !t.own(r.Mod.Path):
			case !seen[r.Mod.Path]:
				errs = append(errs, fmt.Errorf("%s requires %s, which %s does not list before it", m.Dir, r.Mod.Path, ModulesFile))
			case r.Mod.Version != version:
				errs = append(errs, fmt.Errorf("%s requires %s %s, others %s: want one version", m.Dir, r.Mod.Path, r.Mod.Version, version))
			}
		}
		seen[m.Path] = true
	}
	return errs
}

// own reports whether a module of this repository has the path.
func (t *Tree) own(modulePath string) bool {
	root := t.Published[0].Path
	return modulePath == root || strings.HasPrefix(modulePath, root+"/")
}

// Version returns the version that the published modules require of each other,
// empty if none does.
func (t *Tree) Version() string {
	for _, m := range t.Published {
		for _, r := range m.mod.Require {
			if t.own(r.Mod.Path) {
				return r.Mod.Version
			}
		}
	}
	return ""
}

// path returns the name of a file of the tree for the operating system.
func (t *Tree) path(name string) string { return filepath.Join(t.Dir, filepath.FromSlash(name)) }

func (t *Tree) git(args ...string) (string, error) {
	cmd := exec.Command("git", append([]string{"-C", t.Dir}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, bytes.TrimSpace(stderr.Bytes()))
	}
	return string(out), nil
}
