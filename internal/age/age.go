// Package age says how old something is that is remembered, never less than it is, and
// how long something holds, never longer than it shall, whatever happens to the clock.
package age

import (
	"math"
	"time"
)

// A Clock is the clock of a config.
type Clock func() time.Time

// Now returns the time by the clock, and by the monotonic clock of the system.
func (c Clock) Now() Time { return Time{c(), time.Now()} }

// A Time is when something was asked for or remembered.
type Time struct{ by, real time.Time }

// IsZero reports whether t is not the time of anything.
func (t Time) IsZero() bool { return t.real.IsZero() }

// Since returns how old something of time then is at time t by the clock of the
// config, whose reading may be monotonic. It is infinitely old if the clock was set
// back, or then is zero: nobody knows.
func (t Time) Since(then Time) time.Duration {
	age := t.by.Sub(then.by)
	if age < 0 || then.IsZero() {
		return math.MaxInt64
	}
	return age
}

// Of is Since, but no less than by the clock of the system: for what must not be used
// for longer than promised, by whichever clock.
func (t Time) Of(then Time) time.Duration { return max(t.Since(then), t.real.Sub(then.real)) }

// A Span is a time in which something holds, by the clock of a config. It is over if the
// clock is set back to before it: nobody knows how long it has lasted.
type Span struct{ From, Until time.Time }

// Holds reports whether now is in s.
func (s Span) Holds(now time.Time) bool { return !now.Before(s.From) && now.Before(s.Until) }
