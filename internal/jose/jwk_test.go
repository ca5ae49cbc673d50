//lint:file-ignore SA1019 broken keys can only be made by hand

package jose_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"strconv"
	"strings"
	"testing"

	gojose "gopkg.in/square/go-jose.v2"

	"github.com/kubesa/serviceaccount/internal/jose"
)

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// rsaJWK and ecJWK are good keys as a publisher writes them.
func rsaJWK() map[string]any {
	return map[string]any{"use": "sig", "kty": "RSA", "kid": "r", "alg": "RS256", "n": b64(rsaKey().N.Bytes()), "e": "AQAB"}
}

func ecJWK() map[string]any {
	x, y := make([]byte, 32), make([]byte, 32)
	return map[string]any{"use": "sig", "kty": "EC", "kid": "e", "crv": "P-256", "alg": "ES256",
		"x": b64(p256Key().X.FillBytes(x)), "y": b64(p256Key().Y.FillBytes(y))}
}

var null = json.RawMessage("null")

func jwks(keys ...any) []byte { return must(json.Marshal(map[string]any{"keys": keys})) }

// KEY-31: the members of each key, in order, and nothing private.
func TestEncodeJWKS(t *testing.T) {
	// A point with a short coordinate: it keeps its zeros.
	short := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	for short.X.BitLen() > 248 {
		short = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	}
	list := []jose.JWK{
		{KeyID: "a", Algorithm: "RS256", Key: &rsaKey().PublicKey},
		{KeyID: "b", Algorithm: "ES256", Key: &short.PublicKey},
		{KeyID: "a", Algorithm: "RS256", Key: &rsaKey().PublicKey}, // duplicates stay
		{KeyID: "c", Algorithm: "ES512", Key: &p521Key().PublicKey},
	}
	coordinate := func(n *big.Int, size int) string { return b64(n.FillBytes(make([]byte, size))) }
	rsaText := `{"use":"sig","kty":"RSA","kid":"a","alg":"RS256","n":"` + b64(rsaKey().N.Bytes()) + `","e":"AQAB"}`
	want := `{"keys":[` + rsaText +
		`,{"use":"sig","kty":"EC","kid":"b","crv":"P-256","alg":"ES256","x":"` + coordinate(short.X, 32) + `","y":"` + coordinate(short.Y, 32) + `"},` +
		rsaText +
		`,{"use":"sig","kty":"EC","kid":"c","crv":"P-521","alg":"ES512","x":"` + coordinate(p521Key().X, 66) + `","y":"` + coordinate(p521Key().Y, 66) + `"}]}`
	got, err := jose.EncodeJWKS(list)
	if err != nil || string(got) != want {
		t.Errorf("EncodeJWKS() = %s, %v; want %s", got, err, want)
	}
	if got, err := jose.EncodeJWKS(nil); err != nil || string(got) != `{"keys":[]}` {
		t.Errorf("EncodeJWKS(nil) = %s, %v", got, err)
	}
	// SECURITY K05: a private key is not published, not even by mistake.
	for _, key := range []crypto.PublicKey{rsaKey(), p256Key(), []byte("secret"), nil} {
		if got, err := jose.EncodeJWKS([]jose.JWK{{KeyID: "a", Key: key}}); err == nil {
			t.Errorf("EncodeJWKS(%T) = %s", key, got)
		}
	}
}

// What is written is read, and go-jose reads the same.
func TestJWKSRoundTrip(t *testing.T) {
	var list []jose.JWK
	for alg, key := range privateKeys {
		list = append(list, jose.JWK{KeyID: "id of " + alg, Algorithm: alg, Key: key().Public()})
	}
	data := must(jose.EncodeJWKS(list))
	got, skipped, err := jose.ParseJWKS(data)
	if err != nil || len(skipped) != 0 || len(got) != len(list) {
		t.Fatalf("ParseJWKS() = %d keys, %v, %v", len(got), skipped, err)
	}
	var oracle gojose.JSONWebKeySet
	if err := json.Unmarshal(data, &oracle); err != nil {
		t.Fatal(err)
	}
	for i, key := range got {
		equal := key.Key.(interface{ Equal(crypto.PublicKey) bool }).Equal
		if key.KeyID != list[i].KeyID || key.Algorithm != list[i].Algorithm || !equal(list[i].Key) {
			t.Errorf("key %d comes back as %+v", i, key)
		}
		if !equal(oracle.Keys[i].Key) || oracle.Keys[i].KeyID != key.KeyID || oracle.Keys[i].Algorithm != key.Algorithm {
			t.Errorf("go-jose reads another key %d", i)
		}
	}
}

