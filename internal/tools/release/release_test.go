package release_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubesa/serviceaccount/internal/tools/release"
)

// open returns the tree that this test is in.
func open(t *testing.T) *release.Tree {
	t.Helper()
	dir, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	tree, err := release.Open(dir)
	if err != nil {
		t.Fatalf("the repository can't be released: %v", err)
	}
	return tree
}

// scratch returns a copy of the tree that this test is in.
func scratch(t *testing.T) *release.Tree {
	t.Helper()
	tree, err := open(t).Copy(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

var day = time.Date(2026, time.December, 1, 0, 0, 0, 0, time.UTC)

func TestPrepare(t *testing.T) {
	tree := scratch(t)
	tags, err := tree.Prepare("v0.9.0", day)
	if err != nil {
		t.Fatal(err)
	}
	if tags[0] != "v0.9.0" || len(tags) != len(tree.Published) {
		t.Errorf("Prepare() = %q, want a tag for each published module, the root's first", tags)
	}
	changed, err := tree.Changed()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"CHANGELOG.md", "go.work"}
	for _, m := range tree.Published[1:] {
		want = append(want, m.Dir+"/go.mod", m.Dir+"/go.sum")
	}
	changed = slices.DeleteFunc(changed, func(name string) bool {
		return strings.HasSuffix(name, "/go.mod") && (strings.HasPrefix(name, "internal/") || strings.HasPrefix(name, "examples/"))
	})
	slices.Sort(want)
	if !slices.Equal(changed, want) {
		t.Errorf("Prepare() changed %q beside the go.mod files of unpublished modules, want %q", changed, want)
	}
	again, err := release.Open(tree.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := again.Version(); got != "v0.9.0" {
		t.Errorf("the modules require %s of each other, want v0.9.0", got)
	}
	if _, err := again.Prepare("v0.9.1", day); err == nil || !strings.Contains(err.Error(), "not clean") {
		t.Errorf("Prepare() in a changed tree: %v, want that it is not clean", err)
	}

	if err := again.Develop(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(tree.Dir, "CHANGELOG.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "\n## Unreleased\n\n## v0.9.0 - 2026-12-01\n") {
		t.Errorf("CHANGELOG.md begins with\n%.400s\nwant headings for what comes and for v0.9.0", text)
	}
	if err := again.Develop(); err == nil {
		t.Error("Develop() a second time succeeded, want an error")
	}
}

func TestPrepareRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, version string
		spoil         func(t *testing.T, dir string)
		want          string
	}{
		{name: "no version", version: "0.9.0", want: "not like v1.2.3"},
		{name: "short version", version: "v0.9", want: "not like v1.2.3"},
		{name: "build metadata", version: "v0.9.0+x", want: "not like v1.2.3"},
		{name: "major version", version: "v2.0.0", want: "module paths that end in /v2"},
		{name: "untracked file", version: "v0.9.0", want: "not clean", spoil: func(t *testing.T, dir string) {
			write(t, dir, "keys/new.go", "package keys\n")
		}},
		{name: "changed file", version: "v0.9.0", want: "not clean", spoil: func(t *testing.T, dir string) {
			edit(t, dir, "README.md", func(s string) string { return s + "\n" })
		}},
		{name: "tagged", version: "v0.9.0", want: "does not follow v0.9.0", spoil: tag("v0.9.0")},
		{name: "older than a tag", version: "v0.9.0", want: "does not follow v0.10.0", spoil: tag("v0.10.0")},
		{name: "candidate of a tagged version", version: "v0.9.0-rc.1", want: "does not follow v0.9.0", spoil: tag("v0.9.0")},
		{name: "tagged for one module", version: "v0.9.0", want: "does not follow fake/clientgo/v0.9.0", spoil: tag("fake/clientgo/v0.9.0")},
		{name: "nothing new", version: "v0.9.0", want: "there is nothing below", spoil: func(t *testing.T, dir string) {
			edit(t, dir, "CHANGELOG.md", func(string) string { return "# Changelog\n\n## Unreleased\n\n## v0.1.0 - 2026-11-01\n\n- x\n" })
			commit(t, dir)
		}},
		{name: "broken workspace", version: "v0.9.0", want: "go.work doesn't replace", spoil: func(t *testing.T, dir string) {
			edit(t, dir, "go.work", func(s string) string { before, _, _ := strings.Cut(s, "replace"); return before })
			commit(t, dir)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tree := scratch(t)
			if tt.spoil != nil {
				tt.spoil(t, tree.Dir)
			}
			before, err := tree.Changed()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tree.Prepare(tt.version, day); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Prepare(%q) = %v, want an error with %q", tt.version, err, tt.want)
			}
			if after, err := tree.Changed(); err != nil || !slices.Equal(after, before) {
				t.Errorf("Prepare(%q) changed %q, want nothing beside %q (%v)", tt.version, after, before, err)
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T, dir string)
		want  string
	}{
		{name: "unlisted module", want: "list it, or move it", spoil: func(t *testing.T, dir string) {
			write(t, dir, "unlisted/go.mod", "module github.com/kubesa/serviceaccount/unlisted\n")
		}},
		{name: "replace", want: "go.mod replaces", spoil: func(t *testing.T, dir string) {
			edit(t, dir, "sacontroller/manager/go.mod", func(s string) string {
				return s + "\nreplace github.com/kubesa/serviceaccount => ../..\n"
			})
		}},
		{name: "another version", want: "want one version", spoil: func(t *testing.T, dir string) {
			edit(t, dir, "fake/clientgo/go.mod", func(s string) string {
				return strings.Replace(s, "github.com/kubesa/serviceaccount v", "github.com/kubesa/serviceaccount v0.0.1-", 1)
			})
		}},
		{name: "module path", want: "the module is example.com/x", spoil: func(t *testing.T, dir string) {
			edit(t, dir, "sacontroller/manager/go.mod", func(s string) string {
				return strings.Replace(s, "module github.com/kubesa/serviceaccount/sacontroller/manager", "module example.com/x", 1)
			})
		}},
		{name: "deleted module", want: "which has no go.mod", spoil: func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, "sacontroller/manager/go.mod")); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "executable", want: "examples/webhook/webhook has 1048577 bytes", spoil: func(t *testing.T, dir string) {
			write(t, dir, "examples/webhook/webhook", strings.Repeat("x", 1<<20+1))
		}},
		{name: "listed too early", want: "does not list before it", spoil: func(t *testing.T, dir string) {
			edit(t, dir, release.ModulesFile, func(s string) string {
				return strings.Replace(s, "\nfake/apiserver\n", "\n", 1) + "fake/apiserver\n"
			})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := scratch(t).Dir
			tt.spoil(t, dir)
			if _, err := release.Open(dir); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Open() = %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func tag(name string) func(*testing.T, string) {
	return func(t *testing.T, dir string) { git(t, dir, "tag", name) }
}

func commit(t *testing.T, dir string) {
	t.Helper()
	git(t, dir, "-c", "user.name=x", "-c", "user.email=x@localhost", "commit", "--quiet", "--all", "--message", "x")
}

func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("git %q: %v\n%s", args, err, out)
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	name = filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func edit(t *testing.T, dir, name string, change func(string) string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	changed := change(string(data))
	if changed == string(data) {
		t.Fatalf("%s has nothing to change", name)
	}
	write(t, dir, name, changed)
}
