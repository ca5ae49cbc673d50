package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// kustomizeGroup is the API group of kustomizations, which no server has.
const kustomizeGroup = "kustomize.config.k8s.io"

// isKustomization reports whether d is a kustomization, whose kind may be left out.
func isKustomization(d document) bool {
	name := strings.ToLower(filepath.Base(d.source))
	return d.kind.Group == kustomizeGroup || d.kind.Kind == "" && (name == "kustomization.yaml" || name == "kustomization.yml")
}

// kustomizeParts is the files of which kustomizations make others, and which are no
// manifests of their own: which kustomization names each.
type kustomizeParts map[string]string

// add adds the files that the kustomization called name lists. One that can't be read
// lists none: it is reported for itself.
func (p kustomizeParts) add(name string) {
	if info, err := os.Stat(name); err != nil || !info.Mode().IsRegular() { // a pipe would be waited for
		return
	}
	f, err := os.Open(name)
	if err != nil {
		return
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxManifest))
	type file struct{ Path, ValuesFile string }
	type source struct{ Files, Envs []string }
	var k struct {
		Patches, Replacements []file
		PatchesJSON6902       []file `json:"patchesJson6902"`
		HelmCharts            []file
		OpenAPI               file
		ConfigMapGenerator    []source
		SecretGenerator       []source

		PatchesStrategicMerge, Transformers, Generators, Validators, Configurations []string
	}
	if err != nil || yaml.Unmarshal(data, &k) != nil {
		return
	}
	paths := slices.Concat(k.PatchesStrategicMerge, k.Transformers, k.Generators, k.Validators, k.Configurations)
	for _, f := range slices.Concat(k.Patches, k.Replacements, k.PatchesJSON6902, k.HelmCharts, []file{k.OpenAPI}) {
		paths = append(paths, f.Path, f.ValuesFile)
	}
	for _, s := range slices.Concat(k.ConfigMapGenerator, k.SecretGenerator) {
		for _, f := range slices.Concat(s.Files, s.Envs) {
			paths = append(paths, f[strings.Index(f, "=")+1:]) // a key may stand before it
		}
	}
	for _, path := range paths { // of those that are no path there is no file
		p[filepath.Join(filepath.Dir(name), path)] = name
	}
}

// mark says of the documents of parts what they are: nobody applies them as they are.
func (p kustomizeParts) mark(all []document) {
	for i := range all {
		d := &all[i]
		if by := p[d.source]; by != "" {
			d.template = "a part of " + by + ": build that first (kubectl kustomize)"
			d.object, d.unchecked, d.skipped, d.err = nil, "", false, errors.New("it is not an object of its own")
		}
	}
}
