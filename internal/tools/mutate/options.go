package mutate

import "time"

// Options says how the tests are run.
type Options struct {
	Folders  []string      // whose tests count: that of the package, and others that use it
	Parallel int           // how many mutants at a time
	Slow     time.Duration // tests that take longer are left out
	Skip     func(*Mutant) bool
	Logf     func(format string, args ...any)
}
