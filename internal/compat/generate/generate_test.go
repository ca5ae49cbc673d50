package generate

import (
	"errors"
	"slices"
	"testing"
)

// numbers is a case: a list of small numbers, which is wrong if one of them is
// above 50 and another one, later, is odd.
func numbers(s *Source) []int {
	return ListOf(s, 20, func() int { return s.Intn(100) })
}

func wrong(list []int) error {
	high := slices.IndexFunc(list, func(v int) bool { return v > 50 })
	if high >= 0 && slices.ContainsFunc(list[high+1:], func(v int) bool { return v%2 == 1 }) {
		return errors.New("wrong")
	}
	return nil
}

func TestShrinkFindsTheSmallestCase(t *testing.T) {
	found := 0
	for n := range uint64(200) {
		s := New(1, n)
		err := wrong(numbers(s))
		if err == nil {
			continue
		}
		found++
		small, err := shrink(s.made, err, func(s *Source) error { return wrong(numbers(s)) })
		if err == nil {
			t.Fatal("shrink lost the failure")
		}
		if got := numbers(replayed(small)); !slices.Equal(got, []int{51, 1}) {
			t.Errorf("case %d shrinks to %d, want [51 1]", n, got)
		}
	}
	if found < 50 {
		t.Errorf("%d of 200 cases failed, want most", found)
	}
}

func TestSourceRepeats(t *testing.T) {
	s := New(7, 3)
	first := numbers(s)
	if again := numbers(New(7, 3)); !slices.Equal(first, again) {
		t.Errorf("the same case gave %d and %d", first, again)
	}
	if again := numbers(replayed(s.made)); !slices.Equal(first, again) {
		t.Errorf("replayed, %d gave %d", first, again)
	}
	if other := numbers(New(7, 4)); slices.Equal(first, other) {
		t.Errorf("two cases both gave %d", first)
	}
}

func TestCheckRunsEveryCase(t *testing.T) {
	seen := make(chan uint32, 1000)
	Check(t, 1000, func() func(*Source) error {
		return func(s *Source) error {
			seen <- uint32(s.Intn(1 << 30))
			return nil
		}
	})
	close(seen)
	different := map[uint32]bool{}
	for v := range seen {
		different[v] = true
	}
	if len(different) < 990 {
		t.Errorf("%d different cases of 1000", len(different))
	}
}
