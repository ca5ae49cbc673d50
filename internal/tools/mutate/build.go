package mutate

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// build compiles the tests of folders, with files of the package replaced by
// others, and returns the binaries in their order.
func build(p *Package, files map[string][]byte, folders []string, scratch string) ([]string, error) {
	replace := map[string]string{}
	for name, source := range files {
		to := p.paths[name]
		if to == "" {
			to = filepath.Join(p.Dir, name)
		}
		from := filepath.Join(scratch, filepath.Base(name))
		if err := os.WriteFile(from, source, 0o600); err != nil {
			return nil, err
		}
		replace[to] = from
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return nil, err
	}
	overlayFile := filepath.Join(scratch, "overlay.json")
	if err := os.WriteFile(overlayFile, overlay, 0o600); err != nil {
		return nil, err
	}
	var binaries []string
	for i, folder := range folders {
		binary := filepath.Join(scratch, "tests"+strconv.Itoa(i))
		if _, err := output(folder, "go", "test", "-c", "-vet=off", "-overlay", overlayFile, "-o", binary, "."); err != nil {
			return nil, err
		}
		if _, err := os.Stat(binary); err != nil {
			return nil, fmt.Errorf("mutate: %s has no tests", folder)
		}
		binaries = append(binaries, binary)
	}
	return binaries, nil
}
