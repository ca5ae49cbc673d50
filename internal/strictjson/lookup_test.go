package strictjson_test

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubesa/serviceaccount/internal/strictjson"
)

func TestCheck(t *testing.T) {
	if err := strictjson.Check(claims, 3, reserved); err != nil {
		t.Errorf("Check() = %v for good claims", err)
	}
	for text, want := range map[string]string{
		``:                             "not a JSON object at byte 0",
		`[{}]`:                         "not a JSON object at byte 0",
		`null`:                         "not a JSON object at byte 0",
		`{"a":{"b":{}}}`:               "nested too deeply at byte 10",
		`{"a":{"x":1,"x":2}}`:          "duplicate name at byte 12",
		`{"a":"\ud800"}`:               "unpaired surrogate at byte 6",
		`{"a":"\ud83dXude00"}`:         "unpaired surrogate at byte 6",
		`{"a":"\ud83d\Xde00"}`:         "unpaired surrogate at byte 6",
		`{"a":"\ud83d\ud83d"}`:         "unpaired surrogate at byte 6",
		`{"a":"\ud83d`:                 "unpaired surrogate at byte 6",
		`{"a":"\ud83d\`:                "unpaired surrogate at byte 6",
		`{"a":"\ud83d\ude0`:            "unpaired surrogate at byte 6",
		`{"a":"\ud83d\ude00`:           "string without an end at byte 18",
		`{"ISS":1}`:                    "name that differs from a known one only in case at byte 1",
		`{}{}`:                         "more than one JSON value at byte 2",
		strings.Repeat(`{"a":`, 1<<20): "nested too deeply at byte 10",
	} {
		err := strictjson.Check(text, 2, []string{"iss"})
		if e, ok := errors.AsType[*strictjson.Error](err); !ok || e.Error() != want {
			t.Errorf("Check(%.40s) = %v, want %s", text, err, want)
		}
	}
}

func TestMembers(t *testing.T) {
	const object = ` { "a" : "x\"]}" , "\u0062":[1, {"c":"}"} ,[]],"d":{} , "e": -12 ,"f":null,"g":true} `
	got := maps.Collect(strictjson.Members(object))
	want := map[string]string{"a": `"x\"]}"`, "b": `[1, {"c":"}"} ,[]]`, "d": "{}", "e": "-12", "f": "null", "g": "true"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Members() (-want +got):\n%s", diff)
	}
	for range strictjson.Members(object) {
		break
	}
	for _, other := range []string{"", "{}", "[]", `"a"`, "{", `{"a`, `{"a":`, `{"a":}`, `{"a":[`, `{"a":"`, `{"a":["`, `{"a" 1}`, strings.Repeat(`{"a":`, 1<<20)} {
		for name := range strictjson.Members(other) {
			t.Errorf("Members(%.40s) has %q", other, name)
		}
	}
}

func TestElements(t *testing.T) {
	got := slices.Collect(strictjson.Elements(`[ "a", 1,{"b":[2]} , [3] ]`))
	if diff := cmp.Diff([]string{`"a"`, "1", `{"b":[2]}`, "[3]"}, got); diff != "" {
		t.Errorf("Elements() (-want +got):\n%s", diff)
	}
	for _, other := range []string{"", "{}", "[]", `"a"`, "[", `["a`, "[,", `[{"a":1`} {
		for value := range strictjson.Elements(other) {
			t.Errorf("Elements(%s) has %s", other, value)
		}
	}
}

func TestTextAndInteger(t *testing.T) {
	if got, ok := strictjson.Text(`"a\u00e9\n"`); got != "aé\n" || !ok {
		t.Errorf("Text() = %q, %v, want the unescaped string", got, ok)
	}
	for _, other := range []string{"", `"`, "1", "null", `["a"]`, `"a" 1`} {
		if got, ok := strictjson.Text(other); ok {
			t.Errorf("Text(%s) = %q, want none", other, got)
		}
	}
	if got, ok := strictjson.Integer("-12"); got != -12 || !ok {
		t.Errorf("Integer() = %d, %v, want -12", got, ok)
	}
	for _, other := range []string{"", "1.0", "1e3", `"1"`, "null", "true", "9223372036854775808"} {
		if got, ok := strictjson.Integer(other); ok {
			t.Errorf("Integer(%s) = %d, want none", other, got)
		}
	}
}

// What Members and Elements say of an object that was checked is what
// encoding/json says.
func FuzzMembers(f *testing.F) {
	f.Add(claims)
	f.Add(`{"a":[{"b":"\ud83d\ude00"},null],"c":-1.5e3}`)
	f.Fuzz(func(t *testing.T, object string) {
		if strictjson.Check(object, maxDepth, nil) != nil {
			for range strictjson.Members(object) {
				continue
			}
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal([]byte(object), &want); err != nil {
			t.Fatalf("Check() accepts what encoding/json doesn't: %v", err)
		}
		got := map[string]json.RawMessage{}
		for name, value := range strictjson.Members(object) {
			got[name] = json.RawMessage(value)
			var text string
			if s, ok := strictjson.Text(value); ok && (json.Unmarshal([]byte(value), &text) != nil || text != s) {
				t.Errorf("Text(%s) = %q, want %q", value, s, text)
			}
			elements := slices.Collect(strictjson.Elements(value))
			var list []json.RawMessage
			if json.Unmarshal([]byte(value), &list) == nil && len(list) != len(elements) {
				t.Errorf("Elements(%s) has %d values, want %d", value, len(elements), len(list))
			}
		}
		if !maps.EqualFunc(got, want, func(a, b json.RawMessage) bool { return string(a) == string(b) }) {
			t.Errorf("Members(%s) = %q, want %q", object, got, want)
		}
	})
}
