package serviceaccount_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Numbers of rules are for tests and private comments: users see none in a
// package's documentation, nor in any text of a program. Internal packages have no
// users.
func TestUsersSeeNoRuleNumbers(t *testing.T) {
	number := regexp.MustCompile(`\b(ADM|CTL|SAC|CLN|RCA|TOK|REQ|REV|KEY|CST)-T?\d|\bSECURITY [A-Z]\d|^[ACFHJKLMV][0-2]\d$`)
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (path != "." && strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" || entry.Name() == "internal"):
			return fs.SkipDir
		case entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		check := func(node ast.Node, text string) {
			if found := number.FindString(text); found != "" {
				t.Errorf("%s shows users the rule number %q", files.Position(node.Pos()), found)
			}
		}
		for _, doc := range exportedDocs(file) {
			check(doc, doc.Text())
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				check(literal, strings.Trim(literal.Value, "\"`"))
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// exportedDocs returns the comments that go doc shows of a file.
func exportedDocs(file *ast.File) []*ast.CommentGroup {
	docs := []*ast.CommentGroup{file.Doc}
	for _, declaration := range file.Decls {
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() {
				docs = append(docs, d.Doc)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.ValueSpec:
					if s.Names[0].IsExported() {
						docs = append(docs, d.Doc, s.Doc, s.Comment)
					}
				case *ast.TypeSpec:
					if s.Name.IsExported() {
						docs = append(docs, d.Doc, s.Doc, s.Comment)
						ast.Inspect(s.Type, func(n ast.Node) bool {
							if field, ok := n.(*ast.Field); ok && (len(field.Names) == 0 || field.Names[0].IsExported()) {
								docs = append(docs, field.Doc, field.Comment)
							}
							return true
						})
					}
				}
			}
		}
	}
	return slices.DeleteFunc(docs, func(doc *ast.CommentGroup) bool { return doc == nil })
}
