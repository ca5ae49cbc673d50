package mutate

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite testdata/mutants.txt")

// gate returns a package in a module of its own.
func gate(t *testing.T) (root, dir string) {
	t.Helper()
	t.Setenv("GOFLAGS", "-mod=mod")
	t.Setenv("GOWORK", "off")
	root = t.TempDir()
	dir = filepath.Join(root, "gate")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, from := range map[string]string{"gate.go": "gate.go.txt", "gate_test.go": "gate_test.go.txt"} {
		text, err := os.ReadFile(filepath.Join("testdata", from))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "go.mod"), []byte("module example.org/m\n\ngo 1.26.0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return root, dir
}

// All mutants of the package and what becomes of them stand in testdata.
func TestRun(t *testing.T) {
	p, err := Load(gate(t))
	if err != nil {
		t.Fatal(err)
	}
	var logged strings.Builder
	outcomes := map[*Mutant]Outcome{}
	err = Run(t.Context(), p, Options{
		Folders: []string{p.Dir}, Parallel: 2, Slow: 10 * time.Minute,
		Logf: func(format string, args ...any) { fmt.Fprintf(&logged, format, args...) },
	}, func(m *Mutant, o Outcome) { outcomes[m] = o })
	if err != nil {
		t.Fatal(err)
	}
	if len(outcomes) != len(p.Mutants) {
		t.Errorf("%d outcomes of %d mutants", len(outcomes), len(p.Mutants))
	}
	if !strings.Contains(logged.String(), "TestThatFailsAlone") {
		t.Errorf("logged %q, want the test that is left out", &logged)
	}
	var got strings.Builder
	for _, m := range p.Mutants {
		how := "switch"
		if len(m.edits) == 0 {
			how = "alone"
		}
		fmt.Fprintf(&got, "%d\t%s\t%v\t%s\n%s", m.Line, how, outcomes[m], m.Name(), p.Diff(m))
	}
	golden := filepath.Join("testdata", "mutants.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("mutants and outcomes differ from %s (-update rewrites it):\n%s", golden, got.String())
	}
}

// A package without tests is killed by those of others; without any there is nothing to run.
func TestRunWithTestsOfOthers(t *testing.T) {
	root, dir := gate(t)
	other := filepath.Join(root, "other")
	if err := errors.Join(os.Remove(filepath.Join(dir, "gate_test.go")), os.Mkdir(other, 0o700), os.WriteFile(filepath.Join(other, "other_test.go"), []byte(`package other

import (
	"testing"

	"example.org/m/gate"
)

func TestFull(t *testing.T) {
	if _, err := gate.Open(5, false, false); err == nil {
		t.Error("5 were let in")
	}
}
`), 0o600)); err != nil {
		t.Fatal(err)
	}
	p, err := Load(root, dir)
	if err != nil {
		t.Fatal(err)
	}
	outcomes := map[string]Outcome{}
	options := Options{Folders: []string{dir, other}, Slow: 10 * time.Minute, Logf: t.Logf, Skip: func(m *Mutant) bool { return m.Function != "Open" || len(m.edits) == 0 }}
	done := func(m *Mutant, o Outcome) { outcomes[m.Old+" -> "+m.New] = o }
	if err := Run(t.Context(), p, options, done); err != nil {
		t.Fatal(err)
	}
	if got, ok := outcomes["return nil, errFull -> return nil, nil"]; !ok || got != Killed {
		t.Errorf("got %v (%v) in %v, want it killed", got, ok, outcomes)
	}
	options.Folders = options.Folders[:1]
	if err := Run(t.Context(), p, options, done); err == nil || !strings.Contains(err.Error(), "no tests") {
		t.Errorf("Run = %v, want an error: there are no tests", err)
	}
}

// Files with switches have the same lines, since positions in their errors are
// looked up in the originals.
func TestSwitchedKeepsLines(t *testing.T) {
	p, err := Load(gate(t))
	if err != nil {
		t.Fatal(err)
	}
	name := "gate/gate.go"
	before, after := strings.Count(string(p.sources[name]), "\n"), strings.Count(string(p.Switched()[name]), "\n")
	if before != after {
		t.Errorf("%d lines became %d:\n%s", before, after, p.Switched()[name])
	}
}

func TestRunEnds(t *testing.T) {
	p, err := Load(gate(t))
	if err != nil {
		t.Fatal(err)
	}
	ended := errors.New("ended")
	ctx, cancel := context.WithCancelCause(t.Context())
	done := 0
	err = Run(ctx, p, Options{Folders: []string{p.Dir}, Slow: 10 * time.Minute, Logf: t.Logf}, func(*Mutant, Outcome) {
		done++
		cancel(ended)
	})
	if !errors.Is(err, ended) || done != 1 {
		t.Errorf("Run = %v after %d mutants, want that it ended after the first", err, done)
	}
}

// A function that changes has other mutants for the journal; one that doesn't keeps
// its own, wherever it stands.
func TestJournal(t *testing.T) {
	root, dir := gate(t)
	name := filepath.Join(t.TempDir(), "a", "journal")
	before, err := Load(root, dir)
	if err != nil {
		t.Fatal(err)
	}
	j, err := OpenJournal(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range before.Mutants {
		if err := j.Kill(m); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "gate.go")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), "sum != 11", "sum != 12", 1)
	changed = strings.Replace(changed, "var errFull", "\n\nvar errFull", 1)
	if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	after, err := Load(root, dir)
	if err != nil {
		t.Fatal(err)
	}
	if j, err = OpenJournal(name); err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	for _, m := range after.Mutants {
		if got, want := j.Killed(m), m.Function != "Sum"; got != want {
			t.Errorf("Killed(%s) = %v, want %v", m.Name(), got, want)
		}
	}
}

func TestExcusesAndScore(t *testing.T) {
	file := filepath.Join(t.TempDir(), "excuses")
	read := func(text string) (Excuses, error) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return ReadExcuses(file)
	}
	for text, want := range map[string]string{
		"\treason\n":                   "a reason without a mutant",
		"a.go F: x -> y\n":             "no reason for a.go F: x -> y",
		"a: b\n\tc\n\na: b\n\tagain\n": "excused twice: a: b",
	} {
		if _, err := read(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ReadExcuses(%q) = %v, want %q", text, err, want)
		}
	}
	excuses, err := read("# comment\na.go F: x -> y\n\ttwo\n\tlines\n\na.go F: killed -> y\n\tr\na.go G: gone -> y\n\tr\nb.go H: other -> y\n\tr\n")
	if err != nil || excuses["a.go F: x -> y"] != "two lines" {
		t.Fatal(excuses, err)
	}
	mutant := func(before string) *Mutant { return &Mutant{File: "a.go", Function: "F", Old: before, New: "y"} }
	p := &Package{Mutants: []*Mutant{mutant("x"), mutant("killed"), mutant("z")}, sources: map[string][]byte{"a.go": nil}}
	var s Score
	s.Count(p.Mutants[0], Survived, excuses)
	s.Count(p.Mutants[1], Killed, excuses)
	s.Count(p.Mutants[2], Unreached, excuses)
	s.Count(mutant("w"), Broken, excuses)
	if got, want := s.String(), "1 of 2 killed (50.0 %), 0 survived, 1 not reached; 1 excused, 1 do not compile"; got != want {
		t.Errorf("score %q, want %q", got, want)
	}
	if got, want := s.Stale(p, excuses), []string{"a.go F: killed -> y", "a.go G: gone -> y"}; !slices.Equal(got, want) {
		t.Errorf("Stale = %q, want %q", got, want)
	}
}
