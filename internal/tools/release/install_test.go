package release_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/kubesa/serviceaccount/internal/tools/release"
)

// TestInstall is a user of the next release: it serves a copy of the tree as if
// it were tagged, and gets, builds and installs from there in empty modules.
func TestInstall(t *testing.T) {
	tree := scratch(t)
	version := "v1.0.0-test." + digest(t, tree.Dir) // no two trees share a version, since modules are cached
	if _, err := tree.Prepare(version, day); err != nil {
		t.Fatal(err)
	}
	tree, err := release.Open(tree.Dir)
	if err != nil {
		t.Fatal(err)
	}
	proxy := t.TempDir()
	if err := tree.WriteProxy(proxy, version); err != nil {
		t.Fatal(err)
	}
	root := tree.Published[0].Path
	upstream := strings.TrimSpace(goRun(t, t.Context(), t.TempDir(), nil, "env", "GOPROXY"))
	env := []string{"GOWORK=off", "GOFLAGS=-mod=mod", "GOTOOLCHAIN=local", "GOPROXY=file://" + filepath.ToSlash(proxy) + "," + upstream, "GONOSUMDB=" + root + "," + root + "/*"}
	t.Cleanup(func() { forget(t, root, version) })

	for _, m := range tree.Published {
		t.Run("tidy/"+m.Dir, func(t *testing.T) {
			dir := filepath.Join(tree.Dir, filepath.FromSlash(m.Dir))
			goRun(t, t.Context(), dir, append(env, "GOFLAGS="), "mod", "tidy", "-diff")
			goRun(t, t.Context(), dir, append(env, "GOFLAGS="), "mod", "verify")
		})
		t.Run("get/"+m.Dir, func(t *testing.T) {
			dir := newModule(t)
			goRun(t, t.Context(), dir, env, "get", m.Path+"@latest")
			goRun(t, t.Context(), dir, env, "get", m.Path+"/...@"+version)
			goRun(t, t.Context(), dir, env, "build", m.Path+"/...")
			goRun(t, t.Context(), dir, env, "mod", "verify")
		})
	}
	for _, command := range commands(t, tree) {
		t.Run("install/"+command, func(t *testing.T) {
			bin := t.TempDir()
			goRun(t, t.Context(), t.TempDir(), append(env, "GOBIN="+bin), "install", command+"@"+version)
			name := filepath.Join(bin, filepath.Base(command)+exe())
			out, err := exec.CommandContext(t.Context(), name, "-version").CombinedOutput()
			if err != nil || !strings.Contains(string(out), version) {
				t.Errorf("%s -version: %v, %s; want %s", filepath.Base(name), err, out, version)
			}
		})
	}
	t.Run("vet all", func(t *testing.T) {
		dir := newModule(t)
		var program strings.Builder
		program.WriteString("package main\n\nimport (\n")
		for _, m := range tree.Published {
			for _, pkg := range packages(t, tree, m) {
				if pkg.name != "main" && !strings.Contains(pkg.path+"/", "/internal/") && !strings.Contains(pkg.path, "/examples/") {
					fmt.Fprintf(&program, "\t_ %q\n", pkg.path)
				}
			}
		}
		program.WriteString(")\n\nfunc main() {}\n")
		write(t, dir, "main.go", program.String())
		args := []string{"get"}
		for _, m := range tree.Published {
			args = append(args, m.Path+"@"+version)
		}
		goRun(t, t.Context(), dir, env, args...)
		goRun(t, t.Context(), dir, env, "mod", "tidy")
		goRun(t, t.Context(), dir, env, "vet", ".")
	})
}

// TestReproducible builds each command twice, in two folders: the same bytes.
func TestReproducible(t *testing.T) {
	var digests [2]map[string]string
	tree := scratch(t)
	for i := range digests {
		var err error
		if tree, err = tree.Copy(t.TempDir()); err != nil { // of the copy: somebody may work in the original
			t.Fatal(err)
		}
		digests[i] = map[string]string{}
		for _, command := range commands(t, tree) {
			name := filepath.Join(t.TempDir(), "program")
			goRun(t, t.Context(), tree.Dir, []string{"GOFLAGS=", "CGO_ENABLED=0"}, "build", "-trimpath", "-buildvcs=false", "-o", name, command)
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			digests[i][command] = fmt.Sprintf("%x", sha256.Sum256(data))
		}
	}
	for command, first := range digests[0] {
		t.Logf("%s\n%s  first folder\n%s  second folder", command, first, digests[1][command])
		if second := digests[1][command]; second != first {
			t.Errorf("%s built in two folders: %s and %s, want the same bytes", command, first, second)
		}
	}
	if len(digests[0]) == 0 {
		t.Error("no published module has a command")
	}
}

type pkg struct{ path, name string }

// packages returns the packages of a module.
func packages(t *testing.T, tree *release.Tree, m *release.Module) []pkg {
	t.Helper()
	var list []pkg
	dir := filepath.Join(tree.Dir, filepath.FromSlash(m.Dir))
	for line := range strings.Lines(goRun(t, t.Context(), dir, []string{"GOFLAGS="}, "list", "-f", "{{.ImportPath}} {{.Name}}", "./...")) {
		path, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		list = append(list, pkg{path, name})
	}
	return list
}

// commands returns the import paths of the commands that users install.
func commands(t *testing.T, tree *release.Tree) []string {
	t.Helper()
	var list []string
	for _, m := range tree.Published {
		for _, p := range packages(t, tree, m) {
			if p.name == "main" && strings.Contains(p.path, "/cmd/") && !strings.Contains(p.path+"/", "/internal/") {
				list = append(list, p.path)
			}
		}
	}
	return list
}

// newModule returns the folder of an empty module.
func newModule(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "go.mod", "module example.com/user\n\ngo 1.26.0\n")
	return dir
}

// goRun runs the go command and returns what it printed.
func goRun(t *testing.T, ctx context.Context, dir string, env []string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	t.Logf("go %s", strings.Join(args, " "))
	return string(out)
}

// digest returns the hash of everything in dir but git's own files.
func digest(t *testing.T, dir string) string {
	t.Helper()
	h := sha256.New()
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			if name == ".git" {
				return fs.SkipDir
			}
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, name))
		fmt.Fprintf(h, "%s %d\n%s", name, len(data), data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:6])
}

// forget removes the version of this test from the module cache: what was unpacked,
// and what was downloaded.
func forget(t *testing.T, root, version string) {
	cache := strings.TrimSpace(goRun(t, context.WithoutCancel(t.Context()), t.TempDir(), nil, "env", "GOMODCACHE"))
	var patterns []string
	for _, below := range []string{"", "/*", "/*/*", "/*/*/*"} {
		patterns = append(patterns, root+below+"@"+version, "cache/download/"+root+below+"/@v/"+version+".*")
	}
	for _, pattern := range patterns {
		names, err := filepath.Glob(filepath.Join(cache, filepath.FromSlash(pattern)))
		if err != nil {
			t.Error(err)
		}
		for _, name := range names {
			if err := errors.Join(filepath.WalkDir(name, makeWritable), os.RemoveAll(name)); err != nil {
				t.Error(err)
			}
		}
	}
}

func makeWritable(name string, entry fs.DirEntry, err error) error {
	if err == nil && entry.IsDir() {
		return os.Chmod(name, 0o755)
	}
	return err
}

func exe() string {
	if runtime.GOOS == "windows" {
		return ".exe"
	}
	return ""
}
