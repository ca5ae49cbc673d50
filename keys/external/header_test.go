package external

import (
	"encoding/base64"
	"strings"
	"testing"
)

// KEY-41: a header has an algorithm, a key and a type, and nothing else.
func TestParseHeader(t *testing.T) {
	of := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	key := func(id string) string { return `{"alg":"RS256","kid":"` + id + `","typ":"JWT"}` }
	fill := func(bytes int) string { return key("k") + strings.Repeat(" ", bytes-len(key("k"))) }
	const member = `while parsing header JSON: a member that isn't "alg", "kid" or "typ", or no string`
	for _, tt := range []struct{ name, encoded, id, want string }{
		{"good", of(key("k")), "k", ""},
		{"ES512", of(`{"typ":"JWT","kid":"k","alg":"ES512"}`), "k", ""},
		{"long key id", of(key(strings.Repeat("k", 1024))), strings.Repeat("k", 1024), ""},
		{"a byte more", of(key(strings.Repeat("k", 1025))), "", "key id longer than 1 kb"},
		{"as long as may be", of(fill(7680)), "k", ""},
		{"longer", of(fill(7681)), "", "while unwrapping header: longer than 10240 bytes"},
		{"padded", of(key("k")) + "=", "", "while unwrapping header: not base64url"},
		{"nested", of(`{"alg":"RS256","kid":"k","typ":["JWT"]}`), "", "while parsing header JSON: not one flat JSON object"},
		{"in capitals", of(`{"alg":"RS256","KID":"k","typ":"JWT"}`), "", "while parsing header JSON: not one flat JSON object"},
		{"a number", of(`{"alg":"RS256","kid":7,"typ":"JWT"}`), "", member},
		{"one more", of(`{"alg":"RS256","kid":"k","typ":"JWT","crit":""}`), "", member},
		{"no type", of(`{"alg":"RS256","kid":"k"}`), "", "bad type"},
		{"no key", of(`{"alg":"RS256","typ":"JWT"}`), "", "key id missing"},
		{"no algorithm", of(`{"kid":"k","typ":"JWT"}`), "", `bad signing algorithm ""`},
	} {
		id, err := parseHeader(tt.encoded)
		if id != tt.id || (err == nil) != (tt.want == "") || err != nil && err.Error() != tt.want {
			t.Errorf("%s: parseHeader() = %.9q, %v, want %s", tt.name, id, err, tt.want)
		}
	}
}