// SECURITY K01, K02, K04, K05, K06, K08: a key with one thing wrong is left out, with
// its index, its id and the reason; the other key of the set is used.
func TestParseJWKSRefuses(t *testing.T) {
	bits := func(n *big.Int) string { return b64(n.Bytes()) }
	zero := b64(make([]byte, 32))
	tests := []struct {
		name   string
		rsa    bool
		change map[string]any // nil removes
		fault  string
		unread bool // its id can't be read either
	}{
		{name: "good EC"},
		{name: "good RSA", rsa: true},
		{name: "no alg, no use", change: map[string]any{"alg": nil, "use": nil}},
		{name: "key_ops verify", change: map[string]any{"key_ops": []string{"verify"}}},
		{name: "no kid", change: map[string]any{"kid": nil}},
		{name: "empty kid, alg, use", change: map[string]any{"kid": "", "alg": "", "use": ""}},
		{name: "null", change: map[string]any{"d": null, "p": null, "oth": null, "k": null, "key_ops": null, "x5c": null, "n": null}},
		{name: "members of others", rsa: true, change: map[string]any{"x5c": []string{"MIIB"}, "x5t": "AA", "issuer": "x"}},

		{name: "private EC", change: map[string]any{"d": zero}, fault: jose.FaultPrivate},
		{name: "private RSA", rsa: true, change: map[string]any{"d": "AQAB"}, fault: jose.FaultPrivate},
		{name: "prime", rsa: true, change: map[string]any{"p": "AQAB"}, fault: jose.FaultPrivate},
		{name: "second prime", rsa: true, change: map[string]any{"q": "AQAB"}, fault: jose.FaultPrivate},
		{name: "exponent of a prime", rsa: true, change: map[string]any{"dp": "AQAB"}, fault: jose.FaultPrivate},
		{name: "exponent of the second prime", rsa: true, change: map[string]any{"dq": "AQAB"}, fault: jose.FaultPrivate},
		{name: "coefficient", rsa: true, change: map[string]any{"qi": "AQAB"}, fault: jose.FaultPrivate},
		{name: "other primes", rsa: true, change: map[string]any{"oth": []string{}}, fault: jose.FaultPrivate},
		{name: "kid of 1024 bytes", change: map[string]any{"kid": strings.Repeat("k", 1024)}},
		{name: "EC with a certificate", change: map[string]any{"x5c": []string{"MIIB"}}},
		{name: "e = 2^31-1", rsa: true, change: map[string]any{"e": "f____w"}},
		{name: "oct", change: map[string]any{"kty": "oct"}, fault: jose.FaultPrivate},
		{name: "shared key", change: map[string]any{"k": "AQAB"}, fault: jose.FaultPrivate},
		{name: "no kty", change: map[string]any{"kty": nil}, fault: jose.FaultMissing},
		{name: "kty number", change: map[string]any{"kty": 1}, fault: jose.FaultMissing},
		{name: "use enc", change: map[string]any{"use": "enc"}, fault: jose.FaultUse},
		{name: "key_ops without verify", change: map[string]any{"key_ops": []string{"sign"}}, fault: jose.FaultUse},
		{name: "key_ops empty", change: map[string]any{"key_ops": []string{}}, fault: jose.FaultUse},
		{name: "kid number", change: map[string]any{"kid": 7}, fault: jose.FaultMissing},
		{name: "long kid", change: map[string]any{"kid": strings.Repeat("k", 1025)}, fault: jose.FaultKeyID},
		{name: "kid of the other key, for encryption", change: map[string]any{"kid": "other", "use": "enc"}, fault: jose.FaultUse},
		{name: "kid of the other key", change: map[string]any{"kid": "other"}, fault: jose.FaultKeyID},

		{name: "alg of another type", change: map[string]any{"alg": "RS256"}, fault: jose.FaultUse},
		{name: "alg of another curve", change: map[string]any{"alg": "ES384"}, fault: jose.FaultUse},
		{name: "alg PS256", rsa: true, change: map[string]any{"alg": "PS256"}, fault: jose.FaultUse},
		{name: "alg RS512", rsa: true, change: map[string]any{"alg": "RS512"}, fault: jose.FaultUse},
		{name: "alg RSA-OAEP", rsa: true, change: map[string]any{"alg": "RSA-OAEP"}, fault: jose.FaultUse},
		{name: "alg HS256", rsa: true, change: map[string]any{"alg": "HS256"}, fault: jose.FaultUse},
		{name: "alg none", rsa: true, change: map[string]any{"alg": "none"}, fault: jose.FaultUse},

		{name: "no crv", change: map[string]any{"crv": nil}, fault: jose.FaultMissing},
		{name: "secp256k1", change: map[string]any{"crv": "secp256k1"}, fault: jose.FaultCurve},
		{name: "OKP", change: map[string]any{"kty": "OKP", "crv": "Ed25519"}, fault: jose.FaultType},
		{name: "AKP", change: map[string]any{"kty": "AKP"}, fault: jose.FaultType},
		{name: "kty in other letters", change: map[string]any{"kty": "ec"}, fault: jose.FaultType},
		{name: "P-224", change: map[string]any{"crv": "P-224"}, fault: jose.FaultCurve},
		{name: "another curve", change: map[string]any{"crv": "P-384"}, fault: jose.FaultPoint},
		{name: "off the curve", change: map[string]any{"y": ecJWK()["x"]}, fault: jose.FaultPoint},
		{name: "infinity", change: map[string]any{"x": zero, "y": zero}, fault: jose.FaultPoint},
		{name: "no y", change: map[string]any{"y": nil}, fault: jose.FaultMissing},
		{name: "short x", change: map[string]any{"x": "AQAB"}, fault: jose.FaultPoint},
		{name: "x with padding", change: map[string]any{"x": ecJWK()["x"].(string) + "="}, fault: jose.FaultMissing},
		{name: "x with a line break", change: map[string]any{"x": "\n" + ecJWK()["x"].(string)}, fault: jose.FaultMissing},

		{name: "1024 bits", rsa: true, change: map[string]any{"n": bits(modulus(1024))}, fault: jose.FaultSize},
		{name: "8193 bits", rsa: true, change: map[string]any{"n": bits(modulus(8193))}, fault: jose.FaultSize},
		{name: "ROCA", rsa: true, change: map[string]any{"n": bits(rocaModulus())}, fault: jose.FaultROCA},
		{name: "x5c only", rsa: true, change: map[string]any{"n": nil, "e": nil, "x5c": []string{"MIIB"}}, fault: jose.FaultMissing},
		{name: "a name in other letters", change: map[string]any{"Kty": "RSA"}, fault: jose.FaultMissing, unread: true},
		{name: "as deep as may be", change: map[string]any{"deep": json.RawMessage(strings.Repeat("[", 7) + strings.Repeat("]", 7))}},
		{name: "deep", change: map[string]any{"deep": json.RawMessage(strings.Repeat("[", 8) + strings.Repeat("]", 8))}, fault: jose.FaultMissing, unread: true},
		{name: "no n", rsa: true, change: map[string]any{"n": nil}, fault: jose.FaultMissing},
		{name: "n = 0", rsa: true, change: map[string]any{"n": "AA"}, fault: jose.FaultMissing},
		{name: "n even", rsa: true, change: map[string]any{"n": bits(new(big.Int).Lsh(big.NewInt(1), 2047))}, fault: jose.FaultModulus},
		{name: "empty e", rsa: true, change: map[string]any{"e": ""}, fault: jose.FaultMissing},
		{name: "e = 0", rsa: true, change: map[string]any{"e": "AA"}, fault: jose.FaultExponent},
		{name: "e = 1", rsa: true, change: map[string]any{"e": "AQ"}, fault: jose.FaultExponent},
		{name: "e even", rsa: true, change: map[string]any{"e": "AQAA"}, fault: jose.FaultExponent},
		{name: "e = 2^31+1", rsa: true, change: map[string]any{"e": "gAAAAQ"}, fault: jose.FaultExponent},
		{name: "e of 64 bits and more", rsa: true, change: map[string]any{"e": "AQAAAAAAAAAAAQ"}, fault: jose.FaultExponent},
		{name: "n in the standard alphabet", rsa: true, change: map[string]any{"n": "+/" + rsaJWK()["n"].(string)[2:]}, fault: jose.FaultMissing},
	}
	other := ecJWK()
	other["kid"] = "other"
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			key := ecJWK()
			if tt.rsa {
				key = rsaJWK()
			}
			for name, value := range tt.change {
				if key[name] = value; value == nil {
					delete(key, name)
				}
			}
			keys, skipped, err := jose.ParseJWKS(jwks(other, key))
			if err != nil || len(keys) == 0 || keys[0].KeyID != "other" {
				t.Fatalf("ParseJWKS() = %+v, %v, want the other key first", keys, err)
			}
			if tt.fault == "" {
				if len(keys) != 2 || len(skipped) != 0 {
					t.Fatalf("ParseJWKS() = %d keys, %v; want both", len(keys), skipped)
				}
				return
			}
			id, _ := key["kid"].(string)
			if tt.unread {
				id = ""
			}
			if len(keys) != 1 || len(skipped) != 1 || skipped[0].Index != 1 || skipped[0].KeyID != id || skipped[0].Err.Fault != tt.fault {
				t.Fatalf("ParseJWKS() = %d keys, %v; want key #1 %q left out with fault %q", len(keys), skipped, id, tt.fault)
			}
		})
	}
}

