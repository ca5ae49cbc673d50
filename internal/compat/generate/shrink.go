package generate

// attempts bounds the work of shrinking one case.
const attempts = 4000

// shrink returns the smallest failing list that it finds, with what fails then.
func shrink(choices []uint32, failure error, run func(*Source) error) ([]uint32, error) {
	best, left := choices, attempts
	try := func(candidate []uint32) bool {
		if left == 0 {
			return false
		}
		left--
		s := replayed(candidate)
		err := run(s)
		if err == nil {
			return false
		}
		// What was asked for is what counts: a shorter case may ask less.
		smaller := trimZeros(s.made)
		if !less(smaller, best) {
			return false
		}
		best, failure = smaller, err
		return true
	}
	for improved := true; improved && left > 0; {
		improved = false
		for size := max(1, len(best)/2); size >= 1; size = lessThan(size) {
			for at := 0; at+size <= len(best); {
				if try(without(best, at, size)) {
					improved = true
					continue
				}
				at++
			}
		}
		for at := 0; at < len(best); at++ {
			for at < len(best) && best[at] > 0 && (try(with(best, at, 0)) || try(with(best, at, 1)) ||
				try(with(best, at, best[at]/2)) || try(with(best, at, best[at]-1))) {
				improved = true
			}
		}
	}
	return best, failure
}

// lessThan returns the next smaller number of choices to leave out at once. A part
// of a case takes a few choices, and often it goes only as a whole.
func lessThan(size int) int {
	if size > 16 {
		return size / 2
	}
	return size - 1
}

// less orders lists by length, then by their choices.
func less(a, b []uint32) bool {
	if len(a) != len(b) {
		return len(a) < len(b)
	}
	for i := range a {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}

func trimZeros(list []uint32) []uint32 {
	for len(list) > 0 && list[len(list)-1] == 0 {
		list = list[:len(list)-1]
	}
	return list
}

func without(list []uint32, at, n int) []uint32 {
	return append(append([]uint32(nil), list[:at]...), list[at+n:]...)
}

func with(list []uint32, at int, value uint32) []uint32 {
	c := append([]uint32(nil), list...)
	c[at] = value
	return c
}
