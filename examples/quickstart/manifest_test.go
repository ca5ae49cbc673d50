package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
)

// summaries says of each document where it stood and what came of it.
func summaries(docs []document) []string {
	var all []string
	for _, d := range docs {
		line := d.where() + ": "
		switch {
		case d.err != nil:
			line += "error: " + d.err.Error()
		case d.skipped:
			line += "skipped " + d.kind.Kind + " " + d.name
		case d.unchecked != "":
			line += "unchecked " + d.kind.Kind + " " + d.name + " " + d.unchecked
		default:
			line += d.kind.Kind + " " + d.name
			if podTemplate(d.object) != nil {
				line += " with a pod template"
			}
		}
		all = append(all, line)
	}
	return all
}

func TestReadDocuments(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
	}{
		{name: "nothing", text: "", want: nil},
		{name: "comments only", text: "# nothing here\n---\n# nor here\n", want: nil},
		{name: "several documents",
			text: "---\n# comment\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: shop}\n",
			want: []string{"in:3: Namespace shop", "in:7: Pod shop/p"}},
		{name: "markers with comments, text, carriage returns and an end",
			text: "--- # first\r\napiVersion: v1\r\nkind: Pod\r\nmetadata: {name: a}\r\n...\r\n--- {apiVersion: v1, kind: Pod, metadata: {name: b}}\r\n---\r\n",
			want: []string{"in:2: Pod a", "in:6: Pod b"}},
		{name: "a marker inside of a text",
			text: "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData:\n  cert: |\n    ---BEGIN\n    ---\n",
			want: []string{"in:1: Secret s"}},
		{name: "byte order mark", text: "\ufeffapiVersion: v1\nkind: Pod\nmetadata: {name: a}\n",
			want: []string{"in:1: Pod a"}},
		{name: "JSON values one after the other",
			text: `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}` + "\n" + `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"b"}}`,
			want: []string{"in:1: Pod a", "in:2: Pod b"}},
		{name: "UTF-16", text: utf16Of("\ufeff", binary.LittleEndian) + utf16Of("apiVersion: v1\r\nkind: Pod\r\nmetadata: {name: ä}\r\n---\r\napiVersion: v1\r\nkind: Pod\r\nmetadata: {name: b}\r\n", binary.LittleEndian),
			want: []string{"in:1: Pod ä", "in:5: Pod b"}},
		{name: "UTF-16, big end first", text: utf16Of("\ufeff{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\"}}", binary.BigEndian),
			want: []string{"in:1: Pod a"}},
		{name: "byte order marks of files that were joined", text: "---\n\ufeffapiVersion: v1\nkind: Pod\nmetadata: {name: a}\n\ufeff---\napiVersion: v1\nkind: Pod\nmetadata: {name: b}\n",
			want: []string{"in:2: Pod a", "in:6: Pod b"}},
		{name: "YAML in braces", text: "{apiVersion: v1, kind: Pod, metadata: {name: a}}",
			want: []string{"in:1: Pod a"}},
		{name: "every kind with a pod template",
			text: manifestsOf("v1/PodTemplate", "v1/ReplicationController", "apps/v1/Deployment", "apps/v1/StatefulSet",
				"apps/v1/DaemonSet", "apps/v1/ReplicaSet", "batch/v1/Job", "batch/v1/CronJob"),
			want: []string{
				"in:2: PodTemplate x with a pod template",
				"in:6: ReplicationController x with a pod template",
				"in:11: Deployment x with a pod template",
				"in:15: StatefulSet x with a pod template",
				"in:19: DaemonSet x with a pod template",
				"in:23: ReplicaSet x with a pod template",
				"in:27: Job x with a pod template",
				"in:31: CronJob x with a pod template",
			}},
		{name: "unknown kinds, groups and versions",
			text: manifestsOf("v1/Service", "apps/v1beta1/Deployment", "example.com/v1/Pod", "v1/pod"),
			want: []string{
				"in:2: skipped Service x",
				"in:6: unchecked Deployment x apps/v1beta1 was removed in Kubernetes v1.16, use apps/v1",
				"in:10: skipped Pod x",
				`in:14: error: no kind "pod" in version "v1"`,
			}},
		{name: "a List",
			text: "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: a}}\n- {apiVersion: v1, kind: Service, metadata: {name: b}}\n- {kind: Pod}\n- 7\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: c}\n",
			want: []string{
				"in:1, item 1: Pod a",
				"in:1, item 2: skipped Service b",
				"in:1, item 3: error: not a Kubernetes object: apiVersion and kind are required",
				"in:1, item 4: error: not a Kubernetes object: want a mapping with apiVersion and kind",
				"in:9: Pod c",
			}},
		{name: "a typed list whose items leave their kind to it",
			text: `{"apiVersion":"v1","kind":"PodList","items":[{"metadata":{"name":"a","namespace":"n"}}]}`,
			want: []string{"in:1, item 1: Pod n/a"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := summaries(readDocuments("in", strings.NewReader(tt.text)))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("readDocuments() (-want +got):\n%s", diff)
			}
		})
	}
}

