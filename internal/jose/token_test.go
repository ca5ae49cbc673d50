package jose_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/kubesa/serviceaccount/internal/jose"
)

// The keys of the tests are made once: RSA keys take their time.
var (
	rsaKey  = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	p256Key = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	p384Key = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)) })
	p521Key = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)) })
)

func encode(part string) string { return base64.RawURLEncoding.EncodeToString([]byte(part)) }

// compact returns the compact JWS of header and payload, both of which may be
// anything, with a good signature of P-256 over them.
func compact(header, payload string) string {
	input := encode(header) + "." + encode(payload)
	h := crypto.SHA256.New()
	h.Write([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, p256Key(), h.Sum(nil))
	if err != nil {
		panic(err)
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return input + "." + encode(string(sig))
}

func nested(depth int) string {
	return strings.Repeat(`{"a":`, depth) + "0" + strings.Repeat("}", depth)
}

// ofLength returns a good token of n bytes.
func ofLength(t *testing.T, n int) string {
	t.Helper()
	for spaces := range 3 { // base64url has no text of every length
		header := es256 + strings.Repeat(" ", spaces)
		fill := (n-len(compact(header, `{}`))+3)*3/4 - len(`"a":""`)
		for ; fill > 0; fill-- {
			raw := compact(header, `{"a":"`+strings.Repeat("x", fill)+`"}`)
			if len(raw) == n {
				return raw
			}
			if len(raw) < n {
				break
			}
		}
	}
	t.Fatalf("no token of %d bytes", n)
	return ""
}

const es256 = `{"alg":"ES256"}`

// TOK-38: of a surrogate pair both halves are escapes, also at the end of a part.
func TestParseHalfSurrogates(t *testing.T) {
	for _, text := range []string{`\ud83dXude00`, `\ud83d`, `\ud83d\`, `\ud83d\ude0`, `\ude00\ud83d`} {
		for name, token := range map[string][2]string{
			"header":           {`{"alg":"ES256","kid":"` + text + `"}`, `{}`},
			"header cut there": {`{"alg":"ES256","kid":"` + text, `{}`},
			"claim":            {`{"alg":"ES256"}`, `{"sub":"` + text + `"}`},
			"claim cut there":  {`{"alg":"ES256"}`, `{"sub":"` + text},
			"name cut there":   {`{"alg":"ES256"}`, `{"` + text},
		} {
			encode := base64.RawURLEncoding.EncodeToString
			_, err := jose.Parse(encode([]byte(token[0]))+"."+encode([]byte(token[1]))+".AAAA", 0)
			if bad, ok := errors.AsType[*jose.MalformedError](err); !ok || !strings.Contains(bad.Fault, "surrogate") {
				t.Errorf("%s with %s: %v, want an unpaired surrogate", name, text, err)
			}
		}
	}
}

func TestParse(t *testing.T) {
	for name, raw := range map[string]string{
		"no kid, no typ":       compact(es256, claims),                                   // SECURITY J20
		"typ JWT":              compact(`{"alg":"ES256","kid":"k","typ":"JWT"}`, claims), // SECURITY J20
		"typ jwt":              compact(`{"typ":"jwt","kid":"k","alg":"ES256"}`, claims), // SECURITY J20
		"empty kid":            compact(`{"alg":"ES256","kid":""}`, claims),              // TOK-35
		"white space in JSON":  compact(" {\r\n\t\"alg\" : \"ES256\" } ", "\n{ \"a\" : [ 1 , 2 ] }\n"),
		"escaped kid":          compact(`{"\u0061lg":"ES\u003256","kid":"\ud83d\ude00\n"}`, claims),
		"kid at the limit":     compact(`{"alg":"ES256","kid":"`+strings.Repeat("k", 1024)+`"}`, claims),
		"kid that is a path":   compact(`{"alg":"ES256","kid":"../../x' OR 1=1 --"}`, claims), // SECURITY J12: a map key, no more
		"kid with NUL":         compact(`{"alg":"ES256","kid":"\u0000"}`, claims),
		"empty object":         compact(es256, `{}`),
		"depth 8":              compact(es256, nested(8)),
		"every kind of number": compact(es256, `{"a":[0,-0,1,-1.5,1e9,1E+9,1.25e-9,9223372036854775807]}`),
		"every kind of value":  compact(es256, `{"a":true,"b":false,"c":null,"d":"x\"\\\/\b\f\n\r\t\u00e9é","e":[],"f":{}}`),
		"same name elsewhere":  compact(es256, `{"a":{"b":0},"c":{"b":0}}`),
		"extra claim":          compact(es256, `{"https://example.com/issuer":"x","SubJect":1,"k":"","":0}`),
		"exactly 16 KiB":       ofLength(t, 16<<10),
	} {
		t.Run(name, func(t *testing.T) {
			token, err := jose.Parse(raw, 0)
			if err != nil {
				t.Fatalf("Parse() = %v", err)
			}
			if err := token.Verify(p256Key().Public()); err != nil {
				t.Errorf("Verify() = %v", err)
			}
			if !oracle(raw, p256Key().Public()) {
				t.Error("go-jose doesn't accept it")
			}
		})
	}

	token, err := jose.Parse(compact(`{"\u0061lg":"ES\u003256","kid":"\ud83d\ude00\n","typ":"jWt"}`, claims), 0)
	if err != nil {
		t.Fatal(err)
	}
	if token.Algorithm != "ES256" || token.KeyID != "😀\n" || token.Type != "jWt" || token.Payload != claims {
		t.Errorf("Parse() = %+v", token)
	}
}

func TestParseMalformed(t *testing.T) {
	good := compact(es256, claims)
	parts := strings.Split(good, ".")
	header := func(s string) string { return compact(s, claims) }
	payload := func(s string) string { return compact(es256, s) }
	tests := []struct {
		name, raw, part, fault string
	}{
		// TOK-30, TOK-31, TOK-33, SECURITY J13, J14, J17, J18, J19: one spelling of one form.
		{"empty", "", "token", "empty or too long"},
		{"no dot", "token", "token", "not three non-empty parts"},
		{"one dot", parts[0] + "." + parts[1], "token", "not three non-empty parts"},
		{"three dots", good + ".", "token", "more than three parts"},
		{"JWE of five parts", "a.b.c.d.e", "token", "more than three parts"},
		{"no header", "." + parts[1] + "." + parts[2], "token", "not three non-empty parts"},
		{"two dots before the header", ".." + parts[2], "token", "not three non-empty parts"},
		{"detached payload", parts[0] + ".." + parts[2], "token", "not three non-empty parts"},
		{"no signature", parts[0] + "." + parts[1] + ".", "token", "not three non-empty parts"},
		{"dots only", strings.Repeat(".", 10<<20), "token", "empty or too long"},
		{"good but for a byte above 16 KiB", ofLength(t, 16<<10+1), "token", "empty or too long"},
		{"a byte over the limit", strings.Repeat("A", jose.DefaultMaxTokenBytes+1), "token", "empty or too long"},
		{"flattened JSON", `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`, "token", "a character outside the base64url alphabet"},
		{"polyglot JSON", `{"payload":"` + parts[1] + `","x":".` + parts[1] + `."}`, "token", "a character outside the base64url alphabet"},
		{"leading space", " " + good, "token", "a character outside the base64url alphabet"},
		{"trailing line feed", good + "\n", "token", "a character outside the base64url alphabet"},
		{"CRLF inside", good[:9] + "\r\n" + good[9:], "token", "a character outside the base64url alphabet"},
		{"NBSP", "\u00a0" + good, "token", "a character outside the base64url alphabet"},
		{"BOM", "\ufeff" + good, "token", "a character outside the base64url alphabet"},
		{"padding", parts[0] + "=." + parts[1] + "." + parts[2], "token", "a character outside the base64url alphabet"},
		{"standard alphabet", parts[0] + "." + parts[1] + ".+/" + parts[2][2:], "token", "a character outside the base64url alphabet"},
		{"one character", "A." + parts[1] + "." + parts[2], "header", "not canonical base64url"},
		{"payload of one character", parts[0] + ".A." + parts[2], "payload", "not canonical base64url"},
		{"a dot before it", "." + good, "header", "not canonical base64url"},
		{"alg object", header(`{"alg":{}}`), "header", "nested too deeply at byte 7"},
		{"header of 2 KiB and a byte", header(es256 + strings.Repeat(" ", 2<<10+1-len(es256))), "header", "too long"},
		{"unused bits in the header", strings.TrimSuffix(encode(es256+" "), "A") + "B." + parts[1] + "." + parts[2], "header", "not canonical base64url"},
		{"unused bits in the payload", parts[0] + ".e31." + parts[2], "payload", "not canonical base64url"},
		{"unused bits in the signature", good[:len(good)-1] + string(good[len(good)-1]+1), "signature", "not canonical base64url"},

		// SECURITY J01, J10, J11, J12, J15, J20, J21: the header.
		{"no alg", header(`{"kid":"k"}`), "header", `no "alg"`},
		{"empty alg", header(`{"alg":""}`), "header", `no "alg"`},
		{"alg number", header(`{"alg":256}`), "header", "not a string at byte 7"},
		{"kid number", header(`{"alg":"ES256","kid":1}`), "header", "not a string at byte 21"},
		{"kid null", header(`{"alg":"ES256","kid":null}`), "header", "not a string at byte 21"},
		{"kid too long", header(`{"alg":"ES256","kid":"` + strings.Repeat("k", 1025) + `"}`), "header", `"kid" is too long`},
		{"header too long", header(`{"alg":"ES256","kid":"` + strings.Repeat("k", 4096) + `"}`), "header", "too long"},
		{"typ at+jwt", header(`{"alg":"ES256","typ":"at+jwt"}`), "header", `"typ" is not JWT`},
		{"typ JOSE+JSON", header(`{"alg":"ES256","typ":"JOSE+JSON"}`), "header", `"typ" is not JWT`},
		{"typ empty", header(`{"alg":"ES256","typ":""}`), "header", `"typ" is not JWT`},
		{"typ number", header(`{"alg":"ES256","typ":5}`), "header", "not a string at byte 21"},
		{"duplicate alg", header(`{"alg":"ES256","alg":"ES256"}`), "header", "duplicate name at byte 15"},
		{"duplicate kid, escaped", header(`{"alg":"ES256","kid":"a","k\u0069d":"a"}`), "header", "duplicate name at byte 25"},
		{"duplicate typ", header(`{"alg":"ES256","typ":"JWT","typ":"JWT"}`), "header", "duplicate name at byte 27"},
		{"ALG", header(`{"alg":"ES256","ALG":"none"}`), "header", `a parameter other than "alg", "kid" and "typ" at byte 21`},
		{"array", header(`["alg"]`), "header", "not a JSON object at byte 0"},
		{"empty object", header(`{}`), "header", `no "alg"`},
		{"null", header(`null`), "header", "not a JSON object at byte 0"},
		{"two objects", header(es256 + es256), "header", "more than one JSON value at byte 15"},
		{"trailing NUL", header(es256 + "\x00"), "header", "more than one JSON value at byte 15"},
		{"BOM in header", header("\ufeff" + es256), "header", "not a JSON object at byte 0"},
		{"trailing comma", header(`{"alg":"ES256",}`), "header", "no name at byte 15"},
		{"no comma", header(`{"alg":"ES256" "kid":"k"}`), "header", "neither a comma nor the end of an object at byte 15"},
		{"no colon", header(`{"alg" "ES256"}`), "header", "no colon after a name at byte 7"},
		{"unterminated", header(`{"alg":"ES256"`), "header", "neither a comma nor the end of an object at byte 14"},
		{"invalid UTF-8", header("{\"alg\":\"ES256\",\"kid\":\"\xff\"}"), "header", "invalid UTF-8 at byte 22"},
		{"control character", header("{\"alg\":\"ES256\",\"kid\":\"\x01\"}"), "header", "control character in a string at byte 22"},

		// SECURITY J15, J16, J21, J22: the payload.
		{"payload null", payload(`null`), "payload", "not a JSON object at byte 0"},
		{"payload array", payload(`[]`), "payload", "not a JSON object at byte 0"},
		{"payload string", payload(`"x"`), "payload", "not a JSON object at byte 0"},
		{"payload with a tail", payload(`{}x`), "payload", "more than one JSON value at byte 2"},
		{"two payloads", payload(`{}{}`), "payload", "more than one JSON value at byte 2"},
		{"depth 9", payload(nested(9)), "payload", "nested too deeply at byte 40"},
		{"depth 9 of arrays", payload(`{"a":` + strings.Repeat("[", 8) + strings.Repeat("]", 8) + `}`), "payload", "nested too deeply at byte 12"},
		{"payload of invalid UTF-8", payload("{\"sub\":\"\xc3\x28\"}"), "payload", "invalid UTF-8 at byte 8"},
		{"surrogates with an X between", payload(`{"\ud83dXude00":1}`), "payload", "unpaired surrogate at byte 2"},
		{"end after a high surrogate", payload(`{"\ud83d`), "payload", "unpaired surrogate at byte 2"},
		{"end inside a low surrogate", payload(`{"\ud83d\ude0`), "payload", "unpaired surrogate at byte 2"},
		{"half a surrogate pair", payload(`{"\ud83d":1}`), "payload", "unpaired surrogate at byte 2"},
		{"duplicate iss", payload(`{"iss":"a","iss":"a"}`), "payload", "duplicate name at byte 11"},
		{"duplicate sub, escaped", payload(`{"sub":"a","s\u0075b":"a"}`), "payload", "duplicate name at byte 11"},
		{"duplicate inside kubernetes.io", payload(`{"kubernetes.io":{"namespace":"a","namespace":"a"}}`), "payload", "duplicate name at byte 34"},
		{"duplicate in an array", payload(`{"a":[{"b":0,"b":1}]}`), "payload", "duplicate name at byte 13"},
		{"ISS", payload(`{"iss":"a","ISS":"b"}`), "payload", "name that differs from a known one only in case at byte 11"},
		{"Sub alone", payload(`{"Sub":"a"}`), "payload", "name that differs from a known one only in case at byte 1"},
		{"EXP", payload(`{"EXP":1}`), "payload", "name that differs from a known one only in case at byte 1"},
		{"iss with long s", payload(`{"i\u017f\u017f":"a"}`), "payload", "name that differs from a known one only in case at byte 1"},
		{"sub with long s first", payload(`{"ſub":"a"}`), "payload", "name that differs from a known one only in case at byte 1"},
		{"kubernetes.io with Kelvin sign", payload(`{"` + "\u212a" + `ubernetes.io":{}}`), "payload", "name that differs from a known one only in case at byte 1"},
		{"Namespace nested", payload(`{"kubernetes.io":{"Namespace":"a"}}`), "payload", "name that differs from a known one only in case at byte 18"},
	}
	for _, p := range []string{
		`"jwk":{"kty":"EC"}`, `"x5c":["MIIB"]`, `"jku":"http://127.0.0.1/"`, `"x5u":"http://127.0.0.1/"`, `"crit":[]`, `"crit":null`,
		`"crit":["exp"]`, `"crit":["b64"],"b64":false`, `"b64":true`, `"zip":"DEF"`, `"enc":"A128GCM"`, `"cty":"JWT"`, `"nonce":"n"`, `"x":[[[]]]`,
	} {
		tests = append(tests, struct{ name, raw, part, fault string }{
			"header " + p, header(`{"alg":"ES256",` + p + `}`), "header", fmt.Sprintf(`a parameter other than "alg", "kid" and "typ" at byte %d`, 15+strings.IndexByte(p, ':')+1),
		})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := jose.Parse(tt.raw, 0)
			e, ok := errors.AsType[*jose.MalformedError](err)
			if !ok || e.Part != tt.part || e.Fault != tt.fault {
				t.Fatalf("Parse() = %v, want the %s refused for %q", err, tt.part, tt.fault)
			}
		})
	}
}

