package strictjson_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/kubesa/serviceaccount/internal/strictjson"
)

const maxDepth = 16

// read returns what a Scanner reads from text, in the types of encoding/json.
func read(text string) (any, error) {
	s := strictjson.Scanner{Source: text, MaxDepth: maxDepth}
	value := readValue(&s)
	return value, s.End()
}

func readValue(s *strictjson.Scanner) any {
	switch s.Next() {
	case '{':
		object := map[string]any{}
		for name := range s.Members {
			object[name] = readValue(s)
		}
		return object
	case '[':
		array := []any{}
		for i := range s.Elements {
			if i != len(array) {
				panic("the indexes of elements are wrong")
			}
			array = append(array, readValue(s))
		}
		return array
	case '"':
		return s.Text()
	case 't', 'f':
		if b := s.Bool(); b != nil {
			return *b
		}
		return nil
	case 'n':
		s.Skip()
		return nil
	}
	return json.Number(s.Raw())
}

func decode(text string) (value any, err error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	return value, decoder.Decode(&value)
}

func TestScanner(t *testing.T) {
	for _, text := range []string{
		`{}`, `[]`, `""`, `0`, `true`, `false`, `null`, " \t\r\n{ \"a\" : [ 1 , 2 ] } \n",
		`{"a":{"b":0},"c":{"b":0}}`, `[{},[],"",-0,null,true,false]`,
		`[0,-0,1,-1.5,1e9,1E+9,1.25e-9,9223372036854775807,1e999]`,
		`"x\"\\\/\b\f\n\r\t\u00e9é"`, `"\ud83d\ude00"`, `"\uD83D\uDE00x"`, `"日本\u65e5"`, `{"\u0061":"\u0000"}`,
		`"` + "\u007f\u2028\ufffd\U0010ffff" + `"`,
		strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth),
		object(23), object(24), object(25), object(1000),
	} {
		got, err := read(text)
		want, wantErr := decode(text)
		if err != nil || wantErr != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("read %#v (%v) from %.200s, want %#v (%v)", got, err, text, want, wantErr)
		}
	}
}

// Whatever byte stands where a text may go on, it is JSON if encoding/json says so; but
// for what isn't UTF-8.
func TestScannerBytes(t *testing.T) {
	for _, around := range [][2]string{
		{"", ""}, {"", "1"}, {"", ".5"}, {"1", ""}, {"1", "1"}, {"-", ""}, {"-", "1"}, {"0", "1"}, {"1.", ""}, {"1.", "e5"}, {"1e", ""}, {"1e", "1"}, {"1", "e"}, {"1.5e", "5"},
		{`"`, `"`}, {`"\`, `"`}, {`"\u00`, `0"`}, {"[1", "2]"}, {"[", "]"}, {`{"a"`, "1}"}, {`{"a":1`, `"b":2}`}, {"tru", ""}, {"nul", ""}, {"fals", ""},
	} {
		for c := range 256 {
			text := around[0] + string([]byte{byte(c)}) + around[1]
			if _, err := read(text); (err == nil) != (json.Valid([]byte(text)) && utf8.ValidString(text)) {
				t.Errorf("%q: %v, and encoding/json takes it for valid: %t", text, err, json.Valid([]byte(text)))
			}
		}
	}
	// Without a Context nobody stops a scan, however long it is.
	if _, err := read("[" + strings.Repeat("1,", 5000) + "1]"); err != nil {
		t.Errorf("a long array: %v", err)
	}
	if _, err := read("\"\x1f\""); err == nil || !strings.HasPrefix(err.Error(), "control character") {
		t.Errorf("0x1f in a string: %v", err)
	}
	s := strictjson.Scanner{Source: " 1 "}
	if got := s.Raw(); got != "1" {
		t.Errorf("Raw() = %q, want 1", got)
	}
	s = strictjson.Scanner{Source: "[ \n {} , 2]", MaxDepth: maxDepth}
	for i := range s.Elements {
		if got, want := s.Raw(), []string{"{}", "2"}[i]; got != want {
			t.Errorf("Raw() = %q, want %q", got, want)
		}
	}
	s = strictjson.Scanner{Source: `"a"`, NullIsAbsent: true}
	if s.Int(); s.Mismatch == nil {
		t.Error("a string instead of an integer is no mismatch where null is absent")
	}
}

