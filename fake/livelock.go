package fake

import (
	"fmt"
	"slices"
	"strings"
)

// A LivelockError reports that controllers kept writing, or kept working
// without end, and would not have stopped.
type LivelockError struct {
	// Writes is how many writes there were.
	Writes int
	// Cycle is the shortest sequence of writes that was repeated at the end; or
	// the last writes, if no sequence was.
	Cycle []Action
}

func (e *LivelockError) Error() string {
	if len(e.Cycle) == 0 {
		return "fake: the controllers never come to rest, although they write nothing"
	}
	return fmt.Sprintf("fake: livelock: %d writes and no end; they repeat:\n%s", e.Writes, strings.TrimSuffix(indent(FormatActions(e.Cycle)), "\n"))
}

func indent(text string) string {
	return "\t" + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n\t") + "\n"
}

// maxWrites is how often one object may be written in a Settle.
const maxWrites = 100

// A livelock counts what is written while a Settle runs.
type livelock struct {
	cluster *Cluster
	start   int // where its actions start
	checked int // how many of its actions were counted
	writes  map[written]int
}

// written names an object that was written.
type written struct{ resource, namespace, name string }

// watchWrites counts what is written from now on.
func (c *Cluster) watchWrites() (check func(tooMany bool) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := &livelock{cluster: c, start: len(c.actions), writes: map[written]int{}}
	return l.check
}

// check counts what was done, and finds the cycle if it was too much.
func (l *livelock) check(tooMany bool) error {
	c := l.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	// ClearActions may have been called in between.
	l.start = min(l.start, len(c.actions))
	l.checked = min(max(l.checked, l.start), len(c.actions))
	for _, a := range c.actions[l.checked:] {
		if a.IsWrite() && a.Err == nil {
			key := written{a.Resource, a.Namespace, a.Name}
			l.writes[key]++
			tooMany = tooMany || l.writes[key] > maxWrites
		}
	}
	l.checked = len(c.actions)
	if !tooMany {
		return nil
	}
	writes := slices.DeleteFunc(slices.Clone(c.actions[l.start:]), func(a Action) bool { return !a.IsWrite() })
	return &LivelockError{Writes: len(writes), Cycle: cycleOf(writes)}
}

// maxCycle bounds the length of a cycle that is looked for.
const maxCycle = 50

// cycleOf returns the shortest sequence that the end of writes repeats three
// times: with the same names if possible, as generated names differ each time.
func cycleOf(writes []Action) []Action {
	full := func(a Action) string { return a.Actor + " " + a.Op.String() }
	nameless := func(a Action) string { return a.Actor + " " + a.Verb + " " + a.Resource + " " + a.Namespace }
	for _, sign := range []func(Action) string{full, nameless} {
		for n := 1; n <= min(maxCycle, len(writes)/3); n++ {
			if repeats(writes[len(writes)-3*n:], n, sign) {
				return writes[len(writes)-n:]
			}
		}
	}
	return writes[max(0, len(writes)-maxCycle):]
}

func repeats(writes []Action, n int, sign func(Action) string) bool {
	for i := n; i < len(writes); i++ {
		if sign(writes[i]) != sign(writes[i-n]) {
			return false
		}
	}
	return true
}
