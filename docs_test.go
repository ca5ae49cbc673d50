package serviceaccount_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

// What the documents call by a qualified name, such as tokens.Issuer or
// admission.Config.Strict, exists, in whatever package of the repository.
func TestDocumentsNameWhatExists(t *testing.T) {
	exported := exportedNames(t)
	for _, name := range []string{"serviceaccount", "admission", "tokens", "tokenreview", "externalgrpc", "manager", "apiserver", "clientgo", "controllerruntime"} {
		if len(exported[name]) == 0 {
			t.Errorf("found no exported names of package %s", name)
		}
	}
	qualified := regexp.MustCompile(`\b([a-z]\w*)\.([A-Z]\w*(?:\.[A-Z]\w*)?)`)
	found := 0
	for _, document := range documents(t) {
		if document == "docs/behavior.md" {
			continue // names tests only, and TestBehaviorIsListed checks them
		}
		for _, n := range qualified.FindAllStringSubmatch(readFile(t, document), -1) {
			names, ours := exported[n[1]]
			if !ours || strings.HasPrefix(n[2], "Test") || strings.HasPrefix(n[2], "Fuzz") {
				continue // TestDeviationsAreTested looks for tests
			}
			found++
			if !names[n[2]] {
				t.Errorf("%s names %s.%s, which does not exist", document, n[1], n[2])
			}
		}
	}
	if found < 60 {
		t.Errorf("the documents name %d things, want at least 60: is the pattern still right?", found)
	}
}

// exportedNames returns the names that the packages of the repository declare, by
// the packages' names: functions, types, constants and variables, and Type.Field
// and Type.Method.
func exportedNames(t *testing.T) map[string]map[string]bool {
	t.Helper()
	exported := map[string]map[string]bool{}
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, entry fs.DirEntry, err error) error {
		switch base := path.Base(name); {
		case err != nil:
			return err
		case entry.IsDir() && (base == "internal" || base == "testdata" || base == "examples" || base != "." && base[0] == '.'):
			return fs.SkipDir
		case entry.IsDir() || path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil || parsed.Name.Name == "main" {
			return err
		}
		if exported[parsed.Name.Name] == nil {
			exported[parsed.Name.Name] = map[string]bool{}
		}
		for _, declaration := range parsed.Decls {
			addNames(exported[parsed.Name.Name], declaration)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return exported
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
			switch generic := kind.(type) {
			case *ast.IndexExpr:
				kind = generic.X
			case *ast.IndexListExpr:
				kind = generic.X
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
				var members *ast.FieldList
				switch kind := s.Type.(type) {
				case *ast.StructType:
					members = kind.Fields
				case *ast.InterfaceType:
					members = kind.Methods
				default:
					continue
				}
				for _, member := range members.List {
					for _, name := range member.Names {
						names[s.Name.Name+"."+name.Name] = true
					}
				}
			}
		}
	}
}
