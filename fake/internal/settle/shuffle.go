package settle

import (
	"math/rand/v2"
	"slices"
)

// A shuffler chooses the order of steps. A nil shuffler takes what is first.
type shuffler struct{ random *rand.Rand }

// order returns the drivers that take part in a round. With a shuffler it is
// not all of them, so that some lag.
func (s *shuffler) order(drivers []*driver) []*driver {
	if s == nil {
		return drivers
	}
	drivers = slices.Clone(drivers)
	s.random.Shuffle(len(drivers), func(i, j int) { drivers[i], drivers[j] = drivers[j], drivers[i] })
	return drivers[:1+s.random.IntN(len(drivers))]
}

// chance is true once in n times, never without a shuffler.
func (s *shuffler) chance(n int) bool { return s != nil && s.random.IntN(n) == 0 }

// pick returns which of n keys is next.
func (s *shuffler) pick(n int) int {
	if s == nil {
		return 0
	}
	return s.random.IntN(n)
}
