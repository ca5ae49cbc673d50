package mutate

import (
	"fmt"
	"slices"
	"strings"
)

// A Score counts mutants.
type Score struct {
	Killed, Survived, Unreached, Excused, Broken int
	seen                                         map[string]Outcome
}

// Count counts a mutant.
func (s *Score) Count(m *Mutant, outcome Outcome, excuses Excuses) {
	if s.seen == nil {
		s.seen = map[string]Outcome{}
	}
	s.seen[m.Name()] = outcome
	_, excused := excuses[m.Name()]
	switch {
	case outcome == Killed:
		s.Killed++
	case outcome == Broken:
		s.Broken++
	case excused:
		s.Excused++
	case outcome == Unreached:
		s.Unreached++
	default:
		s.Survived++
	}
}

// Add adds the numbers of another score.
func (s *Score) Add(other Score) {
	s.Killed += other.Killed
	s.Survived += other.Survived
	s.Unreached += other.Unreached
	s.Excused += other.Excused
	s.Broken += other.Broken
}

// Stale returns the excuses for mutants of a package that are killed, or aren't
// there any more.
func (s *Score) Stale(p *Package, excuses Excuses) []string {
	there := map[string]bool{}
	files := map[string]bool{}
	for _, m := range p.Mutants {
		there[m.Name()] = true
	}
	for name := range p.sources {
		files[name] = true
	}
	var stale []string
	for name := range excuses {
		file, _, _ := strings.Cut(name, " ")
		outcome, seen := s.seen[name]
		if files[file] && (!there[name] || seen && outcome == Killed) {
			stale = append(stale, name)
		}
	}
	slices.Sort(stale)
	return stale
}

// String says how many of the mutants are killed; those that are excused or don't
// compile don't count.
func (s Score) String() string {
	all := s.Killed + s.Survived + s.Unreached
	percent := 100.0
	if all > 0 {
		percent = 100 * float64(s.Killed) / float64(all)
	}
	return fmt.Sprintf("%d of %d killed (%.1f %%), %d survived, %d not reached; %d excused, %d do not compile",
		s.Killed, all, percent, s.Survived, s.Unreached, s.Excused, s.Broken)
}