// SECURITY K07: keys of a kind that we don't know don't take the others down.
func TestParseJWKSSkips(t *testing.T) {
	okp := map[string]any{"kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": "o"}
	mldsa := map[string]any{"kty": "AKP", "alg": "ML-DSA-65", "pub": "AA"}
	koblitz := ecJWK()
	koblitz["crv"] = "secp256k1"
	keys, skipped, err := jose.ParseJWKS(jwks(okp, rsaJWK(), mldsa, koblitz, ecJWK()))
	if err != nil || len(keys) != 2 || keys[0].KeyID != "r" || keys[1].KeyID != "e" {
		t.Fatalf("ParseJWKS() = %+v, %v", keys, err)
	}
	want := []string{
		`key #0 "o": jose: unusable key: "kty" is neither RSA nor EC`,
		`key #2: jose: unusable key: "kty" is neither RSA nor EC`,
		`key #3 "e": jose: unusable key: "crv" is none of P-256, P-384 and P-521`,
	}
	if len(skipped) != len(want) {
		t.Fatalf("skipped %v, want %q", skipped, want)
	}
	for i, err := range skipped {
		if e, ok := errors.AsType[*jose.KeyError](err); !ok || e != err.Err || err.Error() != want[i] {
			t.Errorf("skipped %v, want a KeyError: %s", err, want[i])
		}
	}
}

