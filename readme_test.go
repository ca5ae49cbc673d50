package serviceaccount_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The README's promises about itself.
const (
	maxReadmeLines       = 120
	firstProgramAtLatest = 25 // line
)

func TestReadmeIsShort(t *testing.T) {
	lines := strings.Split(readFile(t, "README.md"), "\n")
	if len(lines) > maxReadmeLines {
		t.Errorf("README.md has %d lines, want at most %d", len(lines), maxReadmeLines)
	}
	program := slices.Index(lines, "```go") + 1
	if program == 0 || program >= firstProgramAtLatest {
		t.Errorf("the first program of README.md begins on line %d, want one before line %d", program, firstProgramAtLatest)
	}
	for _, command := range []string{"go run ./examples/quickstart", "go test ./..."} {
		at := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(strings.TrimSpace(line), command) })
		if at < 0 || at >= program {
			t.Errorf("README.md lacks the command %q above its program", command)
		}
	}
}

// Every Go block of the README is a whole program that prints the text block
// after it, and is the example of the package.
func TestReadmePrograms(t *testing.T) {
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```\n+```text\n(.*?)```").FindAllStringSubmatch(readFile(t, "README.md"), -1)
	if all := strings.Count(readFile(t, "README.md"), "```go\n"); len(blocks) != all || all == 0 {
		t.Fatalf("README.md has %d Go blocks, %d of them with their output after them, want all", all, len(blocks))
	}
	for _, block := range blocks {
		program := filepath.Join(t.TempDir(), "main.go")
		if err := os.WriteFile(program, []byte(block[1]), 0o600); err != nil {
			t.Fatal(err)
		}
		goCommand(t, "vet", program)
		if diff := cmp.Diff(block[2], string(goCommand(t, "run", program))); diff != "" {
			t.Errorf("output of the program of README.md (-want +got):\n%s", diff)
		}
		if unformatted, err := exec.CommandContext(t.Context(), "gofmt", "-l", program).Output(); err != nil || len(unformatted) > 0 {
			t.Errorf("gofmt would change the program of README.md (%v)", err)
		}
	}
	example := between(t, readFile(t, "example_test.go"), "func Example() {\n", "\n\t// Output:")
	program := between(t, blocks[0][1], "func main() {\n", "\n}\n")
	if diff := cmp.Diff(strings.TrimSpace(example), strings.TrimSpace(program)); diff != "" {
		t.Errorf("the program of README.md differs from Example (-example +README):\n%s", diff)
	}
}

// The README's table has every package that others can import, and no other.
func TestReadmeListsPackages(t *testing.T) {
	listed := map[string]bool{".": true}
	for _, link := range regexp.MustCompile("\\[`[\\w/]+`\\]\\(([\\w/]+)\\)").FindAllStringSubmatch(readFile(t, "README.md"), -1) {
		listed[link[1]] = true
		if files, err := filepath.Glob(link[1] + "/*.go"); err != nil || len(files) == 0 {
			t.Errorf("README.md lists the package %s, which does not exist", link[1])
		}
	}
	for _, pkg := range goList(t, "./...") {
		name := relative(pkg.ImportPath)
		if !listed[name] && !strings.HasPrefix(name, "examples/") && !slices.Contains(strings.Split(name, "/"), "internal") {
			t.Errorf("README.md does not list the package %s", name)
		}
	}
}

// A link to a file of the repository leads somewhere.
func TestDocumentLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#]+)`)
	code := regexp.MustCompile("(?s)```.*?```")
	for _, name := range documents(t) {
		for _, found := range link.FindAllStringSubmatch(code.ReplaceAllString(readFile(t, name), ""), -1) {
			if strings.Contains(found[1], "://") {
				continue
			}
			target := filepath.Join(filepath.Dir(name), found[1])
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s: %v", name, found[1], err)
			}
		}
	}
}

// documents returns the names of the repository's Markdown files.
func documents(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, pattern := range []string{"*.md", "docs/*.md", "examples/*/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, found...)
	}
	return names
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// between returns the text from start to the first end after it.
func between(t *testing.T, text, start, end string) string {
	t.Helper()
	_, rest, ok := strings.Cut(text, start)
	inner, _, found := strings.Cut(rest, end)
	if !ok || !found {
		t.Fatalf("found no text between %q and %q", start, end)
	}
	return inner
}
