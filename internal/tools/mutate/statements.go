package mutate

import (
	"go/ast"
	"go/token"
	"strings"
)

// statements finds the mutants of a block. It is at the tail of a function with
// results if nothing follows it there: then a return can't be removed. It is
// decided if a condition decides about the block alone, so that the mutant of the
// condition removes a single statement.
func (f *finder) statements(list []ast.Stmt, tail, decided bool) {
	for i, s := range list {
		f.statement(s, tail && i == len(list)-1, decided && len(list) == 1)
	}
}

func (f *finder) statement(s ast.Stmt, tail, decided bool) {
	switch s := s.(type) {
	case *ast.BlockStmt:
		f.statements(s.List, tail, false)
	case *ast.IfStmt:
		f.expressions(s.Init)
		f.condition(s.Cond, true, true)
		f.statements(s.Body.List, tail && s.Else != nil, s.Else == nil)
		if s.Else != nil {
			f.statement(s.Else, tail, false)
		}
	case *ast.ForStmt:
		f.expressions(s.Init)
		if s.Cond != nil {
			f.condition(s.Cond, false, true)
		}
		f.expressions(s.Post)
		f.statements(s.Body.List, false, false)
	case *ast.RangeStmt:
		if !decided {
			f.remove(s)
		}
		f.expressions(s.X)
		f.statements(s.Body.List, false, false)
	case *ast.SwitchStmt:
		f.expressions(s.Init)
		f.expressions(s.Tag)
		for _, c := range s.Body.List {
			clause := c.(*ast.CaseClause)
			for _, e := range clause.List {
				if s.Tag == nil {
					f.condition(e, true, true)
				}
			}
			f.statements(clause.Body, tail, false)
		}
	case *ast.TypeSwitchStmt:
		f.expressions(s.Init)
		for _, c := range s.Body.List {
			f.statements(c.(*ast.CaseClause).Body, tail, false)
		}
	case *ast.SelectStmt:
		for _, c := range s.Body.List {
			f.statements(c.(*ast.CommClause).Body, tail, false)
		}
	case *ast.LabeledStmt:
		// A switch around it would part the label from its loop.
		f.statement(s.Stmt, tail, true)
	case *ast.ReturnStmt:
		if !tail && !decided {
			f.remove(s)
		}
		f.returned(s)
	case *ast.BranchStmt:
		if !tail && !decided {
			f.remove(s)
		}
	case *ast.AssignStmt:
		if s.Tok != token.DEFINE && !decided && !allBlank(s.Lhs) {
			f.remove(s)
		}
		f.expressions(s)
	case *ast.DeclStmt:
		f.declaration(s.Decl.(*ast.GenDecl))
	default: // calls, defer, go, ++ and so on
		if !tail && !decided {
			f.remove(s)
		}
		f.expressions(s)
	}
}

func allBlank(list []ast.Expr) bool {
	for _, e := range list {
		if ident, ok := e.(*ast.Ident); !ok || ident.Name != "_" {
			return false
		}
	}
	return true
}

// returned finds the mutants of what is returned: an error is dropped, a bool negated.
func (f *finder) returned(s *ast.ReturnStmt) {
	results := f.signature.Results()
	if len(s.Results) == results.Len() && len(s.Results) > 0 {
		last := s.Results[len(s.Results)-1]
		if isError(results.At(results.Len()-1).Type()) && f.of(last) != "nil" {
			var kept []string
			for _, e := range s.Results[:len(s.Results)-1] {
				kept = append(kept, f.of(e))
			}
			text := "return " + strings.Join(append(kept, "nil"), ", ")
			f.around(s, text, "{ if mutantOn("+id+") { "+text+" }; ", " }")
		}
	}
	for _, e := range s.Results {
		if t := f.info.TypeOf(e); t != nil && isBool(t) && f.info.Types[e].Value == nil && !f.isDecision(e) {
			f.covered[e] = true
			f.decide(e, "!("+f.of(e)+")")
		}
		f.expressions(e)
	}
}

// isDecision reports whether an expression has mutants of its own that tell as much
// as its opposite.
func (f *finder) isDecision(e ast.Expr) bool {
	switch e := ast.Unparen(e).(type) {
	case *ast.BinaryExpr:
		return e.Op == token.EQL || e.Op == token.NEQ || e.Op == token.LAND || e.Op == token.LOR
	case *ast.UnaryExpr:
		return e.Op == token.NOT
	}
	return false
}
