package jose_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/kubesa/serviceaccount/internal/jose"
)

// SECURITY J28: a text that is let through is spelt in the one way that there
// is, and encoding/json reads the same from it.
func FuzzParse(f *testing.F) {
	good := compact(`{"alg":"ES256","kid":"k","typ":"JWT"}`, claims)
	f.Add(good)
	f.Add(compact(es256, nested(8)))
	f.Add(compact(`{"\u0061lg":"ES256"}`, `{"a":"\ud83d\ude00","b":[1e9,null,true]}`))
	f.Add(compact(es256, `{"iss":1,"ISS":2}`))
	f.Add("..")
	f.Add(strings.Replace(good, ".", "\n.", 1))
	f.Add(encode(`{"alg":"ES256"}`) + "." + encode(`{"exp":64e640}`) + ".0000")
	f.Fuzz(func(t *testing.T, raw string) {
		token, err := jose.Parse(raw, 0)
		if err != nil {
			return
		}
		header, rest, _ := strings.Cut(raw, ".")
		payload, _, _ := strings.Cut(rest, ".")
		if encode(token.Payload) != payload {
			t.Errorf("payload %q is not how it is spelt", token.Payload)
		}
		var params map[string]string
		if err := json.Unmarshal(decode(t, header), &params); err != nil {
			t.Errorf("encoding/json doesn't read the header: %v", err)
		}
		if params["alg"] != token.Algorithm || params["kid"] != token.KeyID || params["typ"] != token.Type {
			t.Errorf("encoding/json reads %q, Parse %+v", params, token)
		}
		var object map[string]json.RawMessage // a number may be larger than a float64
		if err := json.Unmarshal([]byte(token.Payload), &object); err != nil || object == nil {
			t.Errorf("encoding/json doesn't read the payload: %v", err)
		}
		if token.Verify(p256Key().Public()) == nil != oracle(raw, p256Key().Public()) {
			t.Error("go-jose has another verdict")
		}
	})
}

func decode(t *testing.T, part string) []byte {
	t.Helper()
	var out []byte
	if err := json.Unmarshal([]byte(`"`+strings.NewReplacer("-", "+", "_", "/").Replace(part)+strings.Repeat("=", (4-len(part)%4)%4)+`"`), &out); err != nil {
		t.Fatal(err)
	}
	return out
}
