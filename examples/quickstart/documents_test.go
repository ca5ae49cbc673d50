package main

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// Line numbers are those of the file, wherever the document stands in it.
func TestLineNumbers(t *testing.T) {
	const good = "apiVersion: v1\nkind: Pod\nmetadata: {name: good}\n" // three lines
	tests := []struct {
		name, text string
		want       string // contained in the only error
	}{
		{"first document", "kind: Pod\n\tx: y\n", "yaml: line 2: found a tab character"},
		{"second document", good + "---\nkind: Pod\n\tx: y\n", "yaml: line 6: found a tab character"},
		{"after a leading marker", "---\nkind: Pod\n\tx: y\n", "yaml: line 3: found a tab character"},
		{"after comments and empty documents", "# a\n---\n# b\n---\n\n# c\nkind: Pod\n\tx: y\n", "yaml: line 8: found a tab character"},
		{"carriage returns", strings.ReplaceAll(good+"---\nkind: Pod\n\tx: y\n", "\n", "\r\n"), "yaml: line 6: found a tab character"},
		{"a byte order mark", "\ufeff" + good + "---\nkind: Pod\n\tx: y\n", "yaml: line 6: found a tab character"},
		{"after an end", good + "...\n" + "kind: Pod\n\tx: y\n", "yaml: line 6: found a tab character"},
		{"text after the marker", good + "--- # second\nkind: Pod\n\tx: y\n", "yaml: line 6: found a tab character"},
		{"a name twice", good + "---\napiVersion: v1\nkind: Pod\nkind: Pod\n", "line 7: key \"kind\" already set in map"},
		{"names twice", good + "---\nkind: Pod\nkind: Pod\napiVersion: v1\napiVersion: v1\n", "line 8: key \"apiVersion\" already set in map"},
		{"JSON", good + "---\n{\n  \"kind\": \"Pod\",,\n}\n", "line 6: invalid character ','"},
		{"JSON that ends early", good + "---\n{\n  \"kind\":\n", "line 6: unexpected EOF"},
		{"a second JSON value", "{\"apiVersion\": \"v1\", \"kind\": \"Pod\"}\n\n{\n\"a\": 1,\n\"a\": 2}\n", "line 5: key \"a\" already set in map"},
		{"what the parser counts from 0", good + "---\nkind: Pod\nimage: {REGISTRY}/x\n", "yaml: line 6: did not find expected key"},
		{"what the parser counts from 0, an indent", good + "---\nl:\n  - a\n b: c\n", "yaml: line 7: did not find expected key"},
		{"the first line, a key", "image: {REGISTRY}/x\n", "yaml: line 1: did not find expected key"},
		{"the first line, a colon", good + "--- a: b: c\n", "yaml: line 4: mapping values are not allowed"},
		{"the first line, a token", "a: @b\n", "yaml: line 1: found character that cannot start any token"},
		{"a control character", good + "---\na: b\nc: \x01\n", "yaml: line 6: control characters are not allowed"},
		{"no UTF-8", good + "---\na: b\nc: \"caf\xe9\"\n", "yaml: line 6: "},
		{"a name twice beside a merge key", good + "---\na: &a {b: c}\nd:\n  <<: *a\n  e: f\n  e: g\n", "line 9: key \"e\" already set in map"},
		{"a name twice in a list beside a merge key", "a: &a {b: c}\nd:\n- <<: *a\n- {e: f, e: g}\n", "line 4: key \"e\" already set in map"},
		{"items that are no list", "apiVersion: v1\nkind: List\nitems: {a: b}\n", "the items of a List are no list"},
		{"no number where there is none", "a: *b\n", "yaml: unknown anchor 'b' referenced"},
		{"a second JSON value that is bad", "{\"apiVersion\": \"v1\", \"kind\": \"Pod\"}\n\n{\n\"a\": x}\n", "line 4: invalid character 'x'"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var errs []string
			for _, d := range readDocuments("in", strings.NewReader(tt.text)) {
				if d.err != nil {
					errs = append(errs, d.err.Error())
				}
			}
			if len(errs) != 1 || !strings.Contains(errs[0], tt.want) {
				t.Errorf("got the errors %q, want one with %q", errs, tt.want)
			}
		})
	}
}

// A mapping overrides what it merges: that is no name twice.
func TestMergeKeys(t *testing.T) {
	const text = `apiVersion: v1
kind: PodList
items:
- metadata: &a {name: a, labels: {x: z}}
  spec: &s {containers: [&c {name: c, image: i}, {<<: *c, name: d}]}
- metadata: {<<: [*a], name: b}
  spec: {<<: *s, <<: *s}
`
	docs := readDocuments("in", strings.NewReader(text))
	if got := summaries(docs); len(docs) != 2 || docs[0].err != nil || docs[1].err != nil || docs[1].name != "b" {
		t.Errorf("got %q, want the Pods a and b", got)
	}
}

