package mutate

import (
	"cmp"
	"context"
	"os"
	"slices"
	"strconv"
	"sync"
)

// An Outcome says what became of a mutant.
type Outcome int

const (
	Killed    Outcome = iota // a test failed, or took much too long
	Survived                 // all tests that reach it passed
	Unreached                // no test reaches it
	Broken                   // it doesn't compile
)

func (o Outcome) String() string {
	return [...]string{"killed", "survived", "not reached", "does not compile"}[o]
}

// Run runs the tests for each mutant of a package, and calls done for each, one at
// a time. It starts goroutines and returns once they are done.
func Run(ctx context.Context, p *Package, options Options, done func(*Mutant, Outcome)) error {
	scratch, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	binaries, err := build(p, p.Switched(), options.Folders, scratch)
	if err != nil {
		return err
	}
	var tests []test
	for _, b := range binaries {
		some, err := record(ctx, b.file, b.dir, scratch, options.Slow, options.Logf)
		if err != nil {
			return err
		}
		tests = append(tests, some...)
	}

	var todo []*Mutant
	for _, m := range p.Mutants {
		if options.Skip == nil || !options.Skip(m) {
			todo = append(todo, m)
		}
	}
	// Those that have to be compiled take longest, and come last.
	slices.SortStableFunc(todo, func(a, b *Mutant) int { return cmp.Compare(b.switches(), a.switches()) })
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan *Mutant)
	var mu sync.Mutex // for done
	var workers sync.WaitGroup
	for range max(1, options.Parallel) {
		workers.Go(func() {
			for m := range queue {
				outcome, err := try(ctx, p, m, options.Folders, tests, scratch)
				if err != nil {
					cancel(err)
					continue
				}
				mu.Lock()
				done(m, outcome)
				mu.Unlock()
			}
		})
	}
	for _, m := range todo {
		select {
		case queue <- m:
		case <-ctx.Done():
		}
	}
	close(queue)
	workers.Wait()
	return context.Cause(ctx)
}

// try finds out what becomes of one mutant.
func try(ctx context.Context, p *Package, m *Mutant, folders []string, tests []test, scratch string) (Outcome, error) {
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	if len(m.edits) == 0 {
		return tryAlone(ctx, p, m, folders, tests, scratch)
	}
	var reaching []test
	for _, t := range tests {
		if t.reaches[m.id] {
			reaching = append(reaching, t)
		}
	}
	if len(reaching) == 0 {
		return Unreached, nil
	}
	return outcomeOf(killed(ctx, reaching, m.id))
}

// tryAlone compiles a mutant that can't be behind a switch.
func tryAlone(ctx context.Context, p *Package, m *Mutant, folders []string, tests []test, scratch string) (Outcome, error) {
	scratch, err := os.MkdirTemp(scratch, strconv.Itoa(m.id)+"-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(scratch)
	binaries, err := build(p, map[string][]byte{m.File: m.apply(p.sources[m.File])}, folders, scratch)
	if err != nil {
		return Broken, nil
	}
	var all []test
	for _, t := range tests {
		for _, b := range binaries {
			if t.dir == b.dir {
				t.binary = b.file
				all = append(all, t)
			}
		}
	}
	return outcomeOf(killed(ctx, all, m.id))
}

func outcomeOf(killed bool, err error) (Outcome, error) {
	if killed {
		return Killed, err
	}
	return Survived, err
}
