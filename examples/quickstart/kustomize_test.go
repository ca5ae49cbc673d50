package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A file of which a kustomization makes others is nothing that is applied: it is neither
// denied nor does it create anything. The same file elsewhere is a manifest.
func TestKustomizeParts(t *testing.T) {
	const pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers: [{name: c}]\n"
	const account = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a}\n"
	folder := t.TempDir()
	for name, text := range map[string]string{
		"base/kustomization.yaml": "resources: [../own.yaml]\npatches:\n- path: merge.yaml\n- path: ../up.yml\n- patch: |\n    kind: Pod\n" +
			"patchesStrategicMerge:\n- old.yaml\n- |\n  kind: Pod\npatchesJson6902:\n- path: ops.json\n  target: {kind: Pod}\n" +
			"transformers: [labels.yaml]\nreplacements: [{path: replace.yaml}]\nopenapi: {path: openapi.json}\n" +
			"configMapGenerator: [{files: [b.json, key=c.json], envs: [e.json]}]\nhelmCharts: [{valuesFile: my-values.yaml}]\n",
		"base/merge.yaml":              pod,
		"base/old.yaml":                account + "---\n" + pod,
		"base/ops.json":                `[{"op": "remove", "path": "/spec"}]`,
		"base/labels.yaml":             "apiVersion: builtin\nkind: LabelTransformer\n",
		"base/replace.yaml":            "source: {kind: Pod}\n",
		"base/openapi.json":            `{"definitions": {}}`,
		"base/b.json":                  `{"panels": []}`,
		"base/c.json":                  `{"panels": []}`,
		"base/e.json":                  `{"panels": []}`,
		"base/my-values.yaml":          "image: x\n",
		"named/Own.yaml":               "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\npatches: [{path: p.yaml}]\n",
		"named/p.yaml":                 "- {op: remove, path: /spec}\n",
		"up.yml":                       pod,
		"own.yaml":                     account,
		"base/other/merge.yaml":        pod,
		"broken/kustomization.yml":     "patches: {{ .Patches }}\n",
		"elsewhere/kustomization.yaml": "patches: [{path: /etc/passwd}, {path: missing.yaml}]\n",
	} {
		file := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	findings, err := testPlane(t).review(t.Context(), readManifests([]string{folder}, nil), "default")
	if err != nil {
		t.Fatal(err)
	}
	part := func(of string) string {
		return "It looks like a part of " + filepath.Join(folder, of) + ": build that first (kubectl kustomize)."
	}
	parts := map[string]string{"named/p.yaml": part("named/Own.yaml")}
	for _, name := range []string{"merge.yaml", "old.yaml", "ops.json", "../up.yml", "labels.yaml", "replace.yaml", "openapi.json", "b.json", "c.json", "e.json", "my-values.yaml"} {
		parts[filepath.Join("base", name)] = part("base/kustomization.yaml")
	}
	got := map[string][]outcome{}
	for _, f := range findings {
		name, _ := filepath.Rel(folder, f.source)
		got[name] = append(got[name], f.outcome)
		if want, ok := parts[name]; strings.HasPrefix(f.reason, "It looks like a part of") != ok || !strings.HasPrefix(f.reason, want) || ok && f.outcome != template {
			t.Errorf("%s is %s: %s", name, f.outcome, f.reason)
		}
	}
	for name, want := range map[string]outcome{"own.yaml": created, "base/other/merge.yaml": denied} {
		if len(got[name]) != 1 || got[name][0] != want {
			t.Errorf("%s is %v, want %s", name, got[name], want)
		}
	}
	if len(got["base/old.yaml"]) != 2 {
		t.Errorf("of the file with two patches there is %v", got["base/old.yaml"])
	}
}
