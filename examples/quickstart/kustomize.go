package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"sigs.k8s.io/yaml"
)

// A patchSet is the files that kustomizations change others with: which one names each.
type patchSet map[string]string

// add adds the patches that the kustomization called name lists. One that can't be read
// lists none: it is reported for itself.
func (p patchSet) add(name string) {
	if info, err := os.Stat(name); err != nil || !info.Mode().IsRegular() { // a pipe would be waited for
		return
	}
	f, err := os.Open(name)
	if err != nil {
		return
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxManifest))
	var k struct {
		Patches               []struct{ Path string }
		PatchesStrategicMerge []string
		PatchesJSON6902       []struct{ Path string } `json:"patchesJson6902"`
	}
	if err != nil || yaml.Unmarshal(data, &k) != nil {
		return
	}
	for _, patch := range append(k.Patches, k.PatchesJSON6902...) {
		k.PatchesStrategicMerge = append(k.PatchesStrategicMerge, patch.Path)
	}
	for _, path := range k.PatchesStrategicMerge { // of those that are no path there is no file
		p[filepath.Join(filepath.Dir(name), path)] = name
	}
}

// mark says of the documents of patches what they are: parts of objects, which nobody
// applies as they are.
func (p patchSet) mark(all []document) {
	for i := range all {
		d := &all[i]
		if by := p[d.source]; by != "" {
			d.template = "a patch of " + by + ": build that first (kubectl kustomize)"
			d.object, d.unchecked, d.skipped, d.err = nil, "", false, errors.New("it is not an object of its own")
		}
	}
}
