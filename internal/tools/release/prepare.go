package release

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

// Prepare makes the tree the one that is tagged as version: the modules require
// that version of each other, the published ones know the checksums of it, and
// CHANGELOG.md has a heading for it. It changes nothing else, commits nothing
// and returns the tags to push, in their order.
//
// The tree must be clean, the version be semantic and follow the last one, and
// CHANGELOG.md say what is new.
func (t *Tree) Prepare(version string, day time.Time) ([]string, error) {
	if err := t.checkVersion(version); err != nil {
		return nil, err
	}
	if status, err := t.git("status", "--porcelain"); err != nil {
		return nil, err
	} else if status != "" {
		return nil, fmt.Errorf("the tree is not clean, commit first:\n%s", status)
	}
	err := t.editChangelog(func(text string) (string, error) { return released(text, version, day) })
	if err == nil {
		err = t.setVersion(version)
	}
	if err != nil {
		// The tree was clean: half a release is of no use to anybody.
		_, undo := t.git("checkout", "--quiet", "HEAD", "--", ".")
		return nil, errors.Join(err, undo)
	}
	var tags []string
	for _, m := range t.Published {
		tags = append(tags, m.Tag(version))
	}
	return tags, nil
}

// Develop makes the tree of a release one in which work goes on: CHANGELOG.md
// has a heading for what is to come. The modules go on requiring the released
// version of each other, which go.work replaces by the tree.
func (t *Tree) Develop() error { return t.editChangelog(unreleased) }

func (t *Tree) checkVersion(version string) error {
	if !semver.IsValid(version) || semver.Canonical(version) != version {
		return fmt.Errorf("version %q is not like v1.2.3", version)
	}
	if major := semver.Major(version); major != "v0" && major != "v1" {
		return fmt.Errorf("version %s needs module paths that end in /%s", version, major)
	}
	for _, m := range t.Published {
		tags, err := t.git("tag", "--list", m.Tag("v*"))
		if err != nil {
			return err
		}
		for tag := range strings.Lines(tags) {
			tag = strings.TrimSpace(tag)
			if semver.Compare(path.Base(tag), version) >= 0 {
				return fmt.Errorf("version %s does not follow %s, which is tagged", version, tag)
			}
		}
	}
	return nil
}

// setVersion writes go.work, the go.mod files of all modules, and the go.sum
// files of those that are published. go.work comes first: it is part of the root
// module, on whose checksum the others depend.
func (t *Tree) setVersion(version string) error {
	if err := t.setWork(version); err != nil {
		return err
	}
	sums := map[string]string{} // by module path
	for _, m := range t.Published {
		if err := t.setRequire(m, version); err != nil {
			return err
		}
		if err := t.setSums(m, sums); err != nil {
			return err
		}
		var err error
		if sums[m.Path], err = t.sums(m, version); err != nil {
			return err
		}
	}
	for _, m := range t.Others {
		if err := t.setRequire(m, version); err != nil {
			return err
		}
	}
	return nil
}

// setWork makes go.work replace version of each published module by the tree,
// since nobody serves it before the tags are pushed.
func (t *Tree) setWork(version string) error {
	name := t.path("go.work")
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	text := strings.ReplaceAll(string(data), " "+t.Version()+" => ", " "+version+" => ")
	work, err := modfile.ParseWork(name, []byte(text), nil)
	if err != nil {
		return err
	}
	for _, m := range t.Published {
		if !slices.ContainsFunc(work.Replace, func(r *modfile.Replace) bool { return r.Old.Path == m.Path && r.Old.Version == version }) {
			return fmt.Errorf("go.work doesn't replace %s %s", m.Path, t.Version())
		}
	}
	return os.WriteFile(name, []byte(text), 0o644)
}

// setRequire makes m require version of the repository's published modules.
func (t *Tree) setRequire(m *Module, version string) error {
	changed := false
	for _, r := range slices.Clone(m.mod.Require) {
		if slices.ContainsFunc(t.Published, func(p *Module) bool { return p.Path == r.Mod.Path }) {
			if err := m.mod.AddRequire(r.Mod.Path, version); err != nil {
				return err
			}
			changed = true
		}
	}
	if !changed {
		return nil
	}
	return os.WriteFile(t.path(path.Join(m.Dir, "go.mod")), modfile.Format(m.mod.Syntax), 0o644)
}

// setSums replaces the checksums of the repository's own modules in m's go.sum.
func (t *Tree) setSums(m *Module, sums map[string]string) error {
	name := t.path(path.Join(m.Dir, "go.sum"))
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	var lines []string
	for line := range strings.Lines(string(data)) {
		if modulePath, _, _ := strings.Cut(line, " "); !t.own(modulePath) {
			lines = append(lines, line)
		}
	}
	for _, r := range m.mod.Require {
		lines = slices.AppendSeq(lines, strings.Lines(sums[r.Mod.Path]))
	}
	slices.SortFunc(lines, compareSums)
	return os.WriteFile(name, []byte(strings.Join(lines, "")), 0o644)
}

// compareSums orders the lines of go.sum as the go command does.
func compareSums(a, b string) int {
	x, y := strings.Fields(a), strings.Fields(b)
	if c := strings.Compare(x[0], y[0]); c != 0 {
		return c
	}
	xv, xf, _ := strings.Cut(x[1], "/")
	yv, yf, _ := strings.Cut(y[1], "/")
	if c := semver.Compare(xv, yv); c != 0 {
		return c
	}
	return strings.Compare(xf, yf)
}

// Copy copies the files of the tree, as they are now, into dir, which becomes a
// git repository of one commit.
func (t *Tree) Copy(dir string) (*Tree, error) {
	for _, name := range t.files {
		target := (&Tree{Dir: dir}).path(name)
		if err := os.MkdirAll(path.Dir(target), 0o755); err != nil {
			return nil, err
		}
		data, err := os.ReadFile(t.path(name))
		if err != nil {
			return nil, err
		}
		info, err := os.Stat(t.path(name))
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(target, data, info.Mode().Perm()); err != nil {
			return nil, err
		}
	}
	repo := &Tree{Dir: dir}
	for _, args := range [][]string{
		{"init", "--quiet"},
		{"add", "--all"},
		{"-c", "user.name=release", "-c", "user.email=release@localhost", "commit", "--quiet", "--message", "a copy"},
	} {
		if _, err := repo.git(args...); err != nil {
			return nil, err
		}
	}
	return Open(dir)
}

// Changed returns the files that differ from the last commit.
func (t *Tree) Changed() ([]string, error) {
	status, err := t.git("status", "--porcelain", "-z")
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for entry := range strings.SplitSeq(status, "\x00") {
		if len(entry) > 3 {
			names[entry[3:]] = true
		}
	}
	return slices.Sorted(maps.Keys(names)), nil
}

// errorsJoinClose closes c and returns err and what closing says.
func errorsJoinClose(err error, c io.Closer) error { return errors.Join(err, c.Close()) }
