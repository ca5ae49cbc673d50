package apicheck_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubesa/serviceaccount/internal/tools/apicheck"
	"github.com/kubesa/serviceaccount/internal/tools/release"
)

func TestUnnamed(t *testing.T) {
	changes := []apicheck.Change{{Name: "Generate"}, {Name: "Parse"}, {Name: "Len"}}
	for _, tt := range []struct{ name, changelog, want string }{
		{name: "nothing named", changelog: "# C\n\n## Unreleased\n\n- `keys.Generate` is faster\n", want: "Generate Parse Len"},
		{name: "two named", changelog: "# C\n\n## Unreleased\n\n### Breaking\n\n- `keys.Generate` and `Set.Len` are gone\n", want: "Parse"},
		{name: "other section", changelog: "# C\n\n## Unreleased\n\n### Breaking\n\n### Fixed\n\n- `keys.Parse`\n", want: "Generate Parse Len"},
		{name: "older version", changelog: "# C\n\n## Unreleased\n\n## v0.1.0\n\n### Breaking\n\n- `Parse`\n", want: "Generate Parse Len"},
		{name: "without quotes", changelog: "# C\n\n## Unreleased\n\n### Breaking\n\n- Parse\n", want: "Generate Parse Len"},
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

// TestCheck takes a func away and gives another one a parameter, in a copy of
// the repository.
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
		if err := os.WriteFile(filepath.Join(tree.Dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("keys/change.go", "package keys\n\nfunc Removed() {}\n\nfunc Changed(int) {}\n")
	for _, args := range [][]string{{"add", "--all"}, {"-c", "user.name=x", "-c", "user.email=x@localhost", "commit", "--quiet", "--message", "before"}, {"tag", "v0.9.0"}} {
		if out, err := exec.Command("git", append([]string{"-C", tree.Dir}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
	}
	base, err := apicheck.Base(tree)
	if err != nil || base != "v0.9.0" {
		t.Fatalf("Base() = %q, %v; want the tag", base, err)
	}
	write("keys/change.go", "package keys\n\nfunc Changed(int, int) {}\n\nfunc Added() {}\n")
	err = apicheck.Check(tree, base)
	if err == nil || !strings.Contains(err.Error(), "Removed: removed") || !strings.Contains(err.Error(), "Changed: changed") || strings.Contains(err.Error(), "Added") {
		t.Errorf("Check() = %v, want what was removed and changed", err)
	}
	write("CHANGELOG.md", "# Changelog\n\n## Unreleased\n\n### Breaking\n\n- `keys.Removed` is gone, `keys.Changed` takes two numbers.\n")
	if err := apicheck.Check(tree, base); err != nil {
		t.Errorf("Check() of changes that CHANGELOG.md names: %v", err)
	}
}
