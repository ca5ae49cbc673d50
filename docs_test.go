package serviceaccount_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// qualified finds names such as tokenissuer.Issuer and admission.Config.Strict.
var qualified = regexp.MustCompile(`\b([a-z]\w*)\.([A-Z]\w*(?:\.[A-Z]\w*)?)`)

// What the documents call by a qualified name, such as tokenissuer.Issuer or
// admission.Config.Strict, exists, in whatever package of the repository.
func TestDocumentsNameWhatExists(t *testing.T) {
	exported := exportedNames(t)
	for _, name := range []string{"serviceaccount", "admission", "tokens", "tokenreview", "externalgrpc", "manager", "apiserver", "clientgo", "controllerruntime"} {
		if len(exported[name]) == 0 {
			t.Errorf("found no exported names of package %s", name)
		}
	}
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

// So do the names in comments and those in the snippets of comments, with their fields.
func TestCommentsNameWhatExists(t *testing.T) {
	exported := exportedNames(t)
	others := []string{"cached.ServiceAccounts", "manager.Run", "webhook.Error"} // of variables, and of an internal package
	found, snippets := 0, 0
	for name, file := range goFiles(t) {
		for _, comment := range file.Comments {
			text := comment.Text()
			for _, n := range qualified.FindAllStringSubmatch(text, -1) {
				names, ours := exported[n[1]]
				if !ours || slices.Contains(others, n[0]) || strings.HasPrefix(n[2], "Test") || strings.HasPrefix(n[2], "Fuzz") || strings.HasPrefix(n[2], "Example") {
					continue
				}
				if found++; !names[n[2]] {
					t.Errorf("a comment in %s names %s, which does not exist", name, n[0])
				}
			}
			for _, snippet := range snippetsIn(text) {
				if parsed := parseSnippet(snippet); parsed != nil {
					snippets++
					checkFields(t, name, parsed, exported)
				} else if strings.Contains(snippet, " := ") {
					t.Errorf("a snippet in %s is not Go:\n%s", name, snippet)
				}
			}
		}
	}
	if found < 200 || snippets < 30 {
		t.Errorf("the comments name %d things and have %d snippets, want at least 200 and 30", found, snippets)
	}
}

// snippetsIn returns the indented parts of a comment.
func snippetsIn(comment string) (snippets []string) {
	block := ""
	for line := range strings.Lines(comment + "end\n") {
		switch {
		case strings.HasPrefix(line, "\t"), line == "\n" && block != "":
			block += line
		case block != "":
			snippets = append(snippets, block)
			block = ""
		}
	}
	return snippets
}

// parseSnippet parses statements or declarations in which an ellipsis stands for what is
// left out. It returns nil for what is neither.
func parseSnippet(snippet string) *ast.File {
	snippet = strings.NewReplacer(", …\n", ",\n", "…, ", "", ", …", "", "…", "").Replace(snippet)
	for _, frame := range [][2]string{{"package p\nfunc _() {\n", "\n}"}, {"package p\n", ""}, {"package p\nfunc _() {\n", "\n}}"}, {"package p\nvar _ = []any{\n", "}"}} {
		if parsed, err := parser.ParseFile(token.NewFileSet(), "", frame[0]+snippet+frame[1], parser.SkipObjectResolution); err == nil {
			return parsed
		}
	}
	return nil
}

// checkFields checks that the structs of ours in a snippet have the fields that it sets.
func checkFields(t *testing.T, name string, snippet *ast.File, exported map[string]map[string]bool) {
	t.Helper()
	ast.Inspect(snippet, func(n ast.Node) bool {
		literal, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		kind, ok := literal.Type.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		pkg, ok := kind.X.(*ast.Ident)
		if !ok || exported[pkg.Name] == nil {
			return true
		}
		for _, element := range literal.Elts {
			if pair, ok := element.(*ast.KeyValueExpr); ok {
				if key, ok := pair.Key.(*ast.Ident); ok && !exported[pkg.Name][kind.Sel.Name+"."+key.Name] {
					t.Errorf("a snippet in %s sets %s.%s.%s, which does not exist", name, pkg.Name, kind.Sel.Name, key.Name)
				}
			}
		}
		return true
	})
}

// goFiles parses all Go files of the repository.
func goFiles(t *testing.T) map[string]*ast.File {
	t.Helper()
	files := map[string]*ast.File{}
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, entry fs.DirEntry, err error) error {
		switch base := path.Base(name); {
		case err != nil:
			return err
		case entry.IsDir() && (base == "testdata" || base != "." && base[0] == '.'):
			return fs.SkipDir
		case entry.IsDir() || path.Ext(name) != ".go":
			return nil
		}
		files[name], err = parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
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
					if len(member.Names) == 0 {
						names[s.Name.Name+"."+embeddedName(member.Type)] = true
					}
				}
			}
		}
	}
}

// embeddedName returns the name of an embedded field.
func embeddedName(kind ast.Expr) string {
	switch kind := kind.(type) {
	case *ast.StarExpr:
		return embeddedName(kind.X)
	case *ast.SelectorExpr:
		return kind.Sel.Name
	case *ast.Ident:
		return kind.Name
	}
	return ""
}
