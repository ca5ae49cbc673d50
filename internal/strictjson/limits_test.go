package strictjson_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/kubesa/serviceaccount/internal/strictjson"
)

func TestScannerInt(t *testing.T) {
	number := func(n int64) *int64 { return &n }
	for _, tt := range []struct {
		text    string
		want    *int64
		problem string
	}{
		{"0", number(0), ""},
		{" -12 ", number(-12), ""},
		{"9223372036854775807", number(1<<63 - 1), ""},
		{"-9223372036854775808", number(-1 << 63), ""},
		{"9223372036854775808", nil, "not an integer at byte 0"},
		{" 1.0", nil, "not an integer at byte 1"},
		{"1e3", nil, "not an integer at byte 0"},
		{`"1"`, nil, "not an integer at byte 0"},
		{"true", nil, "not an integer at byte 0"},
		{"null", nil, "not an integer at byte 0"},
		{"01", nil, "more than one JSON value at byte 1"},
		{"1.", nil, "not a number at byte 2"},
		{"-", nil, "not a number at byte 1"},
		{"", nil, "no value at byte 0"},
	} {
		s := strictjson.Scanner{Source: tt.text, MaxDepth: 1}
		got, err := s.Int(), s.End()
		if text := fmt.Sprint(err); err == nil && tt.problem != "" || err != nil && text != tt.problem {
			t.Errorf("Int() of %s: the error is %v, want %q", tt.text, err, tt.problem)
		}
		if err == nil && *got != *tt.want || err != nil && strings.HasPrefix(tt.problem, "not an integer") && got != nil {
			t.Errorf("Int() of %s = %v, want %v", tt.text, got, tt.want)
		}
	}
	s := strictjson.Scanner{Source: "null", MaxDepth: 1, NullIsAbsent: true}
	if got, err := s.Int(), s.End(); got != nil || err != nil {
		t.Errorf("Int() of null = %v (%v), want nil", got, err)
	}
}

func TestScannerWant(t *testing.T) {
	s := strictjson.Scanner{Source: `[ 1, "x", {}]`, MaxDepth: 2}
	var got []bool
	for range s.Elements {
		got = append(got, s.Want('"', "an element is not a string")) // what isn't read is skipped
	}
	err := s.End()
	if fmt.Sprint(got) != "[false true false]" || err == nil || err.Error() != "an element is not a string at byte 2" {
		t.Errorf("Want() = %v, %v", got, err)
	}
}

// countdown is done once it was looked at n times.
type countdown struct {
	context.Context
	n, looks int
}

func (c *countdown) Err() error {
	if c.looks++; c.looks > c.n {
		return context.Canceled
	}
	return nil
}

// The context is looked at once for so many values, read or skipped, and ends the
// scan.
func TestScannerContext(t *testing.T) {
	array := "[" + strings.TrimSuffix(strings.Repeat("1,", 10_000), ",") + "]"
	var object strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&object, `,"%d":[]`, i)
	}
	for name, text := range map[string]string{
		"elements": array,
		"members":  "{" + object.String()[1:] + "}",
		"nested":   "[" + strings.TrimSuffix(strings.Repeat("[1],", 5_000), ",") + "]",
	} {
		for _, read := range []func(s *strictjson.Scanner){(*strictjson.Scanner).Skip, func(s *strictjson.Scanner) { readValue(s) }} {
			ctx := &countdown{Context: t.Context(), n: 1000}
			s := strictjson.Scanner{Source: text, MaxDepth: 3, Context: ctx}
			if read(&s); s.End() != nil || ctx.looks < 9 || ctx.looks > 10 {
				t.Errorf("%s: End() = %v after %d looks, want nil after 9 or 10", name, s.End(), ctx.looks)
			}
			ctx = &countdown{Context: t.Context(), n: 2}
			s = strictjson.Scanner{Source: text, MaxDepth: 3, Context: ctx}
			read(&s)
			e, ok := errors.AsType[*strictjson.Error](s.End())
			if !ok || e.Problem != "not read in time" || ctx.looks != 3 || e.Offset == 0 || e.Offset > len(text)/2 {
				t.Errorf("%s: End() = %v after %d looks, want that it was not read in time", name, s.End(), ctx.looks)
			}
		}
	}
}

func TestAppendText(t *testing.T) {
	for _, s := range []string{"", "a", `"\/`, "\x00\x1f\n\t\x7f", "ä😀\u2028", "<&>", strings.Repeat("x", 100)} {
		text := string(strictjson.AppendText([]byte("x"), s))
		if got, err := read(text[1:]); err != nil || got != s || text[0] != 'x' {
			t.Errorf("AppendText(%q) = %s, which is read as %q (%v)", s, text, got, err)
		}
	}
	if got := string(strictjson.AppendText(nil, "a\xffb\xc3")); got != `"a�b�"` {
		t.Errorf("AppendText() of what is no text = %s", got)
	}
}

// Escapes of four hexadecimal digits, whatever the last but one is, are those of
// encoding/json.
func TestEscapeDigits(t *testing.T) {
	for c := byte(' '); c < 0x80; c++ {
		for _, text := range []string{`"\u00` + string(rune(c)) + `1"`, `"\u` + string(rune(c)) + `041"`, `"\ud83d\ude` + string(rune(c)) + `0"`} {
			want, wantErr := decode(text)
			got, err := read(text)
			if (err == nil) != (wantErr == nil) && !strings.Contains(text, "ud83d") && c != 'd' && c != 'D' || err == nil && got != want {
				t.Errorf("%s is read as %q, %v, want %q, %v", text, got, err, want, wantErr)
			}
		}
	}
	s := strictjson.Scanner{Source: `"a\n`, MaxDepth: 1}
	s.Text()
	if err := s.End(); err == nil || err.Error() != "string without an end at byte 4" {
		t.Errorf("End() = %v", err)
	}
}

// A body that only looks at what comes next leaves it to be skipped.
func TestScannerPeek(t *testing.T) {
	object := strictjson.Scanner{Source: `{"a": 1, "b":	[2]}`, MaxDepth: 2}
	names := ""
	for name := range object.Members {
		names += name + string(object.Next())
	}
	array := strictjson.Scanner{Source: `[ 1, [2]]`, MaxDepth: 2}
	first := ""
	for range array.Elements {
		first += string(array.Next())
	}
	if err := errors.Join(object.End(), array.End()); err != nil || names != "a1b[" || first != "1[" {
		t.Errorf("found %q and %q, %v", names, first, err)
	}
}
