package fake

import (
	"math/rand/v2"
	"slices"
)

// shuffler chooses the order of Settle. A nil shuffler takes what is first.
type shuffler struct{ random *rand.Rand }

// Shuffle makes [Cluster.Settle] take controllers and keys in an order that
// depends on seed only: another seed is another order that real workers could
// have had. Run a test with many seeds to find what depends on the order.
func (c *Cluster) Shuffle(seed uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shuffler = &shuffler{random: rand.New(rand.NewPCG(seed, seed^0x9e3779b97f4a7c15))}
}

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
