package mutate

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// A binary is the compiled tests of a folder.
type binary struct{ file, dir string }

// build compiles the tests of folders, with files of the package replaced by
// others. Folders without tests have no binary; at least one has.
func build(p *Package, files map[string][]byte, folders []string, scratch string) ([]binary, error) {
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
	var binaries []binary
	for i, folder := range folders {
		file := filepath.Join(scratch, "tests"+strconv.Itoa(i))
		if _, err := output(folder, "go", "test", "-c", "-vet=off", "-overlay", overlayFile, "-o", file, "."); err != nil {
			return nil, err
		}
		if _, err := os.Stat(file); err == nil {
			binaries = append(binaries, binary{file, folder})
		}
	}
	if len(binaries) == 0 {
		return nil, fmt.Errorf("mutate: no tests in %v", folders)
	}
	return binaries, nil
}
