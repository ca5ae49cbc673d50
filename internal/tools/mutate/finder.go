package mutate

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"path"
	"strconv"
	"strings"
)

// A finder collects the mutants of one file.
type finder struct {
	name   string // of the file
	source []byte
	file   *ast.File
	files  *token.FileSet
	info   *types.Info
	pkg    *types.Package

	function  string // where it is
	text      string // of that function
	results   *ast.FieldList
	signature *types.Signature
	covered   map[ast.Expr]bool // replaced by true or false, so that the opposite shows nothing more
	mutants   []*Mutant
	functions map[*Mutant]string
}

// find returns the mutants of a file, and the text of the function of each.
func (f *finder) find() {
	f.covered = map[ast.Expr]bool{}
	f.functions = map[*Mutant]string{}
	for _, declaration := range f.file.Decls {
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			if d.Body == nil {
				continue
			}
			f.function, f.text = functionName(d), f.of(d)
			signature, _ := f.info.TypeOf(d.Name).(*types.Signature)
			f.body(d.Type, signature, d.Body)
		case *ast.GenDecl:
			f.function, f.text = d.Tok.String(), f.of(d)
			f.declaration(d)
		}
	}
}

func functionName(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return d.Name.Name
	}
	receiver := d.Recv.List[0].Type
	if star, ok := receiver.(*ast.StarExpr); ok {
		receiver = star.X
	}
	if generic, ok := receiver.(*ast.IndexExpr); ok {
		receiver = generic.X
	}
	if ident, ok := receiver.(*ast.Ident); ok {
		return ident.Name + "." + d.Name.Name
	}
	return d.Name.Name
}

// body finds what is in the body of a function, and the early return.
func (f *finder) body(kind *ast.FuncType, signature *types.Signature, body *ast.BlockStmt) {
	outer, outerSignature := f.results, f.signature
	f.results, f.signature = kind.Results, signature
	defer func() { f.results, f.signature = outer, outerSignature }()
	if len(body.List) == 0 {
		return
	}
	hasResults := kind.Results != nil && len(kind.Results.List) > 0
	if _, returns := body.List[0].(*ast.ReturnStmt); hasResults && !returns || len(body.List) > 1 {
		f.early(body)
	}
	f.statements(body.List, hasResults, false)
}

// early makes a function return zero values at once.
func (f *finder) early(body *ast.BlockStmt) {
	at := f.offset(body.Lbrace) + 1
	text := " return " + f.zeros() + "; "
	f.add(at, at, "start", strings.TrimSpace(strings.TrimSuffix(text, "; ")), text, edit{at: at, text: " if mutantOn(" + id + ") {" + text + "}; "})
}

func (f *finder) zeros() string {
	if f.results == nil {
		return ""
	}
	var zeros []string
	for _, field := range f.results.List {
		if len(field.Names) > 0 {
			return "" // named results
		}
		zeros = append(zeros, "*new("+f.of(field.Type)+")")
	}
	return strings.Join(zeros, ", ")
}

// declaration finds the mutants of constants and variables of a package.
func (f *finder) declaration(d *ast.GenDecl) {
	if d.Tok != token.CONST && d.Tok != token.VAR {
		return
	}
	for _, spec := range d.Specs {
		for _, value := range spec.(*ast.ValueSpec).Values {
			if d.Tok == token.VAR {
				f.expressions(value)
				continue
			}
			if strings.Contains(f.of(value), "iota") {
				continue
			}
			// Other values of a constant can't be behind a switch.
			text := "(" + f.of(value) + ")"
			switch kind := f.info.TypeOf(value); {
			case isDuration(kind):
				f.replace(value, text+" * 2")
			case isInteger(kind):
				f.replace(value, text+" + 1")
				f.replace(value, text+" - 1")
			}
		}
	}
}

// id stands for the number of a mutant in its edits.
const id = "\x00"

// add adds a mutant that puts text between two offsets. A switch has to stay on one
// line, so that lines keep their numbers.
func (f *finder) add(start, end int, before, after, text string, edits ...edit) {
	m := &Mutant{
		File: f.name, Function: f.function, Line: 1 + strings.Count(string(f.source[:start]), "\n"),
		Old: oneLine(before), New: oneLine(after), start: start, end: end, text: text, edits: edits,
	}
	for _, e := range edits {
		if strings.Contains(e.text, "\n") {
			m.edits = nil
		}
	}
	if m.New == "" {
		m.New = "nothing"
	}
	f.functions[m] = f.text
	f.mutants = append(f.mutants, m)
}

// replace adds a mutant without a switch.
func (f *finder) replace(n ast.Node, text string) {
	f.add(f.offset(n.Pos()), f.offset(n.End()), f.of(n), text, text)
}

// around adds a mutant whose switch stands around a node.
func (f *finder) around(n ast.Node, text, pre, post string) {
	start, end := f.offset(n.Pos()), f.offset(n.End())
	f.add(start, end, f.of(n), text, text, edit{at: start, text: pre}, edit{at: end, text: post})
}

// decide adds a mutant of an expression of type bool.
func (f *finder) decide(e ast.Expr, text string) {
	f.around(e, text, "(mutantOn("+id+") && ("+text+") || !mutantOn("+id+") && (", "))")
}

// remove adds a mutant without a statement.
func (f *finder) remove(s ast.Stmt) {
	f.around(s, "", "if !mutantOn("+id+") { ", " }")
}

func (f *finder) offset(p token.Pos) int { return f.files.Position(p).Offset }

func (f *finder) of(n ast.Node) string {
	return string(f.source[f.offset(n.Pos()):f.offset(n.End())])
}

// typeText returns the name of a type in this file, or "" if it has none here.
func (f *finder) typeText(t types.Type) string {
	known := true
	text := types.TypeString(t, func(p *types.Package) string {
		if p == f.pkg {
			return ""
		}
		for _, spec := range f.file.Imports {
			if quoted, _ := strconv.Unquote(spec.Path.Value); quoted == p.Path() {
				if spec.Name != nil {
					return spec.Name.Name
				}
				return p.Name()
			}
		}
		known = false
		return path.Base(p.Path())
	})
	if !known {
		return ""
	}
	return text
}

func isInteger(t types.Type) bool {
	basic, ok := t.Underlying().(*types.Basic)
	return ok && basic.Info()&types.IsInteger != 0
}

func isUntyped(t types.Type) bool {
	basic, ok := t.(*types.Basic)
	return ok && basic.Info()&types.IsUntyped != 0
}

func isDuration(t types.Type) bool { return t.String() == "time.Duration" }

func isBool(t types.Type) bool {
	basic, ok := t.Underlying().(*types.Basic)
	return ok && basic.Info()&types.IsBoolean != 0
}

func isError(t types.Type) bool { return fmt.Sprint(t) == "error" }
