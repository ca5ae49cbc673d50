package main

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestUnifiedDiff(t *testing.T) {
	const text = "a\nb\nc\nd\ne\nf\ng\nh\n"
	tests := []struct {
		name          string
		before, after string
		context       int
		want          string
	}{
		{name: "equal", before: text, after: text, context: 3, want: ""},
		{name: "both empty", want: ""},
		{name: "one line changed", before: text, after: strings.Replace(text, "e\n", "E\n", 1), context: 1,
			want: "@@ -4,3 +4,3 @@\n d\n-e\n+E\n f\n"},
		{name: "added at the end", before: text, after: text + "i\n", context: 2,
			want: "@@ -7,2 +7,3 @@\n g\n h\n+i\n"},
		{name: "removed at the start", before: text, after: strings.TrimPrefix(text, "a\n"), context: 1,
			want: "@@ -1,2 +1,1 @@\n-a\n b\n"},
		{name: "far changes are apart", before: text, after: "A\nb\nc\nd\ne\nf\ng\nH\n", context: 1,
			want: "@@ -1,2 +1,2 @@\n-a\n+A\n b\n@@ -7,2 +7,2 @@\n g\n-h\n+H\n"},
		{name: "near changes are together", before: text, after: "A\nb\nC\nd\ne\nf\ng\nh\n", context: 1,
			want: "@@ -1,4 +1,4 @@\n-a\n+A\n b\n-c\n+C\n d\n"},
		{name: "from nothing", after: "a\nb\n", context: 3, want: "@@ -0,0 +1,2 @@\n+a\n+b\n"},
		{name: "to nothing", before: "a\n", context: 3, want: "@@ -1,1 +0,0 @@\n-a\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, unifiedDiff(tt.before, tt.after, tt.context)); diff != "" {
				t.Errorf("unifiedDiff() (-want +got):\n%s", diff)
			}
		})
	}
}

// An edit script, read without its additions, is the first text, and without
// its removals the second; and it is no longer than one that keeps nothing.
func TestEditScriptRebuildsBothTexts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	lines := func() []string {
		var l []string
		for range r.IntN(40) {
			l = append(l, string(rune('a'+r.IntN(4))))
		}
		return l
	}
	for range 2000 {
		a, b := lines(), lines()
		var before, after []string
		kept := 0
		for _, e := range editScript(a, b) {
			if e.mark != '+' {
				before = append(before, e.line)
			}
			if e.mark != '-' {
				after = append(after, e.line)
			}
			if e.mark == ' ' {
				kept++
			}
		}
		if !cmp.Equal(before, a) || !cmp.Equal(after, b) {
			t.Fatalf("editScript(%q, %q) rebuilds %q and %q", a, b, before, after)
		}
		if want := longestCommon(a, b); kept != want {
			t.Fatalf("editScript(%q, %q) keeps %d lines, want %d", a, b, kept, want)
		}
	}
}

// A difference of many changes takes time and memory in proportion to them, and is one.
func TestEditScriptOfManyChanges(t *testing.T) {
	texts := func(n int) (a, b []string) {
		for i := range n {
			a = append(a, fmt.Sprint("kept ", i), fmt.Sprint("old ", i%7))
			b = append(b, fmt.Sprint("new ", i%5), fmt.Sprint("kept ", i))
		}
		return a, b
	}
	bytes := map[int]uint64{}
	for _, n := range []int{1000, 4000} {
		a, b := texts(n)
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		before := m.TotalAlloc
		edits := editScript(a, b)
		runtime.ReadMemStats(&m)
		bytes[n] = m.TotalAlloc - before
		var gotA, gotB []string
		for _, e := range edits {
			if e.mark != '+' {
				gotA = append(gotA, e.line)
			}
			if e.mark != '-' {
				gotB = append(gotB, e.line)
			}
		}
		if !slices.Equal(gotA, a) || !slices.Equal(gotB, b) {
			t.Errorf("%d changes rebuild other texts", n)
		}
		if len(edits) > 5*n {
			t.Errorf("%d edits for %d lines that stay, want few more than %d", len(edits), n, 3*n)
		}
	}
	if bytes[4000] > 6*bytes[1000] {
		t.Errorf("1000 lines take %d bytes and 4000 take %d, want four times as many", bytes[1000], bytes[4000])
	}
}

// longestCommon is the length of the longest common subsequence, the slow way.
func longestCommon(a, b []string) int {
	row := make([]int, len(b)+1)
	for i := len(a) - 1; i >= 0; i-- {
		diagonal := 0
		for j := len(b) - 1; j >= 0; j-- {
			below := row[j]
			if a[i] == b[j] {
				row[j] = diagonal + 1
			} else {
				row[j] = max(row[j], row[j+1])
			}
			diagonal = below
		}
	}
	return row[0]
}