// SECURITY J04, J19: hostile input costs neither memory nor the process,
// whatever the limit is.
func TestParseHostile(t *testing.T) {
	const large = 64 << 20
	tests := []struct {
		name, raw string
		maxBytes  int
	}{
		{"10 MiB of dots", strings.Repeat(".", 10<<20), large},
		{"header of 4M arrays", compact(`{"alg":"ES256","x":`+strings.Repeat("[", 4_000_000), claims), large},
		{"header of 1.5M objects", compact(`{"alg":"ES256","x":`+strings.Repeat(`{"a":`, 1_500_000), claims), large},
		{"10 MiB of As", strings.Repeat("A", 10<<20), 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := jose.Parse(tt.raw, tt.maxBytes)
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Fatal("Parse() accepted it")
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 64<<10 {
				t.Errorf("Parse() allocated %d bytes, want next to nothing", n)
			}
		})
	}
	// A payload may be as long as the caller allows, but not as deep.
	for _, unit := range []string{"[", `{"a":`} {
		if _, err := jose.Parse(compact(es256, `{"a":`+strings.Repeat(unit, 2_000_000)), large); err == nil {
			t.Errorf("Parse() accepted a payload of 2,000,000 times %q", unit)
		}
	}
}

// SECURITY L03: an error never holds any of the token.
func TestParseErrorsHoldNothing(t *testing.T) {
	for _, raw := range []string{
		compact(`{"alg":"ES256","canary":"x"}`, claims),
		compact(`{"alg":"canary","alg":"canary"}`, claims),
		compact(es256, `{"canary":1,"canary":2}`),
		compact(es256, `{"canary":canary}`),
		"canary canary",
	} {
		_, err := jose.Parse(raw, 0)
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("Parse(%q) = %v, want an error without any of the token", raw, err)
		}
	}
}

