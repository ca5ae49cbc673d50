package serviceaccount_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
)

// Every type with methods and state of its own says whether it is safe for concurrent
// use.
func TestTypesSayIfConcurrent(t *testing.T) {
	found := 0
	for folder, types := range publishedTypes(t) {
		for name, kind := range types {
			if !kind.methods || !kind.state {
				continue
			}
			found++
			if !strings.Contains(kind.doc, "concurren") {
				t.Errorf("%s: the comment of %s doesn't say whether it is safe for concurrent use", folder, name)
			}
		}
	}
	if found < 50 {
		t.Errorf("found %d types, want at least 50", found)
	}
}

// A publishedType is an exported struct.
type publishedType struct {
	doc     string
	state   bool // it has fields that aren't exported
	methods bool // exported ones with a pointer receiver, other than those that print
}

// publishedTypes returns the exported structs of all published packages, by folder and
// name.
func publishedTypes(t *testing.T) map[string]map[string]*publishedType {
	t.Helper()
	all := map[string]map[string]*publishedType{}
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, entry fs.DirEntry, err error) error {
		switch base := path.Base(name); {
		case err != nil:
			return err
		case entry.IsDir() && (base == "internal" || base == "testdata" || base == "examples" || base != "." && base[0] == '.'):
			return fs.SkipDir
		case entry.IsDir() || path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		folder := path.Dir(name)
		if all[folder] == nil {
			all[folder] = map[string]*publishedType{}
		}
		of := func(name string) *publishedType {
			if all[folder][name] == nil {
				all[folder][name] = &publishedType{}
			}
			return all[folder][name]
		}
		for _, declaration := range parsed.Decls {
			switch d := declaration.(type) {
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if s, ok := spec.(*ast.TypeSpec); ok && s.Name.IsExported() {
						of(s.Name.Name).doc = d.Doc.Text() + s.Doc.Text()
						of(s.Name.Name).state = hasState(s.Type)
					}
				}
			case *ast.FuncDecl:
				if receiver := pointerReceiver(d); receiver != "" {
					of(receiver).methods = true
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func hasState(kind ast.Expr) bool {
	s, ok := kind.(*ast.StructType)
	return ok && slices.ContainsFunc(s.Fields.List, func(field *ast.Field) bool {
		return slices.ContainsFunc(field.Names, func(name *ast.Ident) bool { return !name.IsExported() })
	})
}

// printing are the methods by which values of any kind are printed.
var printing = []string{"Error", "Format", "Is", "LogValue", "MarshalText", "String", "Unwrap"}

// pointerReceiver returns the type of which d is a method that may change it, or is
// empty.
func pointerReceiver(d *ast.FuncDecl) string {
	if d.Recv == nil || !d.Name.IsExported() || slices.Contains(printing, d.Name.Name) {
		return ""
	}
	star, ok := d.Recv.List[0].Type.(*ast.StarExpr)
	if !ok {
		return ""
	}
	kind := star.X
	if generic, ok := kind.(*ast.IndexExpr); ok {
		kind = generic.X
	}
	name, ok := kind.(*ast.Ident)
	if !ok || !name.IsExported() {
		return ""
	}
	return name.Name
}
