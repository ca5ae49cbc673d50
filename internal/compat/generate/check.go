package generate

import (
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

// LongEnv is the environment variable that, when it isn't empty, asks for the
// long form of the tests.
const LongEnv = "COMPAT_LONG"

// SeedEnv is the environment variable that sets another seed.
const SeedEnv = "COMPAT_SEED"

const defaultSeed = 20250101

// Count returns how many cases to run.
func Count(short, long int) int {
	switch {
	case os.Getenv(LongEnv) != "":
		return long
	case testing.Short():
		return short / 10
	}
	return short
}

// Seed returns the seed of this run.
func Seed(t testing.TB) uint64 {
	text := os.Getenv(SeedEnv)
	if text == "" {
		return defaultSeed
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", SeedEnv, err)
	}
	return seed
}

// Check runs n cases, on all processors. The first that returns an error is
// made small and reported, with the seed that repeats it, and ends the run.
//
// newRun is called once for each goroutine and returns the function that runs a
// case, so that state can be kept from case to case without locks; what a case
// returns must not depend on that state.
func Check(t *testing.T, n int, newRun func() func(*Source) error) {
	t.Helper()
	seed := Seed(t)
	var next atomic.Int64
	var failed atomic.Bool
	var wait sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			run := newRun()
			for !failed.Load() {
				i := next.Add(1) - 1
				if i >= int64(n) {
					return
				}
				s := New(seed, uint64(i))
				err := run(s)
				if err == nil || failed.Swap(true) {
					continue
				}
				small, err := shrink(s.made, err, run)
				t.Errorf("case %d of seed %d, made small (choices %v; %s=%d repeats it):\n%v", i, seed, small, SeedEnv, seed, err)
			}
		})
	}
	wait.Wait()
	t.Logf("%d cases of seed %d", min(next.Load(), int64(n)), seed)
}
