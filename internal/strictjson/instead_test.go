package strictjson_test

import (
	"testing"

	"github.com/kubesa/serviceaccount/internal/strictjson"
)

func TestInstead(t *testing.T) {
	for text, want := range map[string]string{
		"":                    "is empty",
		" \t\r\n":             "is empty",
		"\ufeff{}":            "begins with a byte order mark",
		"\xff\xfe{\x00":       "is UTF-16, want UTF-8",
		"\xfe\xff\x00{":       "is UTF-16, want UTF-8",
		"\x1f\x8b\x08":        "is compressed with gzip",
		"\r\n <html>":         "is HTML or XML",
		"-----BEGIN X-----\n": "is PEM",
		"-----END X-----\n":   "",
		"\t[{}]":              "is an array",
		`"{}"`:                "is a string",
		"null":                "",
		"a: 1":                "",
		"{":                   "",
	} {
		if got := strictjson.Instead(text); got != want {
			t.Errorf("Instead(%q) = %q, want %q", text, got, want)
		}
	}
}