// What is wrong with one element of "keys", whatever it is, doesn't touch the others.
func TestParseJWKSBadElements(t *testing.T) {
	good := string(must(json.Marshal(ecJWK())))
	for name, element := range map[string]string{
		"null":          "null",
		"number":        "1",
		"text":          `"x"`,
		"array":         "[]",
		"empty":         "{}",
		"kid twice":     strings.Replace(good, `"kid"`, `"kid":"x","kid"`, 1),
		"kty twice":     strings.Replace(good, `"kty"`, `"kty":"RSA","kty"`, 1),
		"Kelvin sign":   strings.Replace(good, `"kid"`, `"`+"\u212a"+`id"`, 1),
		"invalid UTF-8": strings.Replace(good, "sig", "s\xffg", 1),
		"surrogate":     strings.Replace(good, "sig", `\ud800`, 1),
	} {
		keys, skipped, err := jose.ParseJWKS([]byte(`{"keys":[` + element + "," + good + "," + element + "]}"))
		if err != nil || len(keys) != 1 || keys[0].KeyID != "e" || len(skipped) != 2 || skipped[0].Index != 0 || skipped[1].Index != 2 || skipped[1].Err.Fault != jose.FaultMissing {
			t.Errorf("%s: ParseJWKS() = %+v, %v, %v; want the good key, and the others left out", name, keys, skipped, err)
		}
	}
}