func TestCheckPayload(t *testing.T) {
	if err := jose.CheckPayload(claims); err != nil {
		t.Errorf("CheckPayload() = %v for good claims", err)
	}
	for _, bad := range []string{"", "[]", `{"iss":"a","ISS":"b"}`, `{"a":1,"a":2}`, `{"a":` + strings.Repeat("[", 9) + strings.Repeat("]", 9) + `}`} {
		if err := jose.CheckPayload(bad); err == nil {
			t.Errorf("CheckPayload(%s) = nil, want an error", bad)
		}
	}
}

// A token may be as long as the limit, which is the default one unless it is positive,
// and its header 2 KiB.
func TestParseLimits(t *testing.T) {
	good := sign(t, p256Key(), "k", claims)
	for limit, want := range map[int]bool{len(good): true, len(good) - 1: false, 1: false, 0: true, -1: true} {
		if _, err := jose.Parse(good, limit); (err == nil) != want {
			t.Errorf("Parse() of %d bytes with the limit %d = %v", len(good), limit, err)
		}
	}
	const header = `{"alg":"ES256"}`
	parts := strings.SplitN(good, ".", 2)
	parts[0] = encode(header + strings.Repeat(" ", 2<<10-len(header)))
	if _, err := jose.Parse(parts[0]+"."+parts[1], 0); err != nil {
		t.Errorf("Parse() with a header of 2 KiB = %v", err)
	}
}

// The payload as it stands in a token, and whose signature would be checked.
func TestTokenParts(t *testing.T) {
	good := sign(t, p256Key(), "k", claims)
	part := jose.PayloadPart(good)
	if part != strings.Split(good, ".")[1] || jose.DecodePart(part) != claims || jose.DecodePart("A") != "" || jose.DecodePart("AA\n!") != "" || jose.DecodePart("AAAA!") != "" {
		t.Errorf("PayloadPart() = %q, DecodePart() = %q", part, jose.DecodePart(part))
	}
	token := must(jose.Parse(good, 0))
	if !token.Names(p256Key().Public()) || token.Names(p384Key().Public()) || token.Names(nil) || token.Names(p256Key()) {
		t.Error("Names() is wrong")
	}
}
