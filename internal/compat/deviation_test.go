package compat

import (
	"maps"
	"slices"
	"sync"
	"testing"
)

// A deviation is a difference from upstream on purpose, of cases of type C,
// which hold the input and both outcomes.
type deviation[C any] struct {
	name     string // the rules that say so
	explains func(c *C) bool
}

// deviations counts what each of them explained. It is safe for concurrent use.
type deviations[C any] struct {
	list []deviation[C]

	mu    sync.Mutex
	count map[string]int
}

func newDeviations[C any](list ...deviation[C]) *deviations[C] {
	return &deviations[C]{list: list, count: map[string]int{}}
}

// explain says whether the difference between the outcomes of c is on purpose.
func (d *deviations[C]) explain(c *C) bool {
	for _, deviation := range d.list {
		if deviation.explains(c) {
			d.mu.Lock()
			d.count[deviation.name]++
			d.mu.Unlock()
			return true
		}
	}
	return false
}

// report fails the test for each deviation that explained nothing.
func (d *deviations[C]) report(t *testing.T) {
	t.Helper()
	if t.Failed() {
		return
	}
	for _, deviation := range d.list {
		if d.count[deviation.name] == 0 {
			t.Errorf("no case differed because of %s: either we do as upstream does now, or no case gets there", deviation.name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.count)) {
		t.Logf("%6d cases differ on purpose: %s", d.count[name], name)
	}
}
