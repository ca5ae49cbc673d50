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

// SECURITY K01, K02, K04, K05, K06, K08: one thing wrong with one key fails the set.
func TestParseJWKSRefuses(t *testing.T) {
	bits := func(n *big.Int) string { return b64(n.Bytes()) }
	zero := b64(make([]byte, 32))
	tests := []struct {
		name   string
		rsa    bool
		change map[string]any // nil removes
		fault  string
	}{
		{name: "good EC"},
		{name: "good RSA", rsa: true},
		{name: "no alg, no use", change: map[string]any{"alg": nil, "use": nil}},
		{name: "key_ops verify", change: map[string]any{"key_ops": []string{"verify"}}},
		{name: "members of others", rsa: true, change: map[string]any{"x5c": []string{"MIIB"}, "x5t": "AA", "issuer": "x"}},

		{name: "private EC", change: map[string]any{"d": zero}, fault: jose.FaultPrivate},
		{name: "private RSA", rsa: true, change: map[string]any{"d": "AQAB"}, fault: jose.FaultPrivate},
		{name: "prime", rsa: true, change: map[string]any{"p": "AQAB"}, fault: jose.FaultPrivate},
		{name: "null d", change: map[string]any{"d": json.RawMessage("null")}, fault: jose.FaultPrivate},
		{name: "oct", change: map[string]any{"kty": "oct"}, fault: jose.FaultPrivate},
		{name: "shared key", change: map[string]any{"k": "AQAB"}, fault: jose.FaultPrivate},
		{name: "no kty", change: map[string]any{"kty": nil}, fault: jose.FaultMissing},
		{name: "kty number", change: map[string]any{"kty": 1}, fault: jose.FaultMissing},
		{name: "use enc", change: map[string]any{"use": "enc"}, fault: jose.FaultUse},
		{name: "key_ops without verify", change: map[string]any{"key_ops": []string{"sign"}}, fault: jose.FaultUse},
		{name: "key_ops empty", change: map[string]any{"key_ops": []string{}}, fault: jose.FaultUse},
		{name: "no kid", change: map[string]any{"kid": nil}, fault: jose.FaultKeyID},
		{name: "empty kid", change: map[string]any{"kid": ""}, fault: jose.FaultKeyID},
		{name: "long kid", change: map[string]any{"kid": strings.Repeat("k", 1025)}, fault: jose.FaultKeyID},
		{name: "kid of the other key", change: map[string]any{"kid": "other"}, fault: jose.FaultKeyID},

		{name: "alg of another type", change: map[string]any{"alg": "RS256"}, fault: jose.FaultUse},
		{name: "alg of another curve", change: map[string]any{"alg": "ES384"}, fault: jose.FaultUse},
		{name: "alg PS256", rsa: true, change: map[string]any{"alg": "PS256"}, fault: jose.FaultUse},
		{name: "alg HS256", rsa: true, change: map[string]any{"alg": "HS256"}, fault: jose.FaultUse},
		{name: "alg none", rsa: true, change: map[string]any{"alg": "none"}, fault: jose.FaultUse},

		{name: "no crv", change: map[string]any{"crv": nil}, fault: jose.FaultMissing},
		{name: "P-224", change: map[string]any{"crv": "P-224"}, fault: jose.FaultCurve},
		{name: "another curve", change: map[string]any{"crv": "P-384"}, fault: jose.FaultPoint},
		{name: "off the curve", change: map[string]any{"y": ecJWK()["x"]}, fault: jose.FaultPoint},
		{name: "infinity", change: map[string]any{"x": zero, "y": zero}, fault: jose.FaultPoint},
		{name: "no y", change: map[string]any{"y": nil}, fault: jose.FaultPoint},
		{name: "short x", change: map[string]any{"x": "AQAB"}, fault: jose.FaultPoint},
		{name: "x with padding", change: map[string]any{"x": ecJWK()["x"].(string) + "="}, fault: jose.FaultPoint},
		{name: "x with a line break", change: map[string]any{"x": "\n" + ecJWK()["x"].(string)}, fault: jose.FaultPoint},

		{name: "1024 bits", rsa: true, change: map[string]any{"n": bits(modulus(1024))}, fault: jose.FaultSize},
		{name: "8193 bits", rsa: true, change: map[string]any{"n": bits(modulus(8193))}, fault: jose.FaultSize},
		{name: "ROCA", rsa: true, change: map[string]any{"n": bits(rocaModulus())}, fault: jose.FaultROCA},
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
			if tt.fault == "" {
				if err != nil || len(keys) != 2 || len(skipped) != 0 {
					t.Fatalf("ParseJWKS() = %d keys, %v, %v", len(keys), skipped, err)
				}
				return
			}
			e, ok := errors.AsType[*jose.JWKError](err)
			if !ok || e.Index != 1 || e.Err.Fault != tt.fault || keys != nil || skipped != nil {
				t.Fatalf("ParseJWKS() = %d keys, %v; want key #1 refused with fault %q", len(keys), err, tt.fault)
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
		`key #0: jose: unusable key: "kty" is neither RSA nor EC`,
		`key #2: jose: unusable key: "kty" is neither RSA nor EC`,
		`key #3: jose: unusable key: "crv" is none of P-256, P-384 and P-521`,
	}
	if len(skipped) != len(want) {
		t.Fatalf("skipped %v, want %q", skipped, want)
	}
	for i, err := range skipped {
		if err.Error() != want[i] {
			t.Errorf("skipped %v, want %s", err, want[i])
		}
	}
}

// What isn't a JWK Set, or is more than one to different readers.
func TestParseJWKSMalformed(t *testing.T) {
	good := string(jwks(ecJWK()))
	many := make([]any, 65)
	for i := range many {
		many[i] = map[string]any{"kty": "OKP"}
	}
	for name, data := range map[string]string{
		"empty":            "",
		"null":             "null",
		"array":            "[]",
		"no keys":          "{}",
		"keys null":        `{"keys":null}`,
		"keys an object":   `{"keys":{}}`,
		"KEYS":             strings.Replace(good, "keys", "KEYS", 1),
		"keys and Keys":    strings.Replace(good, `{"keys"`, `{"Keys":[],"keys"`, 1),
		"keys twice":       strings.Replace(good, `{"keys"`, `{"keys":[],"keys"`, 1),
		"kid twice":        strings.Replace(good, `"kid"`, `"kid":"x","kid"`, 1),
		"Kelvin sign":      strings.Replace(good, `"kid"`, `"`+"\u212a"+`id"`, 1),
		"two values":       good + good,
		"cut short":        good[:len(good)-2],
		"invalid UTF-8":    strings.Replace(good, "sig", "s\xffg", 1),
		"deep":             `{"keys":[],"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`,
		"65 keys":          string(jwks(many...)),
		"1 MiB and a byte": good + strings.Repeat(" ", 1<<20),
	} {
		keys, skipped, err := jose.ParseJWKS([]byte(data))
		if e, ok := errors.AsType[*jose.MalformedError](err); !ok || e.Part != "JWK Set" || keys != nil || skipped != nil {
			t.Errorf("%s: ParseJWKS() = %v, %v; want a MalformedError", name, keys, err)
		}
	}
	if keys, _, err := jose.ParseJWKS([]byte(`{"keys":[]}`)); err != nil || len(keys) != 0 {
		t.Errorf("no keys: ParseJWKS() = %v, %v", keys, err)
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
			if err != nil || alg != key.Algorithm || key.KeyID == "" || ids[key.KeyID] {
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
