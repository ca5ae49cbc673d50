// Package generate makes the random inputs of differential tests, and makes
// those that fail small.
//
// A case is a function of a [Source], which it asks for choices. Everything
// that a case does must follow from these choices: then the list of choices is
// the case, and a failing list is shrunk by leaving choices out and by lowering
// them, without knowing what they mean. For that to give simple cases, choice 0
// has to be the simplest: the good value, the empty list, the absent field.
//
//	generate.Check(t, 100_000, func(s *generate.Source) error {
//		pod := &corev1.Pod{}
//		for range s.Intn(3) {
//			pod.Spec.Containers = append(pod.Spec.Containers, container(s))
//		}
//		return differs(pod)
//	})
package generate

import (
	"math/rand/v2"
)

// A Source hands out the choices of one case. Not safe for concurrent use.
type Source struct {
	rng    *rand.Rand // nil when a list is replayed
	replay []uint32
	made   []uint32
}

// New returns the choices of the case number n of seed.
func New(seed, n uint64) *Source {
	return &Source{rng: rand.New(rand.NewPCG(seed, n))}
}

// replayed returns a source that repeats choices, followed by zeros.
func replayed(choices []uint32) *Source { return &Source{replay: choices} }

// Intn returns a number in [0, n). n must be positive.
func (s *Source) Intn(n int) int {
	var v uint32
	switch {
	case s.rng != nil:
		v = s.rng.Uint32N(uint32(n))
	case len(s.made) < len(s.replay):
		v = s.replay[len(s.made)] % uint32(n)
	}
	s.made = append(s.made, v)
	return int(v)
}

// Chance is true in about n of 100 cases, n below 100; false is the simple
// choice.
func (s *Source) Chance(n int) bool { return s.Intn(100) >= 100-n }

// Bytes returns n arbitrary bytes.
func (s *Source) Bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(s.Intn(256))
	}
	return b
}

// OneOf returns one of values; the first is the simplest.
func OneOf[T any](s *Source, values ...T) T { return values[s.Intn(len(values))] }

// ListOf returns up to limit values.
func ListOf[T any](s *Source, limit int, value func() T) []T {
	var list []T
	for range s.Intn(limit + 1) {
		list = append(list, value())
	}
	return list
}
