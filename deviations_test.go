package serviceaccount_test

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Every row of docs/deviations.md names tests that exist, as folder.TestName or
// folder.TestName/subtest.
func TestDeviationsAreTested(t *testing.T) {
	rows := tableRows(readFile(t, "docs/deviations.md"))
	if len(rows) < 20 {
		t.Fatalf("docs/deviations.md has %d rows, want at least 20", len(rows))
	}
	for _, row := range rows {
		if len(row) != 5 || slices.Contains(row, "") {
			t.Errorf("row %q has empty or missing cells, want 5", row)
			continue
		}
		named := testName.FindAllStringSubmatch(row[4], -1)
		if len(named) == 0 {
			t.Errorf("row %s names no test: %s", row[0], row[4])
		}
		for _, n := range named {
			checkTest(t, row[0], n[1], n[2], n[3])
		}
	}
}

// testName matches a test in code quotes: `keys.TestNewSet`, `tokens.TestJudge/no exp`.
var testName = regexp.MustCompile("`([\\w/]+)\\.(Test\\w+)(?:/([^`]+))?`")

// checkTest fails unless the folder has the test, with the subtest if there is
// one.
func checkTest(t *testing.T, rules, folder, name, subtest string) {
	t.Helper()
	files, err := fs.Glob(os.DirFS("."), path.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text := readFile(t, file)
		if !strings.Contains(text, "\nfunc "+name+"(t *testing.T) {") {
			continue
		}
		if subtest != "" && !strings.Contains(text, `"`+subtest+`"`) {
			t.Errorf("%s: %s of %s has no subtest %q", rules, name, file, subtest)
		}
		return
	}
	t.Errorf("%s: %s has no test %s", rules, folder, name)
}

// tableRows returns the cells of all tables of a Markdown text, without their
// heads.
func tableRows(text string) [][]string {
	var rows [][]string
	head := true
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			head = true
			continue
		}
		if strings.HasPrefix(line, "|---") {
			head = false
			continue
		}
		if head {
			continue
		}
		var cells []string
		for cell := range strings.SplitSeq(strings.Trim(line, "|"), " | ") {
			cells = append(cells, strings.TrimSpace(cell))
		}
		rows = append(rows, cells)
	}
	return rows
}
