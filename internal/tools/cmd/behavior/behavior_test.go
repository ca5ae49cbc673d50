package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestSpans(t *testing.T) {
	for _, tt := range []struct {
		text string
		want string
	}{
		{"ADM-1", "[ADM-1]"},
		{"REQ-2, REQ-10..12, CTL-7 as we differ", "[REQ-2 REQ-10..REQ-12 CTL-7]"},
		{"REQ-10..REQ-12", "[REQ-10..REQ-12]"},
		{"ADM-30..33, ADM-33t, KEY-39a", "[ADM-30..ADM-33 ADM-33t KEY-39a]"},
		{"CTL-T1..T4, CTL-4/60.", "[CTL-T1..CTL-T4 CTL-4 CTL-60]"},
		{"SECURITY C06, G6: linear (S9). J05..J08, V10..14", "[C06 G6 S9 J05..J08 V10..V14]"},
		{"S1..S6, S8..S11 at every write", "[S1..S6 S8..S11]"},
		{"UTF-8, SHA-256, P256, P-256, K8s, A1, S12, CVE-2023-2728", "[]"},
	} {
		var got []string
		for _, s := range spansIn(tt.text, true) {
			if s.first == s.last {
				got = append(got, s.first.String())
			} else {
				got = append(got, s.first.String()+".."+s.last.String())
			}
		}
		if fmt.Sprint(got) != tt.want {
			t.Errorf("spansIn(%q) = %v, want %s", tt.text, got, tt.want)
		}
	}
}

const someTest = `package a_test

// ADM-1, C01
func TestOne(t *testing.T) {
	t.Run("a case (ADM-3)", nil)
}

// helper is for ADM-2.
func helper() {}
`

func TestRewrite(t *testing.T) {
	cited, err := citationsOf(fstest.MapFS{
		"a/a.go":                   {Data: []byte("package a\n\n// Here: ADM-4\nvar x = \"ADM-9\"\n")},
		"a/a_test.go":              {Data: []byte(someTest)},
		"b_test.go":                {Data: []byte("package b\n\n// ADM-1..3\nfunc FuzzTwo(f *testing.F) {}\n")},
		"a/testdata/ignored.go":    {Data: []byte("package a // ADM-9\n")},
		"docs/deviations.md":       {Data: []byte("| ADM-5 |\n")},
		"internal/tools/ignore.go": {Data: []byte("package tools // ADM-9\n")},
	})
	if err != nil {
		t.Fatal(err)
	}
	const before = "# Rules\n\n| ADM-1 | one | stale |\n| ADM-2 | two | – |\n| ADM-3 | three | – |\n| ADM-4 | four | – |\n| ADM-5 | five | – |\n| ADM-6 | six | – |\n| C01 | a fault | |\n"
	const after = "# Rules\n\n| ADM-1 | one | `FuzzTwo`, `a.TestOne` |\n| ADM-2 | two | `FuzzTwo`, `a/a_test.go` |\n" +
		"| ADM-3 | three | `FuzzTwo`, `a.TestOne` |\n| ADM-4 | four | – |\n| ADM-5 | five | – |\n| C01 | a fault | `a.TestOne` |\n"
	got, err := rewrite(before, cited)
	if err != nil || got != after {
		t.Errorf("rewrite = %v,\n%s\nwant\n%s", err, got, after)
	}

	_, err = rewrite("| ADM-1 | one | |\n| ADM-1 | one | |\n| ADM-3 |  | |\n| ADM-4 | four | |\n", cited)
	want := []string{
		"docs/behavior.md: ADM-1 has two lines",
		"docs/behavior.md: ADM-3 has no meaning",
		"docs/behavior.md has no line for ADM-2, which is cited in a/a_test.go",
		"docs/behavior.md has no line for ADM-5, which is cited in docs/deviations.md",
		"docs/behavior.md has no line for C01, which is cited in a/a_test.go",
	}
	if err == nil || !slices.Equal(strings.Split(err.Error(), "\n"), want) {
		t.Errorf("rewrite: %v\nwant %q", err, want)
	}
}