// What the parser ignores, here and in kubectl, isn't read as if it weren't there.
func TestIgnoredByTheParser(t *testing.T) {
	const good = "apiVersion: v1\nkind: Pod\nmetadata: {name: good}\n" // three lines
	tests := []struct{ name, text, want string }{
		{"less indented", " apiVersion: v1\n kind: Pod\nspec: {}\n", "yaml: line 3: did not find expected <document start>"},
		{"after quotes", "\"a\"\nspec: {}\n", "yaml: line 2: did not find expected <document start>"},
		{"a line of a Mako template", good + "% if x:\nspec: {}\n", "yaml: line 4: "},
		{"a directive", good + "%YAML 1.1\n---\n" + good, "yaml: line 5: did not find expected <document start>"},
		{"an end with a comment", good + "... # end\n" + good, "yaml: line 5: did not find expected <document start>"},
		{"old line ends", strings.ReplaceAll(good+"---\n"+good, "\n", "\r"), "yaml: a document ends without a line \"---\""},
	}
	for _, tt := range tests {
		docs := readDocuments("in", strings.NewReader(tt.text))
		if docs[0].err == nil || !strings.HasPrefix(docs[0].err.Error(), tt.want) {
			t.Errorf("%s: got %q, want the error %q", tt.name, summaries(docs), tt.want)
		}
	}
	for _, text := range []string{"- " + good, good + "...\n", good + "# ---\n", "--- |\n  ---\n", "%YAML 1.1\n"} {
		if docs := readDocuments("in", strings.NewReader(text)); strings.Contains(summaries(docs)[0], "kubectl ignores") {
			t.Errorf("got %q", summaries(docs))
		}
	}
}

// What is no text is told as what it is.
func TestNotText(t *testing.T) {
	for name, tt := range map[string]struct{ data, want string }{
		"binary":                {"\x7fELF\x00\x00", "not a text file"},
		"UTF-16 without a mark": {"a\x00:\x00", "not a text file"},
		"UTF-16 of a binary":    {"\xff\xfea\x00\x00\x00", "not a text file"},
		"latin 1":               {"kind: Pod\nname: caf\xe9\n", "UTF-8"},
		"control":               {"kind: \x01\n", "control characters are not allowed"},
	} {
		docs := readDocuments("in", strings.NewReader(tt.data))
		if len(docs) != 1 || docs[0].err == nil || !strings.Contains(docs[0].err.Error(), tt.want) {
			t.Errorf("%s: got %q, want an error with %q", name, summaries(docs), tt.want)
		}
	}
}

// Little text doesn't become much work.
func TestBounds(t *testing.T) {
	laughs := "a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n"
	for i := range 9 {
		laughs += fmt.Sprintf("%c: &%c [%s]\n", 'b'+i, 'b'+i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c, ", 'a'+i), 9), ", "))
	}
	long := "a: &a " + strings.Repeat("x", 1<<20) + "\nb: [" + strings.TrimSuffix(strings.Repeat("*a, ", 10_000), ", ") + "]\n"
	nested := "l: &a {v: " + strings.Repeat("x", 1<<10) + "}\n"
	for i := range 20 {
		nested += fmt.Sprintf("m%d: &%c {l: *%c, r: *%c}\n", i, 'b'+i, 'a'+i, 'a'+i)
	}
	tests := []struct{ name, text, want string }{
		{"a billion laughs", laughs, "excessive aliasing"},
		{"a long text many times", long, "aliases expand to more than"},
		{"a text doubled twenty times", nested, "alias"},
		{"an alias of itself", "a: &a [*a]\n", "contains itself"},
		{"deep YAML", strings.Repeat("[", 200_000), "exceeded max depth"},
		{"deep blocks", deepBlocks(20_000), "exceeded max depth"},
		{"deep JSON", strings.Repeat(`{"a":`, 200_000), "exceeded max depth"},
		{"many markers", strings.Repeat("---\n", 500_000) + "a: b\n", "apiVersion and kind are required"},
		{"deep Lists", deepLists(50), "nested too deeply"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			docs := readDocuments("in", strings.NewReader(tt.text))
			runtime.ReadMemStats(&after)
			if len(docs) != 1 || docs[0].err == nil || !strings.Contains(docs[0].err.Error(), tt.want) {
				t.Errorf("got %.200q, want an error with %q", summaries(docs), tt.want)
			}
			if got := after.TotalAlloc - before.TotalAlloc; got > 1<<30 {
				t.Errorf("reading %d bytes has allocated %d", len(tt.text), got)
			}
		})
	}
	// Good documents may use aliases.
	docs := readDocuments("in", strings.NewReader("apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: &l {app: a}, annotations: *l}\n"))
	if len(docs) != 1 || docs[0].err != nil || docs[0].object.GetAnnotations()["app"] != "a" {
		t.Errorf("got %q, want a Pod", summaries(docs))
	}
}