// A key that is left out is told with what is wrong where, also as others publish it,
// and nothing of its values.
func TestParseJWKSProblems(t *testing.T) {
	n := rsaJWK()["n"].(string)
	padded := base64.URLEncoding.EncodeToString(rsaKey().N.Bytes())
	for _, tt := range []struct {
		from, to string // in the RSA key
		want     string // what is wrong; empty if the key is used
	}{
		{`"kid"`, `"x5t":"canary","x5t":"canary","kid"`, "not one unambiguous JSON object: duplicate name at byte 41 of it"},
		{`"kid"`, `"Kid":"canary","kid"`, "not one unambiguous JSON object: name that differs from a known one only in case at byte 26 of it"},
		{`"kid":"r"`, `"kid":7`, `"kid" is of the wrong type`},
		{`"kid":"r"`, `"kid":["canary"]`, `"kid" is of the wrong type`},
		{`"kid"`, `"key_ops":"verify","kid"`, `"key_ops" is of the wrong type`},
		{`"kid"`, `"key_ops":["verify",1],"kid"`, `"key_ops" is of the wrong type`},
		{`"sig"`, `["sig"]`, `"use" is of the wrong type`},
		{`"sig"`, `"SIG"`, `"use" is not sig`},
		{`"RS256"`, `["RS256"]`, `"alg" is of the wrong type`},
		{`"RS256"`, `"rs256"`, `"alg" is not the algorithm of the key, RS256`},
		{`"RS256"`, `null`, ""},
		{`"kid"`, `"x5c":"canary","x5t#S256":7,"x5u":{},"exp":1e9,"revoked":{"reason":"canary"},"kid"`, ""},
		{`"AQAB"`, `65537`, `"e" is of the wrong type`},
		{`"AQAB"`, `"65537"`, `"e" is not base64url without padding`},
		{`"AQAB"`, `"AAAAAAEAAQ"`, ""},
		{`"AQAB"`, `"` + n + `"`, "RSA public exponent above 2^31-1"},
		{`"AQAB"`, `"gAAAAQ"`, "RSA public exponent above 2^31-1"},
		{`"n"`, `"x5c":["MIIB"],"ñ"`, `a certificate in "x5c" without the numbers of its key`},
		{n, padded, `"n" is not base64url without padding`},
		{n, n[:64] + `\n` + n[64:], `"n" is not base64url without padding`},
		{n, " " + n, `"n" is not base64url without padding`},
		{n, "", `no "n"`},
		{n, b64(append([]byte{0, 0}, rsaKey().N.Bytes()...)), ""},
		{`"kty":"RSA"`, `"kty":"EC","crv":"P-256","y":"AQAB"`, `no "x"`},
		{`"kty":"RSA"`, `"kty":"EC","crv":"P-384","x":"AQAB"`, `"x" has 3 bytes, want the 48 of the curve`},
		{`"kty":"RSA"`, `"kty":"EC","crv":"P-521","x":"` + b64(make([]byte, 66)) + `","y":"` + b64(make([]byte, 65)) + `"`, `"y" has 65 bytes, want the 66 of the curve`},
	} {
		text := string(must(json.Marshal(rsaJWK())))
		changed := strings.Replace(text, tt.from, tt.to, 1)
		if changed == text {
			t.Fatalf("%s is not in the key", tt.from)
		}
		keys, skipped, err := jose.ParseJWKS([]byte(`{"keys":[` + changed + `]}`))
		switch {
		case err != nil || len(keys)+len(skipped) != 1:
			t.Errorf("%s: ParseJWKS() = %d keys, %v, %v", tt.to, len(keys), skipped, err)
		case tt.want == "" && len(skipped) != 0:
			t.Errorf("%s: ParseJWKS() leaves the key out: %v", tt.to, skipped)
		case tt.want != "" && (len(keys) != 0 || skipped[0].Err.Detail != tt.want):
			t.Errorf("%s: ParseJWKS() leaves out %v, want: %s", tt.to, skipped, tt.want)
		}
	}
}

