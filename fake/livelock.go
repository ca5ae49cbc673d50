package fake

import (
	"fmt"
	"math"
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
	next    int // the number of the first action that was not counted
	counts  map[written]int
	total   int
	writes  []Action // the last ones
}

// written names an object that was written.
type written struct{ resource, namespace, name string }

// watchWrites counts what is written from now on.
func (c *Cluster) watchWrites() (check func(tooMany bool) error) {
	l := &livelock{cluster: c, counts: map[written]int{}}
	_, l.next = c.api().ActionsFrom(math.MaxInt)
	return l.check
}

// check counts what was done, and finds the cycle if it was too much.
func (l *livelock) check(tooMany bool) error {
	var actions []Action
	actions, l.next = l.cluster.actionsFrom(l.next)
	for _, a := range actions {
		if !a.IsWrite() {
			continue
		}
		l.total++
		l.writes = append(l.writes, a)
		if a.Err == nil {
			key := written{a.Resource, a.Namespace, a.Name}
			l.counts[key]++
			tooMany = tooMany || l.counts[key] > maxWrites
		}
	}
	if n := len(l.writes) - 3*maxCycle; n > 3*maxCycle {
		l.writes = slices.Clone(l.writes[n:])
	}
	if !tooMany {
		return nil
	}
	return &LivelockError{Writes: l.total, Cycle: cycleOf(l.writes)}
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
