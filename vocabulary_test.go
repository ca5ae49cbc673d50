package serviceaccount_test

import (
	"go/ast"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The text of an error begins with the name of the package that it is from, not with that
// of a neighbour. Internal packages speak for the one that they are below.
func TestErrorsNameTheirPackage(t *testing.T) {
	prefix := regexp.MustCompile(`^([a-z]+): `)
	files := libraryFiles(t)
	names := map[string]bool{}
	for _, file := range files {
		names[file.Name.Name] = true
	}
	found := 0
	for name, file := range files {
		if slices.Contains(strings.Split(filepath.ToSlash(name), "/"), "internal") {
			continue
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			function, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || !slices.Contains([]string{"New", "Errorf"}, function.Sel.Name) {
				return true
			}
			literal, ok := call.Args[0].(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			if of := prefix.FindStringSubmatch(text); of != nil && names[of[1]] {
				found++
				if of[1] != file.Name.Name {
					t.Errorf("%s: an error of package %s begins with %q", name, file.Name.Name, of[0])
				}
			}
			return true
		})
	}
	if found < 50 {
		t.Errorf("found %d errors that name their package, want at least 50: is the pattern still right?", found)
	}
}
