package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A patch that a kustomization names is nothing that is applied: it is neither denied nor
// does it create anything. The same file elsewhere is a manifest.
func TestKustomizePatches(t *testing.T) {
	const pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers: [{name: c}]\n"
	const account = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a}\n"
	folder := t.TempDir()
	for name, text := range map[string]string{
		"base/kustomization.yaml": "resources: [../own.yaml]\npatches:\n- path: merge.yaml\n- path: ../up.yml\n- patch: |\n    kind: Pod\n" +
			"patchesStrategicMerge:\n- old.yaml\n- |\n  kind: Pod\npatchesJson6902:\n- path: ops.json\n  target: {kind: Pod}\n",
		"base/merge.yaml":              pod,
		"base/old.yaml":                account + "---\n" + pod,
		"base/ops.json":                `[{"op": "remove", "path": "/spec"}]`,
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
	patch := "It looks like a patch of " + filepath.Join(folder, "base/kustomization.yaml") + ": build that first (kubectl kustomize)."
	got := map[string][]outcome{}
	for _, f := range findings {
		name, _ := filepath.Rel(folder, f.source)
		got[name] = append(got[name], f.outcome)
		isPatch := name == "base/merge.yaml" || name == "base/old.yaml" || name == "base/ops.json" || name == "up.yml"
		if strings.HasPrefix(f.reason, patch) != isPatch || isPatch && f.outcome != template {
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
