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
