package serviceaccount_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
)

// What the documents call by a qualified name, such as `tokens.Issuer` or
// `admission.Config.Strict`, exists.
func TestDocumentsNameWhatExists(t *testing.T) {
	name := regexp.MustCompile("`(admission|fake|keys|sacontroller|tokens)\\.([A-Z]\\w*(?:\\.[A-Z]\\w*)?)`")
	exported := map[string]map[string]bool{}
	found := 0
	for _, document := range documents(t) {
		if document == "docs/behavior.md" {
			continue // names tests only, and TestBehaviorIsListed checks them
		}
		for _, n := range name.FindAllStringSubmatch(readFile(t, document), -1) {
			if strings.HasPrefix(n[2], "Test") {
				continue // TestDeviationsAreTested looks for those
			}
			if exported[n[1]] == nil {
				exported[n[1]] = exportedNames(t, n[1])
			}
			found++
			if !exported[n[1]][n[2]] {
				t.Errorf("%s names %s.%s, which does not exist", document, n[1], n[2])
			}
		}
	}
	if found < 20 {
		t.Errorf("the documents name %d things, want at least 20: is the pattern still right?", found)
	}
}

// exportedNames returns the names of a package's functions, types, constants and
// variables, and Type.Field and Type.Method.
func exportedNames(t *testing.T, folder string) map[string]bool {
	t.Helper()
	files, err := fs.Glob(os.DirFS("."), folder+"/*.go")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, declaration := range parsed.Decls {
			addNames(names, declaration)
		}
	}
	return names
}

func addNames(names map[string]bool, declaration ast.Decl) {
	switch d := declaration.(type) {
	case *ast.FuncDecl:
		receiver := ""
		if d.Recv != nil {
			kind := d.Recv.List[0].Type
			if star, ok := kind.(*ast.StarExpr); ok {
				kind = star.X
			}
			if ident, ok := kind.(*ast.Ident); ok {
				receiver = ident.Name + "."
			}
		}
		names[receiver+d.Name.Name] = true
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.ValueSpec:
				for _, name := range s.Names {
					names[name.Name] = true
				}
			case *ast.TypeSpec:
				names[s.Name.Name] = true
				if fields, ok := s.Type.(*ast.StructType); ok {
					for _, field := range fields.Fields.List {
						for _, name := range field.Names {
							names[s.Name.Name+"."+name.Name] = true
						}
					}
				}
			}
		}
	}
}
