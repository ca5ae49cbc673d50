package mutate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/scanner"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// A Package is what is mutated: all Go files of a package but its tests.
type Package struct {
	Path    string
	Dir     string
	Mutants []*Mutant

	name    string
	sources map[string][]byte // by the name of the file in the repository
	paths   map[string]string // where they are
	exports map[string]string // of what it imports
}

type listed struct {
	ImportPath, Name, Dir, Export string
	GoFiles                       []string
	DepOnly                       bool
}

// Load finds the mutants of the package in a folder of the repository at root.
func Load(root, dir string) (*Package, error) {
	out, err := output(dir, "go", "list", "-deps", "-export", "-json=ImportPath,Name,Dir,Export,GoFiles,DepOnly", ".")
	if err != nil {
		return nil, err
	}
	p := &Package{sources: map[string][]byte{}, paths: map[string]string{}, exports: map[string]string{}}
	var files []string
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var l listed
		if err := decoder.Decode(&l); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("reading the output of go list: %w", err)
		}
		p.exports[l.ImportPath] = l.Export
		if !l.DepOnly {
			p.Path, p.Dir, p.name, files = l.ImportPath, l.Dir, l.Name, l.GoFiles
		}
	}
	for _, file := range files {
		full := filepath.Join(p.Dir, file)
		name, err := filepath.Rel(root, full)
		if err != nil {
			return nil, err
		}
		name = filepath.ToSlash(name)
		if p.sources[name], err = os.ReadFile(full); err != nil {
			return nil, err
		}
		p.paths[name] = full
	}
	return p, p.find()
}

// find fills Mutants.
func (p *Package) find() error {
	files, parsed, info, pkg, errs := p.check(p.sources)
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	functions := map[*Mutant]string{}
	for _, file := range parsed {
		name := files.Position(file.FileStart).Filename
		f := &finder{name: name, source: p.sources[name], file: file, files: files, info: info, pkg: pkg}
		f.find()
		p.Mutants = append(p.Mutants, f.mutants...)
		for m, text := range f.functions {
			functions[m] = text
		}
	}
	number(p.Mutants, functions)
	return p.dropSwitches()
}

// dropSwitches takes their switches from mutants whose switches don't compile.
func (p *Package) dropSwitches() error {
	for range 20 {
		_, _, _, _, errs := p.check(p.Switched())
		if len(errs) == 0 {
			return nil
		}
		for _, err := range errs {
			position, ok := positionOf(err)
			if !ok {
				return err
			}
			for _, m := range p.Mutants {
				if m.File == position.Filename && m.switchOn(p.sources[m.File], position.Line) {
					m.edits = nil
				}
			}
		}
	}
	return fmt.Errorf("mutate: %s does not compile with switches", p.Path)
}

func positionOf(err error) (token.Position, bool) {
	if wrong, ok := errors.AsType[types.Error](err); ok {
		return wrong.Fset.Position(wrong.Pos), true
	}
	if wrong, ok := errors.AsType[scanner.ErrorList](err); ok && len(wrong) > 0 {
		return wrong[0].Pos, true
	}
	return token.Position{}, false
}

// switchOn reports whether an edit of a mutant is on a line.
func (m *Mutant) switchOn(source []byte, line int) bool {
	for _, e := range m.edits {
		if 1+bytes.Count(source[:e.at], []byte("\n")) == line {
			return true
		}
	}
	return false
}

// Switched returns the files of the package with the switches of all mutants, by
// their names in the repository.
func (p *Package) Switched() map[string][]byte {
	files := map[string][]byte{switchFile: []byte("package " + p.name + "\n" + switches)}
	for name, source := range p.sources {
		var mutants []*Mutant
		for _, m := range p.Mutants {
			if m.File == name {
				mutants = append(mutants, m)
			}
		}
		files[name] = switched(source, mutants)
	}
	return files
}

// switchFile is the name of the file that declares the switches.
const switchFile = "zz_mutant_switches.go"

// check parses and type-checks files.
func (p *Package) check(sources map[string][]byte) (files *token.FileSet, parsed []*ast.File, info *types.Info, pkg *types.Package, errs []error) {
	files = token.NewFileSet()
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		file, err := parser.ParseFile(files, name, sources[name], parser.SkipObjectResolution)
		if err != nil {
			return nil, nil, nil, nil, []error{err}
		}
		parsed = append(parsed, file)
	}
	info = &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{
		Importer: importer.ForCompiler(files, "gc", func(path string) (io.ReadCloser, error) { return p.export(path) }),
		Error:    func(err error) { errs = append(errs, err) },
	}
	pkg, _ = config.Check(p.Path, files, parsed, info) // its error is the first of errs
	return files, parsed, info, pkg, errs
}

// export opens the export data of an imported package; of the standard library too,
// since the switches import some of it.
func (p *Package) export(path string) (io.ReadCloser, error) {
	if p.exports[path] == "" {
		out, err := output(p.Dir, "go", "list", "-export", "-f", "{{.Export}}", path)
		if err != nil {
			return nil, err
		}
		p.exports[path] = strings.TrimSpace(string(out))
	}
	return os.Open(p.exports[path])
}

// output runs a command and returns what it prints.
func output(dir, name string, args ...string) ([]byte, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil, fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, exit.Stderr)
	}
	return out, err
}