// object returns an object of n members, and last.
func object(n int, last ...string) string {
	var members []string
	for i := range n {
		members = append(members, fmt.Sprintf(`"n%d":%d`, i, i))
	}
	return "{" + strings.Join(append(members, last...), ",") + "}"
}

func TestScannerErrors(t *testing.T) {
	tests := []struct{ text, want string }{
		{``, "no value at byte 0"},
		{` `, "no value at byte 1"},
		{"\ufeff{}", "no value at byte 0"},
		{`x`, "no value at byte 0"},
		{`nul`, "no value at byte 0"},
		{`nulls`, "more than one JSON value at byte 4"},
		{`tru`, "no value at byte 0"},
		{`{}x`, "more than one JSON value at byte 2"},
		{"{}\x00", "more than one JSON value at byte 2"},
		{`{} {}`, "more than one JSON value at byte 3"},
		{"{\x00}", "no name at byte 1"},
		{`{`, "no name at byte 1"},
		{`{a:1}`, "no name at byte 1"},
		{`{"a":1,}`, "no name at byte 7"},
		{`{,}`, "no name at byte 1"},
		{`{"a"}`, "no colon after a name at byte 4"},
		{`{"a"`, "no colon after a name at byte 4"},
		{`{"a":}`, "no value at byte 5"},
		{`{"a":`, "no value at byte 5"},
		{`{"a":1`, "neither a comma nor the end of an object at byte 6"},
		{`{"a":1 "b":1}`, "neither a comma nor the end of an object at byte 7"},
		{`{"a":1]`, "neither a comma nor the end of an object at byte 6"},
		{`[1,]`, "no value at byte 3"},
		{`[,]`, "no value at byte 1"},
		{`[`, "no value at byte 1"},
		{`[1 2]`, "neither a comma nor the end of an array at byte 3"},
		{`[1}`, "neither a comma nor the end of an array at byte 2"},
		{`-`, "not a number at byte 1"},
		{`-x`, "not a number at byte 1"},
		{`01`, "more than one JSON value at byte 1"},
		{`1.`, "not a number at byte 2"},
		{`1.e1`, "not a number at byte 4"},
		{`1e`, "not a number at byte 2"},
		{`1e+`, "not a number at byte 3"},
		{`+1`, "no value at byte 0"},
		{`.5`, "no value at byte 0"},
		{`NaN`, "no value at byte 0"},
		{`"`, "string without an end at byte 1"},
		{`"é`, "string without an end at byte 3"},
		{`"\`, "string without an end at byte 1"},
		{`"\x"`, "bad escape at byte 1"},
		{`"\u12g4"`, "bad escape at byte 1"},
		{`"\u12`, "bad escape at byte 1"},
		{`"\U0041"`, "bad escape at byte 1"},
		{`"\ud800"`, "unpaired surrogate at byte 1"},
		{`"\udc00"`, "unpaired surrogate at byte 1"},
		{`"\udc00\ud800"`, "unpaired surrogate at byte 1"},
		{`"\ud800\u0041"`, "unpaired surrogate at byte 1"},
		{`"\ud83dXude00"`, "unpaired surrogate at byte 1"},
		{`"\ud83d`, "unpaired surrogate at byte 1"},
		{`"\ud83d\ude0`, "unpaired surrogate at byte 1"},
		{"\"\t\"", "control character in a string at byte 1"},
		{"\"é\n\"", "control character in a string at byte 3"},
		{"\"\xff\"", "invalid UTF-8 at byte 1"},
		{"\"a\xc3\x28\"", "invalid UTF-8 at byte 2"},
		{"\"\xed\xa0\x80\"", "invalid UTF-8 at byte 1"}, // half a surrogate pair
		{"\"\xc0\xaf\"", "invalid UTF-8 at byte 1"},     // a slash, too long
		{`{"a":1,"a":1}`, "duplicate name at byte 7"},
		{`{"a":1,"\u0061":1}`, "duplicate name at byte 7"},
		{`[{"b":0,"b":1}]`, "duplicate name at byte 8"},
		{`{"":1,"":1}`, "duplicate name at byte 6"},
		{object(24, `"n23":0`), "duplicate name at byte 197"},
		{object(30, `"n29":0`), "duplicate name at byte 251"},
		{object(30, `"n0":0`), "duplicate name at byte 251"},
		{strings.Repeat("[", maxDepth+1), "nested too deeply at byte 16"},
		{strings.Repeat(`{"a":`, maxDepth+1), "nested too deeply at byte 80"},
	}
	for _, tt := range tests {
		_, err := read(tt.text)
		if e, ok := errors.AsType[*strictjson.Error](err); !ok || e.Error() != tt.want {
			t.Errorf("reading %.80q: %v, want %s", tt.text, err, tt.want)
		}
		// Skipping finds the same.
		s := strictjson.Scanner{Source: tt.text, MaxDepth: maxDepth}
		s.Skip()
		if err := s.End(); err == nil || err.Error() != tt.want {
			t.Errorf("skipping %.80q: %v, want %s", tt.text, err, tt.want)
		}
	}
}

func TestScannerReserved(t *testing.T) {
	tests := []struct {
		text     string
		reserved []string
		name     string // that is wrong
	}{
		{`{"sub":1,"SUBJECT":1,"x":{"sub":1}}`, []string{"sub"}, ""},
		{`{"Sub":1}`, []string{"sub"}, "Sub"},
		{`[{"x":{"SUB":1}}]`, []string{"aud", "sub"}, "SUB"},
		{`{"ſub":1}`, []string{"sub"}, "ſub"},
		{`{"\u212aey":1}`, []string{"key"}, "\u212aey"},
		{`{"É":1}`, []string{"é", ""}, "É"},
		{`{"":1}`, []string{"", "a"}, ""},
	}
	for _, tt := range tests {
		s := strictjson.Scanner{Source: tt.text, MaxDepth: maxDepth, Reserved: tt.reserved}
		s.Skip()
		err := s.End()
		if e, ok := errors.AsType[*strictjson.Error](err); ok != (tt.name != "") || ok && (e.Name != tt.name || e.Problem != "name that differs from a known one only in case") {
			t.Errorf("%s with %q reserved: %v, want the name %q rejected", tt.text, tt.reserved, err, tt.name)
		}
	}
}

// An error says nothing of the text; the name is for callers who may show it.
func TestErrorHoldsNothing(t *testing.T) {
	_, err := read(`{"canary":1,"canary":2}`)
	e, ok := errors.AsType[*strictjson.Error](err)
	if !ok || e.Name != "canary" || strings.Contains(e.Error(), "canary") {
		t.Errorf("got %v, want an Error with the name apart", err)
	}
}

func TestScannerMismatch(t *testing.T) {
	const text = `{"object":[1],"array":{"a":1},"string":7,"boolean":"true","null":null}`
	for name, want := range map[string]string{
		"object": "not an object at byte 10", "array": "not an array at byte 22", "string": "not a string at byte 39", "boolean": "not a boolean at byte 51",
	} {
		s := strictjson.Scanner{Source: text, MaxDepth: maxDepth}
		for member := range s.Members {
			if member != name {
				continue
			}
			switch name {
			case "object":
				for range s.Members {
					t.Error("an array has members")
				}
			case "array":
				for range s.Elements {
					t.Error("an object has elements")
				}
			case "string":
				if got := s.Text(); got != "" {
					t.Errorf("Text() of a number = %q", got)
				}
			case "boolean":
				if got := s.Bool(); got != nil {
					t.Errorf("Bool() of a string = %v", *got)
				}
			}
		}
		if err := s.End(); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
		if s.Mismatch = nil; s.End() == nil {
			t.Error("the error is gone after End")
		}
	}
}

// The first mismatch is kept, may be reset, and counts less than what makes the
// text invalid.
func TestScannerMismatchIsLast(t *testing.T) {
	s := strictjson.Scanner{Source: `[1,2,"x"]`, MaxDepth: 1}
	var got string
	for range s.Elements {
		got = s.Text()
	}
	if got != "x" || s.Mismatch == nil || s.Mismatch.Offset != 1 {
		t.Errorf("read %q, mismatch %v; want the first one, and to go on", got, s.Mismatch)
	}
	s.Mismatch = nil
	if err := s.End(); err != nil {
		t.Errorf("End() = %v after the mismatch was reset", err)
	}
	s = strictjson.Scanner{Source: `[1,}`, MaxDepth: 1}
	for range s.Elements {
		s.Text()
	}
	if err := s.End(); err == nil || err.Error() != "no value at byte 3" {
		t.Errorf("End() = %v, want what is invalid", err)
	}
}

func TestScannerNullIsAbsent(t *testing.T) {
	for _, absent := range []bool{true, false} {
		s := strictjson.Scanner{Source: `{"a":null,"b":null,"c":null,"d":null}`, MaxDepth: maxDepth, NullIsAbsent: absent}
		for name := range s.Members {
			switch name {
			case "a":
				s.Text()
			case "b":
				s.Bool()
			case "c":
				for range s.Members {
					t.Error("null has members")
				}
			case "d":
				for range s.Elements {
					t.Error("null has elements")
				}
			}
		}
		if err := s.End(); (err == nil) != absent {
			t.Errorf("null is absent: %v, End() = %v", absent, err)
		}
	}
}

func TestScannerFail(t *testing.T) {
	s := strictjson.Scanner{Source: `{"a":1,"b":2}`, MaxDepth: maxDepth}
	s.Object()
	for name := range s.Members {
		if name != "a" {
			t.Errorf("found %s after Fail", name)
		}
		s.FailName("unknown name", name)
		s.Fail("another problem")
		if s.Next() != 0 || s.Text() != "" || s.Raw() != "" {
			t.Error("found something after Fail")
		}
	}
	if e, ok := errors.AsType[*strictjson.Error](s.End()); !ok || *e != (strictjson.Error{Offset: 5, Problem: "unknown name", Name: "a"}) {
		t.Errorf("End() = %v, want the first problem", s.End())
	}
	s = strictjson.Scanner{Source: `[]`, MaxDepth: maxDepth}
	s.Object()
	if err := s.End(); err == nil || err.Error() != "not a JSON object at byte 0" {
		t.Errorf("End() = %v", err)
	}
}

func TestScannerAllocations(t *testing.T) {
	for name, text := range map[string]string{"claims": claims, "escapes": `{"a":"\u00e9\ud83d\ude00"}`, "names": object(24)} {
		if n := testing.AllocsPerRun(100, func() {
			if err := strictjson.Check(text, maxDepth, reserved); err != nil {
				t.Fatal(err)
			}
		}); n > 0 {
			t.Errorf("checking %s allocates %v times", name, n)
		}
	}
}

// strictness are the problems of texts that encoding/json accepts.
var strictness = []string{"duplicate name", "nested too deeply", "unpaired surrogate", "invalid UTF-8"}

// A Scanner reads what encoding/json reads. It rejects what that rejects, and
// else only what it is stricter about.
func FuzzScanner(f *testing.F) {
	f.Add(claims)
	f.Add(object(26))
	f.Add(`{"a":[1.5e-9,"\u00e9\"\\",{}],"b":[null,true,false]}`)
	f.Add(`{"a":"\ud83d\ude00","a":0}`)
	f.Add(`["\ud800",01,-]`)
	f.Fuzz(func(t *testing.T, text string) {
		got, err := read(text)
		s := strictjson.Scanner{Source: text, MaxDepth: maxDepth}
		s.Skip()
		if skipped := s.End(); fmt.Sprint(skipped) != fmt.Sprint(err) {
			t.Errorf("reading %q: %v, but skipping it: %v", text, err, skipped)
		}
		if err != nil {
			e, ok := errors.AsType[*strictjson.Error](err)
			if !ok || e.Offset < 0 || e.Offset > len(text) {
				t.Fatalf("reading %q: %#v", text, err)
			}
			strict := false
			for _, problem := range strictness {
				strict = strict || e.Problem == problem
			}
			if !strict && json.Valid([]byte(text)) {
				t.Errorf("reading %q: %v, but encoding/json accepts it", text, err)
			}
			return
		}
		want, err := decode(text)
		if err != nil || !json.Valid([]byte(text)) {
			t.Fatalf("%q was accepted, but not by encoding/json: %v", text, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("read %#v from %q, want %#v", got, text, want)
		}
	})
}
