package mutate

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// switched returns the source of a file with the switches of its mutants.
func switched(source []byte, mutants []*Mutant) []byte {
	type placed struct {
		edit
		m     *Mutant
		order int
		ends  bool // what its mutant changes
	}
	var all []placed
	for order, m := range mutants {
		for i, e := range m.edits {
			all = append(all, placed{e, m, order, i > 0 && i == len(m.edits)-1})
		}
	}
	slices.SortFunc(all, func(a, b placed) int {
		if a.at != b.at {
			return cmp.Compare(a.at, b.at)
		}
		if a.ends != b.ends { // what ends here, before what starts here
			if a.ends {
				return -1
			}
			return 1
		}
		if a.ends { // from the inside out
			return cmp.Or(cmp.Compare(b.m.start, a.m.start), cmp.Compare(b.order, a.order))
		}
		return cmp.Or(cmp.Compare(b.m.end, a.m.end), cmp.Compare(a.order, b.order))
	})
	var out []byte
	last := 0
	for _, p := range all {
		out = append(out, source[last:p.at]...)
		out = append(out, strings.ReplaceAll(p.text, id, strconv.Itoa(p.m.id))...)
		last = p.at + p.skip
	}
	return append(out, source[last:]...)
}

// switches is the file that is added to the package.
const switches = `
import (
	"os"
	"strconv"
	"sync"
)

var (
	mutantActive, _ = strconv.Atoi(os.Getenv("MUTANT"))
	mutantReached   = os.Getenv("MUTANTS_REACHED")
	mutantSeen      sync.Map
)

func mutantOn(id int) bool {
	if mutantReached != "" {
		mutantNote(id)
	}
	return id == mutantActive
}

// mutantNote writes each mutant that is reached to a file, once.
func mutantNote(id int) {
	if _, seen := mutantSeen.LoadOrStore(id, true); seen {
		return
	}
	file, err := os.OpenFile(mutantReached, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		panic(err)
	}
	defer file.Close()
	if _, err := file.WriteString(strconv.Itoa(id) + "\n"); err != nil {
		panic(err)
	}
}

type mutantInteger interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr
}

func mutantAdd[T mutantInteger](id int, a, b T) T {
	if mutantOn(id) {
		return a - b
	}
	return a + b
}

func mutantSub[T mutantInteger](id int, a, b T) T {
	if mutantOn(id) {
		return a + b
	}
	return a - b
}

func mutantMore[T mutantInteger](id int, v T) T {
	if mutantOn(id) {
		return v + 1
	}
	return v
}

func mutantLess[T mutantInteger](id int, v T) T {
	if mutantOn(id) {
		return v - 1
	}
	return v
}

func mutantDouble[T mutantInteger](id int, v T) T {
	if mutantOn(id) {
		return v * 2
	}
	return v
}

func mutantZero[T any](id int, v T) T {
	if mutantOn(id) {
		return *new(T)
	}
	return v
}
`
