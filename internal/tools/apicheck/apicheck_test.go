package apicheck_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubesa/serviceaccount/internal/tools/apicheck"
	"github.com/kubesa/serviceaccount/internal/tools/release"
)

func TestUnnamed(t *testing.T) {
	changes := []apicheck.Change{{Name: "keys.Generate"}, {Name: "tokens.Parse"}, {Name: "keys.Set.Len"}, {Name: "lastused"}, {Text: "- what nobody can read"}}
	const all = "keys.Generate tokens.Parse keys.Set.Len lastused "
	for _, tt := range []struct{ name, changelog, want string }{
		{name: "nothing named", changelog: "# C\n\n## Unreleased\n\n- `keys.Generate` is faster\n", want: all},
		{name: "two named", changelog: "# C\n\n## Unreleased\n\n### Breaking\n\n- `Generate` and `Set.Len` are gone\n", want: "tokens.Parse lastused "},
		{name: "with package", changelog: "# C\n\n## Unreleased\n\n### Breaking\n\n- `keys.Set.Len()`, `tokens.Parse(text)`, `lastused`\n", want: "keys.Generate "},
		{name: "of another package", changelog: "# C\n\n## Unreleased\n\n### Breaking\n\n- `tokens.Generate`\n", want: all},
		{name: "of another type", changelog: "# C\n\n## Unreleased\n\n### Breaking\n\n- `Ring.Len`, `Len`, `Set`\n", want: all},
		{name: "other section", changelog: "# C\n\n## Unreleased\n\n### Breaking\n\n### Fixed\n\n- `tokens.Parse`\n", want: all},
		{name: "older version", changelog: "# C\n\n## Unreleased\n\n## v0.1.0\n\n### Breaking\n\n- `Parse`\n", want: all},
		{name: "without quotes", changelog: "# C\n\n## Unreleased\n\n### Breaking\n\n- Parse\n", want: all},
	} {
		t.Run(tt.name, func(t *testing.T) {
			left, err := apicheck.Unnamed(changes, tt.changelog)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, c := range left {
				names = append(names, c.Name)
			}
			if got := strings.Join(names, " "); got != tt.want {
				t.Errorf("Unnamed() = %q, want %q", got, tt.want)
			}
		})
	}
}

// TestCheck changes the API in all the ways that break users, in a copy of the
// repository.
func TestCheck(t *testing.T) {
	dir, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	original, err := release.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := original.Copy(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(tree.Dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(tree.Dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const before = `package keys

func Removed() {}

func Changed(int) {}

const Value = 1

type Both[T any] struct{ Field T }

func (*Both[T]) Method() {}

type Promise interface{ One() }
`
	const after = `package keys

func Changed(int, int) {}

func Added() {}

const Value = 2

type Both[T any] struct{ Field *T }

type Promise interface {
	One()
	Two()
}
`
	write("keys/change.go", before)
	write("keys/external/grpc/change.go", "package externalgrpc\n\nfunc Removed() {}\n")
	write("keys/gone/gone.go", "// Package gone will be gone.\npackage gone\n")
	for _, args := range [][]string{{"add", "--all"}, {"-c", "user.name=x", "-c", "user.email=x@localhost", "commit", "--quiet", "--message", "before"}, {"tag", "v0.9.0"}} {
		if out, err := exec.Command("git", append([]string{"-C", tree.Dir}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
	}
	base, err := apicheck.Base(tree)
	if err != nil || base != "v0.9.0" {
		t.Fatalf("Base() = %q, %v; want the tag", base, err)
	}
	write("keys/change.go", after)
	for _, name := range []string{"keys/external/grpc/change.go", "keys/gone/gone.go"} {
		if err := os.Remove(filepath.Join(tree.Dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	err = apicheck.Check(tree, base)
	for _, want := range []string{"./keys.Removed: removed", "Changed: changed", "Value: value changed", "Field: changed", "Method: removed", "Promise.Two: added", "keys/external/grpc: - Removed: removed", "keys/gone: removed"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Check() = %v, want %q", err, want)
		}
	}
	if err != nil && strings.Contains(err.Error(), "Added") {
		t.Errorf("Check() = %v, want nothing of what was added", err)
	}
	const changelog = "# Changelog\n\n## Unreleased\n\n### Breaking\n\n- `keys.Removed` is gone, and `keys/gone`, `keys.Changed` takes two numbers, `Value` is 2, `Both.Method`, `Both.Field`, `Promise.Two`%s.\n"
	write("CHANGELOG.md", fmt.Sprintf(changelog, ""))
	if err := apicheck.Check(tree, base); err == nil || !strings.Contains(err.Error(), "grpc: - Removed: removed") || strings.Contains(err.Error(), "keys.Changed") {
		t.Errorf("Check() = %v, want only what CHANGELOG.md doesn't name", err)
	}
	write("CHANGELOG.md", fmt.Sprintf(changelog, ", `grpc.Removed`"))
	if err := apicheck.Check(tree, base); err != nil {
		t.Errorf("Check() of changes that CHANGELOG.md names: %v", err)
	}
}

// A shallow clone lacks the commit to compare with, and says so.
func TestBaseOfShallowClone(t *testing.T) {
	dir, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	original, err := release.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := original.Copy(t.TempDir()) // has one commit, as a clone of depth 1
	if err != nil {
		t.Fatal(err)
	}
	if base, err := apicheck.Base(tree); !errors.Is(err, apicheck.ErrNoBase) {
		t.Errorf("Base() = %q, %v; want ErrNoBase", base, err)
	}
}