func utf16Of(text string, order binary.AppendByteOrder) string {
	var b []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		b = order.AppendUint16(b, unit)
	}
	return string(b)
}

// Only documents are counted.
func TestNumbers(t *testing.T) {
	docs := readDocuments("in", strings.NewReader("# licence\n---\na: b\n---\n# nothing\n---\n---\nnull\n---\nc: d\n---\ne:: f: g\n"))
	var got []int
	for _, d := range docs {
		got = append(got, d.number, d.line)
	}
	if want := []int{1, 3, 2, 10, 3, 12}; !slices.Equal(got, want) {
		t.Errorf("got the numbers and lines %v, want %v", got, want)
	}
}

// manifestsOf returns one document for each version/Kind.
func manifestsOf(kinds ...string) string {
	var b strings.Builder
	for _, k := range kinds {
		version, kind := path.Split(k)
		fmt.Fprintf(&b, "---\napiVersion: %s\nkind: %s\nmetadata: {name: x}\n", path.Clean(version), kind)
		if kind == "ReplicationController" { // the one whose template is optional
			b.WriteString("spec: {template: {}}\n")
		}
	}
	return b.String()
}

func TestReadDocumentsGoesOnAfterABadOne(t *testing.T) {
	const good = "apiVersion: v1\nkind: Pod\nmetadata: {name: good}\n"
	tests := []struct {
		name, bad, reason string
	}{
		{"not YAML", "a: b: c\n", "mapping values are not allowed"},
		{"tab", "kind: Pod\n\tapiVersion: v1\n", "tab character"},
		{"no kind", "apiVersion: v1\n", "apiVersion and kind are required"},
		{"no version", "kind: Pod\n", "apiVersion and kind are required"},
		{"a scalar", "just words\n", "want a mapping"},
		{"a sequence", "- kind: Pod\n", "want a mapping"},
		{"kind of another type", "apiVersion: v1\nkind: [Pod]\n", "field kind: got a JSON array"},
		{"a name twice", "apiVersion: v1\nkind: Pod\nkind: Secret\n", `"kind" already set`},
		{"a name twice in JSON", `{"apiVersion":"v1","kind":"Pod","kind":"Secret"}` + "\n", `"kind" already set`},
		{"cut JSON", `{"apiVersion":"v1",` + "\n", "unexpected EOF"},
		{"unknown field", "apiVersion: v1\nkind: Pod\nspec: {serviceAccountname: x}\n", `unknown field "spec.serviceAccountname"`},
		{"field of another type", "apiVersion: v1\nkind: Pod\nspec: {containers: web}\n", "cannot unmarshal string into Go struct field"},
		{"not base64", "apiVersion: v1\nkind: Secret\ndata: {password: 'hunter2!'}\n", "illegal base64 data"},
		{"unknown escape", "apiVersion: v1\nkind: \"\\q\"\n", "unknown escape"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			docs := readDocuments("in", strings.NewReader(good+"---\n"+tt.bad+"---\n"+good))
			if len(docs) != 3 || docs[0].err != nil || docs[2].err != nil || docs[2].number != 3 {
				t.Fatalf("got %q, want a good document, a bad one and a good one", summaries(docs))
			}
			if err := docs[1].err; err == nil || !strings.Contains(err.Error(), tt.reason) {
				t.Errorf("got the error %v, want one with %q", err, tt.reason)
			} else if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error repeats a Secret's value: %v", err)
			}
		})
	}
}

