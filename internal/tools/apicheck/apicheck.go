// Package apicheck finds incompatible changes of the API that CHANGELOG.md does
// not name.
package apicheck

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/mod/semver"

	"github.com/kubesa/serviceaccount/internal/tools/release"
)

// BaseFile names the commit to compare with as long as nothing is tagged.
const BaseFile = "internal/tools/apibase.txt"

// A Change is an incompatible change of one module.
type Change struct {
	Module string
	Text   string // as apidiff prints it
	Name   string // what changed: package.Func, package.Type.Method or, if it is gone, the package
}

// ErrNoBase says that the clone lacks the commit to compare with, as shallow
// clones do.
var ErrNoBase = errors.New("the clone lacks the commit to compare with: fetch the whole history")

// Base returns what to compare with: the last tag of the root module that HEAD
// contains, otherwise the commit in [BaseFile]. The error wraps [ErrNoBase] if the
// clone doesn't have that commit.
func Base(tree *release.Tree) (string, error) {
	tags, err := output(tree.Dir, "git", "tag", "--merged", "HEAD", "--list", "v*")
	if err != nil {
		return "", err
	}
	last := ""
	for tag := range strings.FieldsSeq(tags) {
		if semver.IsValid(tag) && (last == "" || semver.Compare(tag, last) > 0) {
			last = tag
		}
	}
	if last != "" {
		return last, nil
	}
	data, err := os.ReadFile(filepath.Join(tree.Dir, filepath.FromSlash(BaseFile)))
	if err != nil {
		return "", err
	}
	commit := strings.TrimSpace(string(data))
	if _, err := output(tree.Dir, "git", "cat-file", "-e", commit+"^{commit}"); err != nil {
		return "", fmt.Errorf("%w: %s names %q", ErrNoBase, BaseFile, commit)
	}
	return commit, nil
}

// Changes returns the incompatible changes of the published modules since base.
// A module that base doesn't have has none.
func Changes(tree *release.Tree, base string) ([]Change, error) {
	old, err := os.MkdirTemp("", "apibase")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(old)
	checkout := filepath.Join(old, "tree")
	if _, err := output(tree.Dir, "git", "worktree", "add", "--quiet", "--force", "--detach", checkout, base); err != nil {
		return nil, err
	}
	defer func() {
		// What is left of it is pruned by git, sooner or later.
		_, _ = output(tree.Dir, "git", "worktree", "remove", "--force", checkout)
	}()
	apidiff := filepath.Join(old, "apidiff")
	tools := filepath.Join(tree.Dir, "internal", "tools")
	if _, err := output(tools, "go", "build", "-o", apidiff, "golang.org/x/exp/cmd/apidiff"); err != nil {
		return nil, err
	}
	var all []Change
	for _, m := range tree.Published {
		before := filepath.Join(checkout, filepath.FromSlash(m.Dir))
		if _, err := os.Stat(filepath.Join(before, "go.mod")); err != nil {
			continue
		}
		var files [2]string
		for i, dir := range []string{before, filepath.Join(tree.Dir, filepath.FromSlash(m.Dir))} {
			files[i] = filepath.Join(old, fmt.Sprintf("%d.export", i))
			if _, err := output(dir, apidiff, "-m", "-w", files[i], m.Path); err != nil {
				return nil, err
			}
		}
		text, err := output(old, apidiff, "-m", "-incompatible", files[0], files[1])
		if err != nil {
			return nil, err
		}
		all = append(all, parse(m.Path, text)...)
	}
	return all, nil
}

// changed matches what apidiff says has changed, up to the colon: a package or
// one of its identifiers, with a method or field.
var changed = regexp.MustCompile(`^- (?:package )?(.*?): `)

// parse reads the output of apidiff. What it can't read has no name, so that it
// can't be named.
func parse(module, text string) []Change {
	var list []Change
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "- ") {
			continue
		}
		c := Change{Module: module, Text: line}
		if match := changed.FindStringSubmatch(line); match != nil {
			name := regexp.MustCompile(`\[.*\]|[(*)]`).ReplaceAllString(match[1], "")
			name = name[strings.LastIndexByte(name, '/')+1:]
			if !strings.Contains(match[1], "/") { // of the package at the top of the module
				name = path.Base(module) + "." + name
			}
			c.Name = name
		}
		list = append(list, c)
	}
	return list
}

// Unnamed returns those changes that CHANGELOG.md doesn't name in backquotes
// below "### Breaking" of its section "## Unreleased": `Type.Method` or
// `package.Type.Method` for a method or field, `Func` or `package.Func` otherwise.
func Unnamed(changes []Change, changelog string) ([]Change, error) {
	section, err := release.Unreleased(changelog)
	if err != nil {
		return nil, err
	}
	_, breaking, _ := strings.Cut("\n"+section, "\n### Breaking\n")
	breaking, _, _ = strings.Cut(breaking, "\n### ")
	named := map[string]bool{}
	for _, quoted := range regexp.MustCompile("`[^`]*`").FindAllString(breaking, -1) {
		for _, name := range regexp.MustCompile(`\w+(?:\.\w+)*`).FindAllString(quoted, -1) {
			named[name] = true
		}
	}
	var left []Change
	for _, c := range changes {
		_, withoutPackage, _ := strings.Cut(c.Name, ".")
		if c.Name == "" || !named[c.Name] && !named[withoutPackage] {
			left = append(left, c)
		}
	}
	return left, nil
}

// Check returns an error that lists the incompatible changes since base that
// CHANGELOG.md doesn't name.
func Check(tree *release.Tree, base string) error {
	changes, err := Changes(tree, base)
	if err != nil {
		return err
	}
	changelog, err := os.ReadFile(filepath.Join(tree.Dir, "CHANGELOG.md"))
	if err != nil {
		return err
	}
	left, err := Unnamed(changes, string(changelog))
	if err != nil || len(left) == 0 {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "incompatible with %s, and not named in CHANGELOG.md below \"### Breaking\":", base)
	for _, c := range left {
		fmt.Fprintf(&b, "\n%s: %s", c.Module, c.Text)
	}
	return errors.New(b.String())
}

// output runs a command in dir and returns what it prints.
func output(dir, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", filepath.Base(name), strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return string(out), nil
}
