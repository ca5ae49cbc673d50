package mutate

import (
	"go/ast"
	"go/token"
	"go/types"
	"reflect"
)

// condition replaces a condition by true and by false. Where its operands say as
// much, only one of the two.
func (f *finder) condition(e ast.Expr, byTrue, byFalse bool) {
	if f.info.Types[e].Value == nil {
		if logical, ok := ast.Unparen(e).(*ast.BinaryExpr); ok {
			byTrue = byTrue && logical.Op != token.LAND
			byFalse = byFalse && logical.Op != token.LOR
		}
		f.covered[ast.Unparen(e)] = true
		if byTrue {
			f.decide(e, "true")
		}
		if byFalse {
			f.decide(e, "false")
		}
	}
	f.expressions(e)
}

// expressions finds the mutants of all expressions in a node, which may be nil.
func (f *finder) expressions(n ast.Node) {
	if n == nil || reflect.ValueOf(n).IsNil() {
		return
	}
	ast.Inspect(n, func(n ast.Node) bool {
		e, ok := n.(ast.Expr)
		if !ok {
			return true
		}
		if f.info.Types[e].IsType() {
			return false
		}
		if f.info.Types[e].Value != nil {
			f.constant(e)
			return false
		}
		switch e := e.(type) {
		case *ast.FuncLit:
			signature, _ := f.info.TypeOf(e).(*types.Signature)
			f.body(e.Type, signature, e.Body)
			return false
		case *ast.BinaryExpr:
			return f.binary(e)
		case *ast.UnaryExpr:
			if e.Op == token.NOT && !f.covered[e] {
				f.decide(e, f.of(e.X))
			}
		case *ast.CallExpr:
			return f.call(e)
		case *ast.CompositeLit:
			f.fields(e)
		}
		return true
	})
}

// opposite says which operator takes another's place.
var opposite = map[token.Token]token.Token{
	token.LAND: token.LOR, token.LOR: token.LAND,
	token.LSS: token.LEQ, token.LEQ: token.LSS,
	token.GTR: token.GEQ, token.GEQ: token.GTR,
	token.EQL: token.NEQ, token.NEQ: token.EQL,
	token.ADD: token.SUB, token.SUB: token.ADD,
}

// binary finds the mutants of an operation and reports whether those of its
// operands are still to be found.
func (f *finder) binary(e *ast.BinaryExpr) bool {
	other, ok := opposite[e.Op]
	if !ok {
		return true
	}
	swapped := f.of(e.X) + " " + other.String() + " " + f.of(e.Y)
	switch e.Op {
	case token.EQL, token.NEQ:
		if !f.covered[e] {
			f.decide(e, swapped)
		}
	case token.LSS, token.LEQ, token.GTR, token.GEQ:
		f.decide(e, swapped)
		f.bound(e)
	case token.LAND, token.LOR:
		f.decide(e, swapped)
		for _, operand := range []ast.Expr{e.X, e.Y} {
			if nested, ok := ast.Unparen(operand).(*ast.BinaryExpr); ok && nested.Op == e.Op {
				f.expressions(operand)
				continue
			}
			f.condition(operand, e.Op == token.LAND, e.Op == token.LOR)
		}
		return false
	case token.ADD, token.SUB:
		if t := f.info.TypeOf(e); isInteger(t) {
			start, end := f.offset(e.Pos()), f.offset(e.End())
			name := map[token.Token]string{token.ADD: "mutantAdd", token.SUB: "mutantSub"}[e.Op]
			f.add(start, end, f.of(e), swapped, swapped, edit{at: start, text: name + "(" + id + ", "},
				edit{at: f.offset(e.OpPos), skip: 1, text: ","}, edit{at: end, text: ")"})
		}
	}
	return true
}

// bound moves the constant bound of a comparison the way in which the other
// operator doesn't move it.
func (f *finder) bound(e *ast.BinaryExpr) {
	for _, operand := range []ast.Expr{e.X, e.Y} {
		t := f.info.TypeOf(operand)
		if f.info.Types[operand].Value == nil || !isInteger(t) || isDuration(t) {
			continue
		}
		up := e.Op == token.GTR || e.Op == token.LEQ
		if operand == e.X {
			up = !up
		}
		f.shift(operand, up)
	}
	f.covered[e.X], f.covered[e.Y] = true, true
}

// constant changes a constant of a bool or integer type.
func (f *finder) constant(e ast.Expr) {
	if f.covered[e] {
		return
	}
	switch t := f.info.TypeOf(e); {
	case isBool(t):
		if ident, ok := e.(*ast.Ident); ok && (ident.Name == "true" || ident.Name == "false") {
			f.decide(e, map[string]string{"true": "false", "false": "true"}[ident.Name])
		}
	case isUntyped(t) || isName(e):
		// The constant's declaration has its own mutants.
	case isDuration(t):
		if f.info.Types[e].Value.ExactString() != "0" {
			f.scale(e, "mutantDouble", " * 2")
		}
	case isInteger(t):
		f.shift(e, true)
		if text := f.info.Types[e].Value.ExactString(); text != "0" && text[0] != '-' {
			f.shift(e, false)
		}
	}
}

func isName(e ast.Expr) bool {
	switch e.(type) {
	case *ast.Ident, *ast.SelectorExpr:
		return true
	}
	return false
}

func (f *finder) shift(e ast.Expr, up bool) {
	if up {
		f.scale(e, "mutantMore", " + 1")
	} else {
		f.scale(e, "mutantLess", " - 1")
	}
}

// scale changes a constant: by a function if its type has a name in this file.
func (f *finder) scale(e ast.Expr, function, change string) {
	text := "(" + f.of(e) + change + ")"
	if _, sum := e.(*ast.BinaryExpr); sum {
		text = "((" + f.of(e) + ")" + change + ")"
	}
	if named := f.typeText(f.info.TypeOf(e)); named != "" {
		f.around(e, text, function+"["+named+"]("+id+", ", ")")
	} else {
		f.replace(e, text)
	}
}

// call reports whether the mutants of a call's arguments are to be found. The
// capacities of make change nothing but speed.
func (f *finder) call(e *ast.CallExpr) bool {
	ident, ok := e.Fun.(*ast.Ident)
	if !ok || ident.Name != "make" || !f.info.Types[e.Fun].IsBuiltin() {
		return true
	}
	if _, slice := f.info.TypeOf(e).Underlying().(*types.Slice); slice && len(e.Args) == 2 {
		f.expressions(e.Args[1])
	}
	return false
}

// fields removes fields of a struct literal, one at a time. Constants have mutants
// of their own, and functions too.
func (f *finder) fields(e *ast.CompositeLit) {
	if _, ok := f.info.TypeOf(e).Underlying().(*types.Struct); !ok {
		return
	}
	for _, element := range e.Elts {
		field, ok := element.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		key, _ := field.Key.(*ast.Ident)
		kind, value := f.info.TypeOf(field.Key), f.info.TypeOf(field.Value)
		if key == nil || f.info.Types[field.Value].Value != nil || kind == nil || value == nil || !types.Identical(kind, value) {
			continue
		}
		if _, function := field.Value.(*ast.FuncLit); function {
			continue
		}
		start, end := f.offset(field.Value.Pos()), f.offset(field.Value.End())
		f.add(start, end, f.of(field), key.Name+": zero", "zero", edit{at: start, text: "mutantZero(" + id + ", "}, edit{at: end, text: ")"})
	}
}
