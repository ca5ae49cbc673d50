package main

import (
	"math/rand/v2"
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
