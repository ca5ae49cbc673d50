package serviceaccount_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// What a library leaves to the program that imports it.
var programsOnly = []string{"expvar", "flag", "log", "os/exec", "os/signal"}

// The library has no init function, writes no log and reads no flag; every
// package says what it is for, and every exported name too.
func TestLibraryHygiene(t *testing.T) {
	files := libraryFiles(t)
	if len(files) < 50 {
		t.Fatalf("found %d files of the library, want at least 50", len(files))
	}
	documented := map[string]bool{}
	for name, file := range files {
		folder := filepath.Dir(name)
		documented[folder] = documented[folder] || file.Doc != nil
		for _, spec := range file.Imports {
			if path, err := strconv.Unquote(spec.Path.Value); err != nil || slices.Contains(programsOnly, path) {
				t.Errorf("%s imports %s, which is for programs", name, spec.Path.Value)
			}
		}
		checkSlog(t, name, file)
		for _, declaration := range file.Decls {
			checkDeclaration(t, name, declaration)
		}
	}
	for folder, ok := range documented {
		if !ok {
			t.Errorf("package %s has no comment", folder)
		}
	}
}

func checkDeclaration(t *testing.T, file string, declaration ast.Decl) {
	t.Helper()
	switch d := declaration.(type) {
	case *ast.FuncDecl:
		switch {
		case d.Recv == nil && d.Name.Name == "init":
			t.Errorf("%s has an init function", file)
		case d.Recv == nil && d.Name.IsExported() && d.Doc == nil:
			t.Errorf("%s: %s has no comment", file, d.Name.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			if s, ok := spec.(*ast.TypeSpec); ok && s.Name.IsExported() && d.Doc == nil && s.Doc == nil {
				t.Errorf("%s: type %s has no comment", file, s.Name.Name)
			}
		}
	}
}

// libraryFiles parses the Go files of the root module that importers link.
func libraryFiles(t *testing.T) map[string]*ast.File {
	t.Helper()
	files := map[string]*ast.File{}
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			_, modErr := os.Stat(filepath.Join(path, "go.mod"))
			if path != "." && (modErr == nil || path == "examples" || strings.HasPrefix(path, ".") || entry.Name() == "testdata") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		files[path], err = parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// Of log/slog the library uses what describes a value, and nothing that logs.
func checkSlog(t *testing.T, name string, file *ast.File) {
	t.Helper()
	values := []string{"Attr", "AnyValue", "GroupValue", "LogValuer", "String", "StringValue", "TimeValue", "Value"}
	ast.Inspect(file, func(n ast.Node) bool {
		if selector, ok := n.(*ast.SelectorExpr); ok {
			if pkg, ok := selector.X.(*ast.Ident); ok && pkg.Name == "slog" && !slices.Contains(values, selector.Sel.Name) {
				t.Errorf("%s uses slog.%s, want only values of log/slog", name, selector.Sel.Name)
			}
		}
		return true
	})
}
