package keyring

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

// An id is 43 characters of base64url: it becomes the name of a file.
func TestIsID(t *testing.T) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for c := range 256 {
		id := strings.Repeat("k", 42) + string([]byte{byte(c)})
		if got, want := isID(id), strings.IndexByte(alphabet, byte(c)) >= 0; got != want {
			t.Errorf("isID(%q) = %v", id, got)
		}
	}
	for n, want := range map[int]bool{0: false, 42: false, 43: true, 44: false} {
		if isID(strings.Repeat("k", n)) != want {
			t.Errorf("isID() of %d characters = %v", n, !want)
		}
	}
}

// An index has 64 keys and twice as many that are removed or added.
func TestParseIndexBounds(t *testing.T) {
	list := func(prefix string, n int, format string) string {
		var items []string
		for i := range n {
			id := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%s%031d", prefix, i))
			items = append(items, fmt.Sprintf(format, id))
		}
		return "[" + strings.Join(items, ",") + "]"
	}
	for _, tt := range []struct {
		keys, removed, adding int
		want                  string
	}{
		{keys: 0}, {keys: 64, removed: 64, adding: 64}, {removed: 128}, {adding: 128},
		{keys: 65, want: "is damaged: too many keys"},
		{removed: 129, want: "is damaged: too many removed keys"},
		{removed: 64, adding: 65, want: "is damaged: too many removed keys"},
	} {
		text := fmt.Sprintf(`{"version":1,"keys":%s,"removed":%s,"adding":%s}`,
			list("k", tt.keys, `{"id":"%s","alg":"ES256","added":"2026-01-02T03:04:05Z"}`), list("r", tt.removed, `"%s"`), list("a", tt.adding, `"%s"`))
		index, err := parseIndex([]byte(text))
		switch {
		case tt.want == "" && (err != nil || len(index.Keys) != tt.keys || len(index.leftovers()) != tt.removed+tt.adding):
			t.Errorf("%+v: parseIndex() = %+v, %v", tt, index, err)
		case tt.want != "" && (err == nil || err.Error() != tt.want || index != nil):
			t.Errorf("%+v: parseIndex() = %v", tt, err)
		}
	}
}

// An index that no steps lead to is refused.
func TestParseIndexRefuses(t *testing.T) {
	a, b := strings.Repeat("a", 43), strings.Repeat("b", 43)
	const at = `"2026-01-02T03:04:05Z"`
	key := func(id, more string) string { return fmt.Sprintf(`{"id":%q,"alg":"ES256",%s}`, id, more) }
	added := func(id string) string { return key(id, `"added":`+at) }
	of := func(keys ...string) string { return `{"version":1,"keys":[` + strings.Join(keys, ",") + `]}` }
	const wrongType = "is damaged: a member that is unknown or of the wrong type"
	for _, tt := range []struct{ text, want string }{
		{of(), ""},
		{of(added(a), added(b)), ""},
		{of(key(a, `"added":`+at+`,"promoted":`+at), key(b, `"added":`+at+`,"promoted":`+at+`,"demoted":`+at)), ""},
		{of(key(a, `"added":`+at+`,"demoted":`+at+`,"verifyOnly":true`)), ""},
		{"canary", "is damaged: not a JSON object at byte 0"},
		{`{"keys":[]}`, "has version 0, want 1"},
		{`{"version":"1","keys":[]}`, "has version 0, want 1"},
		{`{"version":2,"keys":[],"more":1}`, "has version 2, want 1"},
		{`{"version":1,"keys":[],"more":1}`, wrongType},
		{`{"version":1,"keys":{}}`, wrongType},
		{`{"version":1,"keys":null}`, `is damaged: no "keys"`},
		{`{"version":1}`, `is damaged: no "keys"`},
		{of(`{"id":[]}`), "is damaged: nested too deeply at byte 27"},
		{of(added(a), added(a)), "is damaged: a bad or repeated id"},
		{of(added(a[1:])), "is damaged: a bad or repeated id"},
		{of(key(a, `"first":true`)), "is damaged: a key that was never added"},
		{of(key(a, `"added":`+at+`,"verifyOnly":true`)), "is damaged: a key without a private half that signs"},
		{of(key(a, `"added":`+at+`,"verifyOnly":true,"demoted":`+at+`,"promoted":`+at)), "is damaged: a key without a private half that signs"},
		{of(key(a, `"added":`+at+`,"promoted":`+at), key(b, `"added":`+at+`,"promoted":`+at)), "is damaged: two keys that sign"},
		{`{"version":1,"keys":[],"removed":["x"]}`, "is damaged: a bad id of a removed key"},
		{`{"version":1,"keys":[` + added(a) + `],"removed":["` + a + `"]}`, "is damaged: a bad id of a removed key"},
		{`{"version":1,"keys":[` + added(a) + `],"adding":["` + a + `"]}`, "is damaged: a bad id of a removed key"},
	} {
		index, err := parseIndex([]byte(tt.text))
		if (index == nil) != (tt.want != "") || (err == nil) != (tt.want == "") || err != nil && err.Error() != tt.want {
			t.Errorf("parseIndex(%s) = %v, want %s", tt.text, err, tt.want)
		}
	}
}
