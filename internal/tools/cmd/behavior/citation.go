package main

import (
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// A rule is a number such as ADM-33t, CTL-T6 or, of the table of attacks, C05.
type rule struct {
	family string // with its hyphen, and with the T of upstream's test cases: "ADM-", "CTL-T", "C"
	number int
	suffix string
}

// A span is one rule, or all from first to last.
type span struct{ first, last rule }

// A citation is a span of rules in a file, by a test if it is in one.
type citation struct {
	span
	where string
	test  string // empty outside of tests
}

var (
	// catalogued matches ADM-1, CTL-T1..T4, REQ-10..REQ-12 and CTL-4/60.
	catalogued = regexp.MustCompile(`\b((?:ADM|CTL|SAC|CLN|RCA|TOK|REQ|REV|KEY|CST|TRC|NOD|CTB|WEB|KUB|SRV|SSA)-T?)(\d+)([a-z]?)\b(?:(\.\.|/)(?:[A-Z]{3}-)?T?(\d+)([a-z]?)\b)?`)
	// ranked matches the rows of the table of attacks and faults, such as J05..J08,
	// and its invariants, such as S6.
	ranked = regexp.MustCompile(`(?:^|[^\w./-])([ACFHJKLMV]|[EGPST])(\d\d?)\b(?:(\.\.)[A-Z]?(\d+)\b)?`)
)

// spansIn returns the rules that a text cites; rows of the table of attacks only
// in comments, because their numbers are too short to be told from other text.
func spansIn(text string, comment bool) []span {
	var spans []span
	for _, m := range catalogued.FindAllStringSubmatch(text, -1) {
		first := rule{m[1], atoi(m[2]), m[3]}
		switch m[4] {
		case "..":
			spans = append(spans, span{first, rule{m[1], atoi(m[5]), m[6]}})
		case "/":
			second := rule{m[1], atoi(m[5]), m[6]}
			spans = append(spans, span{first, first}, span{second, second})
		default:
			spans = append(spans, span{first, first})
		}
	}
	if !comment {
		return spans
	}
	for _, m := range ranked.FindAllStringSubmatch(text, -1) {
		if twoDigits := strings.Contains("ACFHJKLMV", m[1]); twoDigits != (len(m[2]) == 2) && m[1]+m[2] != "S10" && m[1]+m[2] != "S11" && m[1]+m[2] != "G10" {
			continue // K8s, P256 and the like
		}
		first := rule{m[1], atoi(m[2]), ""}
		last := first
		if m[3] != "" {
			last.number = atoi(m[4])
		}
		spans = append(spans, span{first, last})
	}
	return spans
}

// citationsInGo returns what a Go file cites: in its comments, and in the strings
// of tests.
func citationsInGo(name string, source []byte) ([]citation, error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var cited []citation
	add := func(position token.Pos, text string, comment bool) {
		for _, s := range spansIn(text, comment) {
			c := citation{span: s, where: name}
			if strings.HasSuffix(name, "_test.go") {
				c.test = testAt(name, file, position)
			}
			cited = append(cited, c)
		}
	}
	for _, group := range file.Comments {
		add(group.Pos(), group.Text(), true)
	}
	if strings.HasSuffix(name, "_test.go") {
		ast.Inspect(file, func(n ast.Node) bool {
			if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				add(literal.Pos(), literal.Value, false)
			}
			return true
		})
	}
	return cited, nil
}

// testAt returns the test that a position belongs to, its comment included, as
// folder.TestName; elsewhere in a file of tests, the file.
func testAt(name string, file *ast.File, position token.Pos) string {
	for _, declaration := range file.Decls {
		function, ok := declaration.(*ast.FuncDecl)
		if !ok || function.Recv != nil || !isTest(function.Name.Name) {
			continue
		}
		start := function.Pos()
		if function.Doc != nil {
			start = function.Doc.Pos()
		}
		if start <= position && position < function.End() {
			return strings.TrimPrefix(path.Dir(name)+"."+function.Name.Name, "..")
		}
	}
	return name
}

func isTest(function string) bool {
	for _, prefix := range []string{"Test", "Fuzz", "Benchmark", "Example"} {
		if strings.HasPrefix(function, prefix) {
			return true
		}
	}
	return false
}

// contains reports whether r lies within s.
func (s span) contains(r rule) bool {
	return r.family == s.first.family && compare(s.first, r) <= 0 && compare(r, s.last) <= 0
}

func compare(a, b rule) int {
	return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.suffix, b.suffix))
}

func (r rule) String() string {
	if strings.Contains(r.family, "-") || !strings.Contains("ACFHJKLMV", r.family) {
		return r.family + strconv.Itoa(r.number) + r.suffix
	}
	return r.family + strconv.Itoa(r.number/10) + strconv.Itoa(r.number%10)
}

// atoi reads digits, which cannot fail.
func atoi(digits string) int {
	n, _ := strconv.Atoi(digits)
	return n
}
