package main

import (
	"fmt"
	"slices"
	"strings"
)

// An edit is one line of a difference: kept (' '), removed ('-') or added ('+').
type edit struct {
	mark byte
	line string
}

// fullDiff returns after with the changes from before marked: every line, without
// any header.
func fullDiff(before, after string) string {
	var out strings.Builder
	for _, e := range editScript(splitLines(before), splitLines(after)) {
		fmt.Fprintf(&out, "%c%s\n", e.mark, e.line)
	}
	return out.String()
}

// shortDiff is a unifiedDiff with three lines around each change.
func shortDiff(before, after string) string { return unifiedDiff(before, after, 3) }

// unifiedDiff returns the difference between two texts in the unified format,
// without file headers, or "" if they are equal. Around each change it shows
// context unchanged lines.
func unifiedDiff(before, after string, context int) string {
	edits := editScript(splitLines(before), splitLines(after))
	var out strings.Builder
	lineA, lineB := 1, 1 // of edits[next]
	next := 0
	advance := func(to int) {
		for ; next < to; next++ {
			if edits[next].mark != '+' {
				lineA++
			}
			if edits[next].mark != '-' {
				lineB++
			}
		}
	}
	for _, h := range hunks(edits, context) {
		advance(h.first)
		startA, startB := lineA, lineB
		advance(h.end)
		fmt.Fprintf(&out, "@@ -%s +%s @@\n", lineRange(startA, lineA), lineRange(startB, lineB))
		for _, e := range edits[h.first:h.end] {
			fmt.Fprintf(&out, "%c%s\n", e.mark, e.line)
		}
	}
	return out.String()
}

// lineRange formats the lines from first up to, not including, end. An empty
// range is named after the line before it, as diff does.
func lineRange(first, end int) string {
	length := end - first
	if length == 0 {
		first--
	}
	return fmt.Sprintf("%d,%d", first, length)
}

type hunk struct{ first, end int }

// hunks returns the runs of edits to show: each change with its context, and
// changes whose contexts touch in one run.
func hunks(edits []edit, context int) []hunk {
	var all []hunk
	for i, e := range edits {
		if e.mark == ' ' {
			continue
		}
		first, end := max(0, i-context), min(len(edits), i+context+1)
		if n := len(all); n > 0 && first <= all[n-1].end {
			all[n-1].end = end
			continue
		}
		all = append(all, hunk{first, end})
	}
	return all
}

// maxRounds bounds how many changes are sought together: time and memory grow with their
// square.
const maxRounds = 500

// editScript returns a list of edits that turns a into b: a shortest one if it has up to
// maxRounds changes, or else one that is put together of such pieces.
func editScript(a, b []string) (all []edit) {
	for {
		edits, x, y := beginScript(a, b)
		if all = append(all, edits...); x == len(a) && y == len(b) {
			return all
		}
		a, b = a[x:], b[y:]
	}
}

// beginScript returns the edits that turn the first x lines of a into the first y of b: all
// of them, or those that get furthest with maxRounds changes (Myers, "An O(ND) Difference
// Algorithm and Its Variations").
func beginScript(a, b []string) (edits []edit, x, y int) {
	furthest := map[int]int{1: 0} // how far into a each diagonal x-y has got
	var rounds []map[int]int      // furthest as it was before each round
	for d := 0; ; d++ {
		rounds = append(rounds, cloneDiagonals(furthest, d))
		for k := -d; k <= d; k += 2 {
			x := furthest[k-1] + 1
			if down(furthest, k, d) {
				x = furthest[k+1]
			}
			for x < len(a) && x-k < len(b) && a[x] == b[x-k] {
				x++
			}
			furthest[k] = x
			if x >= len(a) && x-k >= len(b) {
				return walkBack(a, b, rounds), len(a), len(b)
			}
		}
		if d < maxRounds {
			continue
		}
		for k := -d; k <= d; k += 2 {
			if to := furthest[k]; to <= len(a) && to >= k && to-k <= len(b) && to+to-k > x+y {
				x, y = to, to-k
			}
		}
		if x+y > 0 {
			return walkBack(a[:x], b[:y], rounds), x, y
		}
	}
}

// down reports whether round d reaches diagonal k by adding a line of b rather
// than by removing one of a.
func down(furthest map[int]int, k, d int) bool {
	return k == -d || k != d && furthest[k-1] < furthest[k+1]
}

func cloneDiagonals(furthest map[int]int, d int) map[int]int {
	c := make(map[int]int, 2*d+1)
	for k := -d; k <= d; k++ {
		c[k] = furthest[k]
	}
	c[d+1], c[-d-1] = furthest[d+1], furthest[-d-1]
	return c
}

// walkBack retraces the rounds from the ends of both texts to their starts.
func walkBack(a, b []string, rounds []map[int]int) []edit {
	var edits []edit
	x, y := len(a), len(b)
	for d := len(rounds) - 1; d >= 0; d-- {
		furthest := rounds[d]
		k := x - y
		previous := k - 1
		if down(furthest, k, d) {
			previous = k + 1
		}
		startX := furthest[previous]
		startY := startX - previous
		for x > startX && y > startY && x > 0 && y > 0 {
			x, y = x-1, y-1
			edits = append(edits, edit{' ', a[x]})
		}
		if d == 0 {
			break
		}
		if x == startX {
			y--
			edits = append(edits, edit{'+', b[y]})
		} else {
			x--
			edits = append(edits, edit{'-', a[x]})
		}
	}
	slices.Reverse(edits)
	return edits
}

func splitLines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}
