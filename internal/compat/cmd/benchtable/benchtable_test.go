package main

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares got with a file, or writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	name = filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got); -update writes it:\n%s", name, diff)
	}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Saved output gives the same document and the same picture each time, and to write
// them again changes nothing.
func TestRender(t *testing.T) {
	document, output := string(read(t, "before.md")), read(t, "output.txt")
	text, picture, err := render(document, output)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "after.md", text)
	golden(t, "chart.svg", picture)
	if again, _, err := render(text, output); err != nil || again != text {
		t.Errorf("rendered again: %v, %s", err, cmp.Diff(text, again))
	}
}

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		list []float64
		want float64
	}{
		{[]float64{7}, 7}, {[]float64{9, 1}, 5}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 9, 1, 2}, 3},
	} {
		if got := median(tt.list); got != tt.want {
			t.Errorf("median(%v) = %v, want %v", tt.list, got, tt.want)
		}
	}
}

func TestParse(t *testing.T) {
	const good = "BenchmarkAdmit/containers=1/impl=ours-2 \t 10 \t 700 ns/op \t 7 allocs/op\n"
	r, err := parse(strings.NewReader("cpu: a CPU: fast\n" + good + strings.Replace(good, "700", "900.5", 1) + "PASS\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := metrics{"ns/op": {700, 900.5}, "allocs/op": {7, 7}}
	if diff := cmp.Diff(want, *r.values["Admit/containers=1"]["ours"]); diff != "" || r.config["cpu"] != "a CPU: fast" || r.procs != 2 {
		t.Errorf("got %+v (-want +got):\n%s", r, diff)
	}
	for name, tt := range map[string]struct{ text, want string }{
		"nothing":          {"PASS\n", "no benchmark"},
		"failed":           {good + "--- FAIL: BenchmarkAdmit\n", "line 2: the run failed"},
		"panic":            {"panic: no\n", "the run failed"},
		"no impl":          {"BenchmarkAdmit-2 10 700 ns/op\n", "has no impl="},
		"no value":         {"BenchmarkAdmit/impl=ours-2 10\n", "want a number of iterations and pairs"},
		"no unit":          {"BenchmarkAdmit/impl=ours-2 10 700 ns/op 7\n", "want a number of iterations and pairs"},
		"no number":        {"BenchmarkAdmit/impl=ours-2 10 many ns/op\n", `has the value "many"`},
		"other processors": {good + strings.Replace(good, "-2", "-4", 1), "want one run"},
	} {
		if _, err := parse(strings.NewReader(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want an error with %q", name, err, tt.want)
		}
	}
}

// What a run lacks, and what is wrong with a document, is told by name.
func TestRenderRefuses(t *testing.T) {
	document, output := string(read(t, "before.md")), string(read(t, "output.txt"))
	without := func(text, part string) string {
		var lines []string
		for line := range strings.Lines(text) {
			if !strings.Contains(line, part) {
				lines = append(lines, line)
			}
		}
		return strings.Join(lines, "")
	}
	for name, tt := range map[string]struct{ document, output, want string }{
		"no upstream": {document, without(output, "Webhook/containers=1/impl=upstream"), "no ns/op of BenchmarkWebhook/containers=1 with impl=upstream"},
		"no raw":      {document, without(output, "Issue/alg=ES256/impl=raw"), "no ns/op of BenchmarkIssue/alg=ES256 with impl=raw"},
		"no requests": {document, strings.ReplaceAll(output, "requests/secret", "x"), "no requests/secret of BenchmarkFillSecret with impl=ours"},
		"no date":     {document, without(output, "date:"), "no line for date"},
		"no end":      {without(document, endMark), output, "want a line"},
		"no begin":    {without(document, beginMark), output, "want a line"},
		"two tables":  {document + document, output, "twice"},
	} {
		if _, _, err := render(tt.document, []byte(tt.output)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want an error with %q", name, err, tt.want)
		}
	}
}

func TestDo(t *testing.T) {
	dir := t.TempDir()
	doc, svg := filepath.Join(dir, "doc.md"), filepath.Join(dir, "chart.svg")
	if err := os.WriteFile(doc, read(t, "before.md"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := do([]string{"-in", "testdata/output.txt", "-doc", doc, "-svg", svg}, io.Discard); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{doc: "after.md", svg: "chart.svg"} {
		got, err := os.ReadFile(name)
		if err != nil || !bytes.Equal(got, read(t, want)) {
			t.Errorf("%s is not %s: %v", filepath.Base(name), want, err)
		}
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"-in", "a", "-out", "b"}, "both set"},
		{[]string{"-count", "0"}, "-count is 0"},
		{[]string{"more"}, "unexpected argument"},
		{[]string{"-doc", filepath.Join(dir, "missing.md")}, "no such file"},
		{[]string{"-doc", svg}, "want a line"},
		{[]string{"-in", filepath.Join(dir, "missing.txt"), "-doc", doc}, "no such file"},
	} {
		if err := do(tt.args, io.Discard); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("do(%q) = %v, want an error with %q", tt.args, err, tt.want)
		}
	}
}
