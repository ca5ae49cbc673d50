package mutate

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// A Mutant is one change of one file.
type Mutant struct {
	File     string // in the repository, with slashes
	Function string // such as "Issuer.Issue", or "const" and "var" outside of functions
	Line     int
	Old, New string // what is replaced by what, on one line
	Nth      int    // among the same changes of a function, from 1

	id         int
	start, end int    // in the file
	text       string // that replaces what stands between them
	edits      []edit // the switch; empty if there can be none
	key        string // of the journal
}

// An edit inserts text into a file in front of what stands at an offset, once
// as many bytes are left out there.
type edit struct {
	at, skip int
	text     string
}

// Name identifies a mutant as long as its function keeps the decision.
func (m *Mutant) Name() string {
	name := fmt.Sprintf("%s %s: %s -> %s", m.File, m.Function, m.Old, m.New)
	if m.Nth > 1 {
		name += fmt.Sprintf(" (%d)", m.Nth)
	}
	return name
}

// diff returns the lines that a mutant changes, before and after.
func (m *Mutant) diff(source []byte) string {
	first := strings.LastIndexByte(string(source[:m.start]), '\n') + 1
	last := len(source)
	if i := strings.IndexByte(string(source[m.end:]), '\n'); i >= 0 {
		last = m.end + i
	}
	before := string(source[first:last])
	after := string(source[first:m.start]) + m.text + string(source[m.end:last])
	return diffLines("-", before) + diffLines("+", after)
}

// diffLines marks at most five lines of a text, but no empty ones.
func diffLines(mark, text string) string {
	var lines strings.Builder
	kept := 0
	for line := range strings.SplitSeq(text, "\n") {
		if strings.TrimSpace(line) == "" {
			continue
		}
		if kept++; kept > 5 {
			fmt.Fprintf(&lines, "%s\t…\n", mark)
			break
		}
		fmt.Fprintf(&lines, "%s%s\n", mark, line)
	}
	return lines.String()
}

// switches returns how many switches a mutant has: 0 or 1.
func (m *Mutant) switches() int { return min(1, len(m.edits)) }

// apply returns the source with one mutant and without switches.
func (m *Mutant) apply(source []byte) []byte {
	return slices.Concat(source[:m.start], []byte(m.text), source[m.end:])
}

// number gives the mutants of a package their numbers, and what tells them apart.
// functions has the text of the function that each belongs to.
func number(mutants []*Mutant, functions map[*Mutant]string) {
	seen := map[string]int{}
	for i, m := range mutants {
		m.id = i + 1
		name := m.Name()
		seen[name]++
		m.Nth = seen[name]
		sum := sha256.Sum256([]byte(functions[m] + "\x00" + m.Name()))
		m.key = hex.EncodeToString(sum[:12])
	}
}

// oneLine shortens a text for a line of output.
func oneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > 90 {
		text = string(runes[:87]) + "..."
	}
	return text
}

// Diff returns the lines that a mutant of the package changes, before and after.
func (p *Package) Diff(m *Mutant) string { return m.diff(p.sources[m.File]) }