// Keys without an id don't get into each other's way.
func TestParseJWKSWithoutIDs(t *testing.T) {
	anonymous := func(key map[string]any) map[string]any { delete(key, "kid"); return key }
	keys, skipped, err := jose.ParseJWKS(jwks(anonymous(ecJWK()), anonymous(rsaJWK()), rsaJWK()))
	if err != nil || len(skipped) != 0 || len(keys) != 3 || keys[0].KeyID != "" || keys[1].KeyID != "" || keys[2].KeyID != "r" {
		t.Errorf("ParseJWKS() = %+v, %v, %v, want all three", keys, skipped, err)
	}
}

// Of too many keys the first are used. A flood of entries is no key set: the reasons
// why they are left out would take more memory than they do.
func TestParseJWKSBounds(t *testing.T) {
	key := func(i int) any {
		key := ecJWK()
		key["kid"] = strconv.Itoa(i)
		return key
	}
	var many []any
	for i := range 66 {
		many = append(many, key(i), map[string]any{"kty": "OKP"})
	}
	keys, skipped, err := jose.ParseJWKS(jwks(many...))
	if err != nil || len(keys) != 64 || len(skipped) != 68 {
		t.Fatalf("ParseJWKS() = %d keys, %d left out, %v; want 64 and 68", len(keys), len(skipped), err)
	}
	if last := skipped[66]; last.Index != 130 || last.KeyID != "65" || last.Err.Fault != jose.FaultTooMany {
		t.Errorf("the last usable key is left out with %v, want one too many", last)
	}
	if last := skipped[67]; last.Index != 131 || last.Err.Fault != jose.FaultType {
		t.Errorf("the last key is left out with %v, want its type", last)
	}
	entries := func(n int) []byte { return []byte(`{"keys":[{}` + strings.Repeat(",{}", n-1) + `]}`) }
	if _, skipped, err := jose.ParseJWKS(entries(1024)); err != nil || len(skipped) != 1024 {
		t.Errorf("1,024 entries: %d left out, %v", len(skipped), err)
	}
	var allocated [2]float64
	for i, n := range []int{1025, 300_000} {
		data := entries(n)
		allocated[i] = testing.AllocsPerRun(1, func() {
			if _, skipped, err := jose.ParseJWKS(data); err == nil || skipped != nil {
				t.Errorf("%d entries: %d left out, %v; want an error", n, len(skipped), err)
			}
		})
	}
	if allocated[1] > 2*300_000+1000 {
		t.Errorf("300,000 entries take %v allocations, want two each at most", allocated[1])
	}
}

