package names_test

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/kubesa/serviceaccount/internal/names"
)

// Names as clients send them: some that objects can have, and what would leave the
// path of an object if it got into one.
var candidates = []string{
	"a", "default", "a-b", "with.dots", "0", "a.0", "a--b", "x-1.y-2",
	"", ".", "..", "a.", ".a", "a..b", "-", "-a", "a-", "a.-b", "a-.b", "A", "Not_A_Name", "a_b", "a b", " a", "a\n", "a\x00", "ä", "\xff",
	"/", "a/b", "../a", "../../../namespaces/kube-system/secrets/x", "..%2f..%2fsecrets%2fx", "a%2fb", "a?b=c", "a#b", `a\b`, "a:b", "a@b", "a;b", "*",
	strings.Repeat("a", 63), strings.Repeat("a", 64), strings.Repeat("a", 253), strings.Repeat("a", 254), strings.Repeat("a.", 126) + "a", strings.Repeat("a.", 127),
}

func TestValid(t *testing.T) {
	all := slices.Clone(candidates)
	for c := range 256 {
		all = append(all, string([]byte{byte(c)}))
	}
	for _, name := range all {
		if got, want := names.Valid(name), len(validation.IsDNS1123Subdomain(name)) == 0; got != want {
			t.Errorf("Valid(%q) = %v, want %v", name, got, want)
		}
		if got, want := names.ValidNamespace(name), len(validation.IsDNS1123Label(name)) == 0; got != want {
			t.Errorf("ValidNamespace(%q) = %v, want %v", name, got, want)
		}
	}
}

func FuzzValid(f *testing.F) {
	for _, name := range candidates {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if got, want := names.Valid(name), len(validation.IsDNS1123Subdomain(name)) == 0; got != want {
			t.Errorf("Valid(%q) = %v, want %v", name, got, want)
		}
		if got, want := names.ValidNamespace(name), len(validation.IsDNS1123Label(name)) == 0; got != want {
			t.Errorf("ValidNamespace(%q) = %v, want %v", name, got, want)
		}
		if short := names.Shorten(name); len(short) > 253+len("…") || names.Valid(name) && short != name || utf8.ValidString(name) && !utf8.ValidString(short) {
			t.Errorf("Shorten(%q) = %q", name, short)
		}
	})
}

func TestTexts(t *testing.T) {
	long := strings.Repeat("x", 300)
	for _, tt := range []struct{ text, shortened, quoted string }{
		{"", "", `""`},
		{"a\n", "a\n", `"a\n"`},
		{long[:64], long[:64], `"` + long[:64] + `"`},
		{long[:65], long[:65], `"` + long[:64] + `"…`},
		{long[:253], long[:253], `"` + long[:64] + `"…`},
		{long[:254], long[:253] + "…", `"` + long[:64] + `"…`},
		{long[:252] + "ää", long[:252] + "…", `"` + long[:64] + `"…`},
		{long[:63] + "ä", long[:63] + "ä", `"` + long[:63] + `"…`},
		{strings.Repeat("\x80", 300), strings.Repeat("\x80", 249) + "…", `"` + strings.Repeat(`\x80`, 60) + `"…`},
	} {
		if got := names.Shorten(tt.text); got != tt.shortened {
			t.Errorf("Shorten(%q) = %q, want %q", tt.text, got, tt.shortened)
		}
		if got := names.Quote(tt.text); got != tt.quoted {
			t.Errorf("Quote(%q) = %q, want %q", tt.text, got, tt.quoted)
		}
	}
}

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "web-1.example": "web-1.example", "a \"b\" ä": "a \"b\" ä", "a\nset x\x1b[31m\u202e\xff": `a\nset x\x1b[31m\u202e\xff`, `a\n"`: `a\\n"`,
		strings.Repeat("\n", 254): strings.Repeat(`\n`, 253) + "…",
	} {
		if got := names.Printable(text); got != want {
			t.Errorf("Printable(%q) = %q, want %q", text, got, want)
		}
	}
}
