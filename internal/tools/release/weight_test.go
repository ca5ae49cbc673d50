package release_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/kubesa/serviceaccount/internal/tools/release"
)

// TestReadmeModules holds README.md's table of modules to what importing them
// links, the standard library and our own modules aside.
func TestReadmeModules(t *testing.T) {
	tree := open(t)
	readme, err := os.ReadFile(filepath.Join(tree.Dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]string{} // what comes along, by folder
	row := regexp.MustCompile("(?m)^\\| (\\(the root\\)|`/[\\w/]+`) \\|.*\\| ([^|]*) \\|$")
	for _, match := range row.FindAllStringSubmatch(string(readme), -1) {
		listed[strings.TrimPrefix(strings.Trim(match[1], "`"), "/")] = match[2]
	}
	for _, m := range tree.Published {
		name, want := m.Dir, ""
		if m.Dir == "." {
			name = "(the root)"
			want = weight(t, tree, m, "fake") + "; with `fake` " + weight(t, tree, m, "")
		} else {
			want = weight(t, tree, m, "")
		}
		if got := listed[name]; got != want {
			t.Errorf("README.md says that %s brings along %q, want %q", name, got, want)
		}
		delete(listed, name)
	}
	for name := range listed {
		t.Errorf("README.md lists %s, which is no published module", name)
	}
}

// weight returns how many modules and packages of others come with the packages
// of m, those in the folder without left out.
func weight(t *testing.T, tree *release.Tree, m *release.Module, without string) string {
	t.Helper()
	args := []string{"list", "-deps", "-f", "{{if and .Module (not .Standard)}}{{.Module.Path}}{{end}}"}
	for _, p := range packages(t, tree, m) {
		inModule := strings.TrimPrefix(p.path, m.Path) + "/"
		if strings.Contains(inModule, "/internal/") || strings.HasPrefix(inModule, "/examples/") || without != "" && strings.HasPrefix(inModule, "/"+without+"/") {
			continue
		}
		args = append(args, p.path)
	}
	modules, linked := map[string]bool{}, 0
	for path := range strings.FieldsSeq(goRun(t, t.Context(), filepath.Join(tree.Dir, filepath.FromSlash(m.Dir)), []string{"GOFLAGS="}, args...)) {
		if root := tree.Published[0].Path; path != root && !strings.HasPrefix(path, root+"/") {
			modules[path] = true
			linked++
		}
	}
	return fmt.Sprintf("%d, %d", len(modules), linked)
}