// What isn't a JWK Set, or is more than one to different readers.
func TestParseJWKSMalformed(t *testing.T) {
	good := string(jwks(ecJWK()))
	const noObject = "not a JSON object"
	const others = `more than one "keys", or one in other letters`
	for _, tt := range []struct{ name, data, want string }{
		{"empty", "", noObject + ": it is empty"},
		{"white space", " \r\n", noObject + ": it is empty"},
		{"null", "null", noObject},
		{"array", "[]", noObject + ": it is an array"},
		{"text", `"keys"`, noObject + ": it is a string"},
		{"HTML", "\n<html></html>", noObject + ": it is HTML or XML"},
		{"byte order mark", "\ufeff" + good, noObject + ": it begins with a byte order mark"},
		{"UTF-16", "\xff\xfe{\x00", noObject + ": it is UTF-16, want UTF-8"},
		{"UTF-16, the other way round", "\xfe\xff\x00{", noObject + ": it is UTF-16, want UTF-8"},
		{"gzip", "\x1f\x8b\x08\x00", noObject + ": it is compressed with gzip"},
		{"PEM", "-----BEGIN PUBLIC KEY-----\n", noObject + ": it is PEM"},
		{"JWT", "eyJhbGciOiJub25lIn0.e30.", noObject},
		{"no name", `{1:2}`, noObject},
		{"no colon", `{"keys"}`, noObject},
		{"no value", `{"keys":}`, noObject},
		{"comma", `{"keys":[],}`, noObject},
		{"comment", good + "/**/", "something after the JSON object"},
		{"no keys", "{}", `no "keys"`},
		{"certificates by id", `{"a":"-----BEGIN CERTIFICATE-----"}`, `no "keys"`},
		{"discovery document", `{"issuer":"x","jwks_uri":"y"}`, `a discovery document, want what is at its "jwks_uri"`},
		{"keys null", `{"keys":null}`, `"keys" is not an array`},
		{"keys an object", `{"keys":{}}`, `"keys" is not an array`},
		{"KEYS", strings.Replace(good, "keys", "KEYS", 1), others},
		{"keys and Keys", strings.Replace(good, `{"keys"`, `{"Keys":[],"keys"`, 1), others},
		{"Keys after keys", strings.TrimSuffix(good, "}") + `,"Keys":[]}`, others},
		{"keys twice", strings.Replace(good, `{"keys"`, `{"keys":[],"keys"`, 1), others},
		{"null keys twice", strings.Replace(good, `{"keys"`, `{"keys":null,"keys"`, 1), others},
		{"two values", good + good, "something after the JSON object"},
		{"text after it", good + "x", "something after the JSON object"},
		{"cut short", good[:len(good)-2], noObject},
		{"cut at the end", good[:len(good)-1], noObject},
		{"cut in a key", good[:len(good)/2], noObject},
		{"a JWK", string(must(json.Marshal(ecJWK()))), `a single key, want an object with an array "keys"`},
		{"1 MiB and a byte", good + strings.Repeat(" ", 1<<20+1-len(good)), "too long"},
	} {
		keys, skipped, err := jose.ParseJWKS([]byte(tt.data))
		if e, ok := errors.AsType[*jose.MalformedError](err); !ok || e.Part != "JWK Set" || e.Fault != tt.want || keys != nil || skipped != nil {
			t.Errorf("%s: ParseJWKS() = %v, %v; want a MalformedError: %s", tt.name, keys, err, tt.want)
		}
	}
	for name, data := range map[string]string{
		"no keys":           `{"keys":[]}`,
		"members of others": `{"kty":"x","jwks_uri":"y","keys":[]}`,
		"other members":     `{"x":1,"keys":[],"y":{"Keys":[],"kty":[{}]}}`,
		"deep other member": `{"keys":[],"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`,
		"1 MiB":             `{"keys":[]}` + strings.Repeat(" ", 1<<20-len(`{"keys":[]}`)),
		"white space":       " \n{ \"keys\" : [ ] }\r\n",
	} {
		if keys, skipped, err := jose.ParseJWKS([]byte(data)); err != nil || len(keys) != 0 || len(skipped) != 0 {
			t.Errorf("%s: ParseJWKS() = %v, %v, %v", name, keys, skipped, err)
		}
	}
}

// SECURITY K08: nothing panics, what is read is usable, and go-jose reads the
// same key from it.
func FuzzParseJWKS(f *testing.F) {
	f.Add(jwks(rsaJWK(), ecJWK()))
	f.Add(jwks(map[string]any{"kty": "RSA", "n": "AQ", "e": "", "kid": "x"}))
	f.Add([]byte(`{"keys":[{"kty":"OKP"},{}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, _, err := jose.ParseJWKS(data)
		if err != nil {
			if keys != nil {
				t.Errorf("ParseJWKS() = %v with the error %v", keys, err)
			}
			return
		}
		ids := map[string]bool{}
		for _, key := range keys {
			alg, err := jose.AlgorithmOf(key.Key)
			if err != nil || alg != key.Algorithm || key.KeyID != "" && ids[key.KeyID] {
				t.Errorf("ParseJWKS() has %+v: %q, %v", key, alg, err)
			}
			ids[key.KeyID] = true
		}
		again, err := jose.EncodeJWKS(keys)
		if err != nil {
			t.Fatal(err)
		}
		var oracle gojose.JSONWebKeySet
		if err := json.Unmarshal(again, &oracle); err != nil || len(oracle.Keys) != len(keys) {
			t.Errorf("go-jose doesn't read %s: %v", again, err)
		}
	})
}
