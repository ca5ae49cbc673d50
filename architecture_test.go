package serviceaccount_test

import (
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

// docs/architecture.md names packages in its table and files in its walks; a file without
// a folder is beside one that the same step names.
func TestArchitectureNamesWhatExists(t *testing.T) {
	text := readFile(t, "docs/architecture.md")
	code := regexp.MustCompile("`([\\w./-]+)`")
	packages, files := 0, 0
	for line := range strings.Lines(text) {
		first, _, ok := strings.Cut(strings.TrimPrefix(line, "| "), " |")
		if !ok {
			continue
		}
		for _, name := range code.FindAllStringSubmatch(first, -1) {
			packages++
			if _, err := os.Stat(name[1]); err != nil {
				t.Errorf("the map has the package %s: %v", name[1], err)
			}
		}
	}
	for _, step := range regexp.MustCompile(`\n\d\. `).Split(text, -1)[1:] {
		var folders []string
		for _, name := range code.FindAllStringSubmatch(step, -1) {
			if path.Ext(name[1]) != ".go" {
				continue
			}
			files++
			if folder := path.Dir(name[1]); folder != "." {
				folders = append(folders, folder)
			}
			if !existsIn(append([]string{"."}, folders...), name[1]) {
				t.Errorf("a step names %s, which doesn't exist: %.60s…", name[1], step)
			}
		}
	}
	if packages < 30 || files < 40 {
		t.Errorf("found %d packages and %d files, want at least 30 and 40: is the pattern still right?", packages, files)
	}
}

func existsIn(folders []string, name string) bool {
	for _, folder := range folders {
		if _, err := os.Stat(path.Join(folder, name)); err == nil {
			return true
		}
	}
	return false
}
