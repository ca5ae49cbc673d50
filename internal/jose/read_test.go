package jose_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubesa/serviceaccount/internal/jose"
)

func TestMembers(t *testing.T) {
	object := []byte(` { "a" : "x\"]}" , "\u0062":[1, {"c":"}"} ,[]],"d":{} , "e": -12 ,"f":null,"g":true} `)
	got := map[string]string{}
	for name, value := range jose.Members(object) {
		got[string(name)] = string(value)
	}
	want := map[string]string{"a": `"x\"]}"`, "b": `[1, {"c":"}"} ,[]]`, "d": "{}", "e": "-12", "f": "null", "g": "true"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Members() (-want +got):\n%s", diff)
	}
	for range jose.Members(object) {
		break
	}
	for _, other := range []string{"", "{}", "[]", `"a"`, "{", `{"a`, `{"a":`, `{"a":}`, `{"a":[`, `{"a":"`, `{"a":["`, `{"a" 1}`} {
		for name := range jose.Members([]byte(other)) {
			t.Errorf("Members(%s) has %q", other, name)
		}
	}
}

func TestElements(t *testing.T) {
	var got []string
	for value := range jose.Elements([]byte(`[ "a", 1,{"b":[2]} , [3] ]`)) {
		got = append(got, string(value))
	}
	if diff := cmp.Diff([]string{`"a"`, "1", `{"b":[2]}`, "[3]"}, got); diff != "" {
		t.Errorf("Elements() (-want +got):\n%s", diff)
	}
	for _, other := range []string{"", "{}", "[]", `"a"`, "[", `["a`, "[,", `[{"a":1`} {
		for value := range jose.Elements([]byte(other)) {
			t.Errorf("Elements(%s) has %s", other, value)
		}
	}
}

func TestTextAndInteger(t *testing.T) {
	if got, ok := jose.Text([]byte(`"a\u00e9\n"`)); got != "aé\n" || !ok {
		t.Errorf("Text() = %q, %v, want the unescaped string", got, ok)
	}
	for _, other := range []string{"", `"`, "1", "null", `["a"]`} {
		if got, ok := jose.Text([]byte(other)); ok {
			t.Errorf("Text(%s) = %q, want none", other, got)
		}
	}
	if got, ok := jose.Integer([]byte("-12")); got != -12 || !ok {
		t.Errorf("Integer() = %d, %v, want -12", got, ok)
	}
	for _, other := range []string{"", "1.0", "1e3", `"1"`, "null", "true", "9223372036854775808"} {
		if got, ok := jose.Integer([]byte(other)); ok {
			t.Errorf("Integer(%s) = %d, want none", other, got)
		}
	}
}

func TestCheckPayload(t *testing.T) {
	if err := jose.CheckPayload([]byte(claims)); err != nil {
		t.Errorf("CheckPayload() = %v for good claims", err)
	}
	for _, bad := range []string{"", "[]", `{"iss":"a","ISS":"b"}`, `{"a":1,"a":2}`, `{"a":` + strings.Repeat("[", 9) + strings.Repeat("]", 9) + `}`} {
		if err := jose.CheckPayload([]byte(bad)); err == nil {
			t.Errorf("CheckPayload(%s) = nil, want an error", bad)
		}
	}
}

// What Members and Elements say of an object that was checked is what
// encoding/json says.
func FuzzMembers(f *testing.F) {
	f.Add(claims)
	f.Add(`{"a":[{"b":"\ud83d\ude00"},null],"c":-1.5e3}`)
	f.Fuzz(func(t *testing.T, object string) {
		if jose.CheckObject([]byte(object), 8, nil) != nil {
			for range jose.Members([]byte(object)) {
				continue
			}
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal([]byte(object), &want); err != nil {
			t.Fatalf("CheckObject() accepts what encoding/json doesn't: %v", err)
		}
		got := map[string]json.RawMessage{}
		for name, value := range jose.Members([]byte(object)) {
			got[string(name)] = value
			elements := slices.Collect(jose.Elements(value))
			var list []json.RawMessage
			if json.Unmarshal(value, &list) == nil && len(list) != len(elements) {
				t.Errorf("Elements(%s) has %d values, want %d", value, len(elements), len(list))
			}
		}
		if !maps.EqualFunc(got, want, func(a, b json.RawMessage) bool { return string(a) == string(b) }) {
			t.Errorf("Members(%s) = %q, want %q", object, got, want)
		}
	})
}