func TestReadManifests(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{
		"b.yaml":          "apiVersion: v1\nkind: Pod\nmetadata: {name: b}\n",
		"a.json":          `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}`,
		"notes.txt":       "not a manifest",
		"deeper/c.yml":    "apiVersion: v1\nkind: Pod\nmetadata: {name: c}\n",
		"deeper/bad.yaml": "{",
	} {
		file := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(folder, link); err != nil {
		t.Fatal(err)
	}
	empty := t.TempDir()

	docs := readManifests([]string{link, "-", "missing.yaml", empty, filepath.Join(folder, "b.yaml")},
		strings.NewReader("apiVersion: v1\nkind: Pod\nmetadata: {name: stdin}\n"))
	got := summaries(docs)
	for i := range got {
		got[i] = strings.NewReplacer(link, "LINK", folder, "FOLDER", empty, "EMPTY").Replace(got[i])
	}
	want := []string{
		"LINK/a.json:1: Pod a",
		"LINK/b.yaml:1: Pod b",
		"LINK/deeper/bad.yaml:1: error: line 1: unexpected EOF",
		"LINK/deeper/c.yml:1: Pod c",
		"standard input:1: Pod stdin",
		"missing.yaml: error: no such file or directory",
		"EMPTY: error: no .yaml, .yml or .json file in this folder",
		"FOLDER/b.yaml:1: Pod b",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("readManifests() (-want +got):\n%s", diff)
	}
}

func TestReadDocumentsReportsItsReader(t *testing.T) {
	broken := errors.New("broken pipe")
	if docs := readDocuments("in", iotest.ErrReader(broken)); len(docs) != 1 || !errors.Is(docs[0].err, broken) {
		t.Errorf("got %q, want the reader's error", summaries(docs))
	}
	docs := readDocuments("in", strings.NewReader(strings.Repeat(" ", maxManifest+1)))
	if len(docs) != 1 || docs[0].err == nil || docs[0].err.Error() != "larger than 16777216 bytes" {
		t.Errorf("got %q, want an error about the size", summaries(docs))
	}
}

// Whatever a manifest holds, reading it ends and every document says what came of
// it. Only an error about the whole file has no number.
func FuzzReadDocuments(f *testing.F) {
	f.Add("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\n{\"kind\":\"List\",\"apiVersion\":\"v1\",\"items\":[{}]}")
	f.Add("--- a\n...\n--- \n{}")
	f.Add("kind: Pod\n\x00")
	f.Add("\xff\xfea\x00:\x00 \x00b\x00\x00\xd8")
	f.Add("# a\n\ufeff---\n{a: b}\rc: *d\n% if\n... # e\nimage: {A}/b")
	f.Fuzz(func(t *testing.T, text string) {
		for _, d := range readDocuments("in", strings.NewReader(text)) {
			if d.number == 0 && d.err == nil {
				t.Errorf("document without a number: %q", summaries([]document{d}))
			}
			if outcomes := btoi(d.err != nil) + btoi(d.skipped) + btoi(d.unchecked != "") + btoi(d.object != nil); outcomes != 1 {
				t.Errorf("document with %d outcomes: %q", outcomes, summaries([]document{d}))
			}
		}
	})
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
