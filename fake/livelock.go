package fake

import (
	"fmt"
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