func deepBlocks(depth int) string {
	var b strings.Builder
	for range depth {
		b.WriteString("- ")
	}
	return b.String() + "x\n"
}

func deepLists(depth int) string {
	return strings.Repeat(`{"apiVersion":"v1","kind":"List","items":[`, depth) + strings.Repeat("]}", depth)
}

// An unrendered template says what it is and where.
func TestTemplates(t *testing.T) {
	const pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers: [{name: c, image: i}]\n"
	const sa = "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: "
	tests := []struct {
		name, file, text string
		want             string // contained in the reason; empty for no template
	}{
		{"Helm", "", "# a {{ comment }}\n{{- if .Values.rbac }}\napiVersion: v1\nkind: ServiceAccount\n{{- end }}\n", "a Helm, Go or Jinja template, which has {{ in line 2"},
		{"Helm in the second document", "", pod + "---\nmetadata:\n  name: {{ .Release.Name }}\n", "{{ in line 8"},
		{"Helm, JSON at first", "", "{{ template \"x\" . }}\n", "{{ in line 1"},
		{"Helm in quotes", "", sa + "\"{{ .Release.Name }}\"\n", "which has {{ in this value"},
		{"Jinja", "", "{% for x in y %}\nkind: Pod\n", "a Jinja template, which has {% in line 1"},
		{"ERB", "", "<% if x %>\nkind: Pod\n  a: b\n", "an ERB template, which has <% in line 1"},
		{"envsubst", "", sa + "${NAME}\n", "which has ${ in this value"},
		{"envsubst of a number", "", "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  terminationGracePeriodSeconds: ${SECONDS}\n", "which has ${ in line 5"},
		{"shell", "", sa + "$NAME\n", "which has $NAME in this value"},
		{"kustomize", "", strings.Replace(pod, "containers", "serviceAccountName: $(SA_NAME)\n  containers", 1), "a template of kustomize or OpenShift, which has $( in this value"},
		{"Concourse", "", sa + "((name))\n", "a Concourse template"},
		{"ytt", "", "#@ load(\"@ytt:data\", \"data\")\napiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: #@ data.values.name\n", "a ytt template, which has #@ in line 1"},
		{"placeholders", "", sa + "<your name>\n", "which has <your name> in this value"},
		{"pillars", "", "kind: Pod\n__EXTRA_LINES__\nmetadata:\n", "a template, which has __EXTRA_LINES__ in line 2"},
		{"format", "", "kind: Pod\nimage: {REGISTRY}/x\n", "a template, which has {REGISTRY} in line 2"},
		{"kustomization", "kustomization.yaml", "resources: [a.yaml]\n", "a kustomization"},
		{"kustomization with a kind", "", "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n", "a kustomization"},
		{"component", "", "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n", "a kustomization"},
		{"SOPS", "", "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata:\n  a: ENC[AES256_GCM,data:x]\n", "a file encrypted with SOPS, which has ENC[AES256_GCM, in line 5: decrypt it first"},
		{"SOPS, with its own field", "", "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData:\n  a: ENC[AES256_GCM,data:x]\nsops: {}\n", "a file encrypted with SOPS"},
		{"chart", "charts/x/Chart.yaml", "apiVersion: v2\nname: x\n", "a part of a Helm chart"},

		{"a script in a good pod", "", strings.Replace(pod, "image: i", "image: i, args: [\"echo ${HOME} {{x}} $(date)\"]", 1), ""},
		{"a script in a pod that is denied", "", strings.Replace(pod, "containers: [{", "serviceAccountName: ghost\n  containers: [{args: [\"${HOME}\"], ", 1), ""},
		{"bad name", "", sa + "No_Name\n", ""},
		{"no manifest at all", "", "on: push\njobs: [\"${{ x }}\"]\n", ""},
		{"a patch", "", "- {op: add, path: /x, value: \"${X}\"}\n", ""},
		{"an unknown field beside a script", "", strings.Replace(pod, "image: i", "image: i, args: [\"${HOME}\"], x: y", 1), ""},
		{"an unknown kind beside a script", "", "apiVersion: apps/v1\nkind: Pod\nspec: \"{{x}}\"\n", ""},
		{"a Flux Kustomization", "kustomization.yaml", "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\n", ""},
		{"bad label", "", "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a, labels: {a: \"-\"}}\n", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			source := tt.file
			if source == "" {
				source = "in.yaml"
			}
			p := testPlane(t)
			findings, err := p.review(t.Context(), readDocuments(source, strings.NewReader(tt.text)), "default")
			if err != nil {
				t.Fatal(err)
			}
			last := findings[len(findings)-1]
			if (last.outcome == template) != (tt.want != "") || !strings.Contains(last.reason, tt.want) {
				t.Errorf("got %s: %s\nwant a template: %q", last.outcome, last.reason, tt.want)
			}
			if last.outcome == template && !strings.HasPrefix(last.reason, "It looks like ") {
				t.Errorf("the reason is %q", last.reason)
			}
		})
	}
}
