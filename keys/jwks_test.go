package keys_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/internal/keystest"
)

// KEY-31, KEY-33: byte for byte what Kubernetes publishes.
func TestSetJWKS(t *testing.T) {
	list := keystest.Must(keys.ParsePublicKeys([]byte(keystest.UpstreamRSA + keystest.UpstreamEC)))
	set := keystest.Must(keys.NewSet(list...))
	data := keystest.Must(set.JWKS())
	if diff := cmp.Diff(keystest.UpstreamJWKS, string(data)); diff != "" {
		t.Errorf("JWKS() (-want +got):\n%s", diff)
	}
	again := keystest.Must(keys.ParseJWKS(data))
	if diff := cmp.Diff(ids(t, set), ids(t, again)); diff != "" {
		t.Errorf("ParseJWKS(JWKS()) (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(string(data), string(keystest.Must(again.JWKS()))); diff != "" {
		t.Errorf("JWKS() after a round trip (-want +got):\n%s", diff)
	}

	twice := string(keystest.Must(keystest.Must(keys.NewSet(list[1], list[1])).JWKS()))
	if strings.Count(twice, "SoABiieYuNx4UdqYvZRVeuC6SihxgLrhLy9peHMHpTc") != 2 {
		t.Errorf("JWKS() of a duplicate = %s, want both", twice)
	}
	if _, err := keystest.Must(keys.NewSet()).JWKS(); !errors.Is(err, keys.ErrNoKeys) || !strings.HasSuffix(err.Error(), "no keys provided for validating keyset") {
		t.Errorf("JWKS() of an empty set = %v, want ErrNoKeys", err)
	}

	// SECURITY K05: private keys come in, none comes out.
	private := string(keystest.Must(keystest.Must(keys.NewSet(keystest.RSAKey(), keystest.P256Key())).JWKS()))
	for _, member := range []string{`"d"`, `"p"`, `"q"`, `"dp"`, `"dq"`, `"qi"`} {
		if strings.Contains(private, member) {
			t.Errorf("JWKS() has a member %s", member)
		}
	}
}

// KEY-33: keys that can't be published are told one by one, as Kubernetes does, and left
// out.
func TestEncodeJWKSLeavesOut(t *testing.T) {
	good := keystest.Must(keys.NewPublicKey(keystest.P256Key().Public()))
	data, bad, err := keys.EncodeJWKS([]keys.PublicKey{
		{Key: keystest.EdKey().Public()}, good, {Key: keystest.Must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader)).Public()}, {}, {Key: keystest.WeakKey().Public()},
	})
	if err != nil || strings.Count(string(data), `"kid"`) != 1 || !strings.Contains(string(data), good.ID) {
		t.Errorf("EncodeJWKS() = %s, %v, want the one good key", data, err)
	}
	const text = "keys: could not marshal issuer discovery JSON, error: error constructing JWK for key #"
	want := []string{
		text + "0: unknown public key type, must be *rsa.PublicKey, *ecdsa.PublicKey, or jose.OpaqueSigner",
		text + "2: unknown private key curve, must be 256, 384, or 521",
		text + "3: unknown public key type, must be *rsa.PublicKey, *ecdsa.PublicKey, or jose.OpaqueSigner",
		text + "4: ",
	}
	if len(bad) != len(want) {
		t.Fatalf("bad = %v, want %d errors", bad, len(want))
	}
	for i, err := range bad {
		if _, ok := errors.AsType[*keys.KeyError](err); !ok || !strings.HasPrefix(err.Error(), want[i]) {
			t.Errorf("bad[%d] = %v, want a KeyError %q", i, err, want[i])
		}
	}
}

func ids(t *testing.T, source keys.Source) (out []string) {
	t.Helper()
	list, err := source.PublicKeys(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range list {
		out = append(out, key.ID+" "+string(key.Algorithm))
	}
	return out
}

// SECURITY K05..K08: the errors, and that they hold nothing of the text.
func TestParseJWKS(t *testing.T) {
	ec := keystest.UpstreamJWKS[strings.Index(keystest.UpstreamJWKS, `{"use":"sig","kty":"EC"`) : len(keystest.UpstreamJWKS)-2]
	change := func(from, to string) string {
		changed := strings.Replace(ec, from, to, 1)
		if changed == ec {
			t.Fatalf("%s is not in the key", from)
		}
		return `{"keys":[` + changed + `]}`
	}
	const id = "SoABiieYuNx4UdqYvZRVeuC6SihxgLrhLy9peHMHpTc"
	const prefix = `keys: JWK Set: key #0 "` + id + `": unusable key: `
	for _, tt := range []struct {
		name, data string
		reason     keys.Reason
		text       string
	}{
		{name: "private", data: change(`"x"`, `"d":"canary","x"`), reason: keys.ReasonPrivateKey, text: prefix + "private or shared key where public ones belong"},
		{name: "shared", data: `{"keys":[` + ec + `,{"kty":"oct","k":"canary"}]}`, reason: keys.ReasonPrivateKey, text: "keys: JWK Set: key #1: unusable key: private or shared key where public ones belong"},
		{name: "use", data: change(`"use":"sig"`, `"use":"canary"`), reason: keys.ReasonUse, text: prefix + `"use" is not sig`},
		{name: "algorithm", data: change("ES256", "canary"), reason: keys.ReasonUse, text: prefix + `"alg" is not the algorithm of the key, ES256`},
		{name: "same id", data: `{"keys":[` + ec + "," + ec + `]}`, reason: keys.ReasonKeyID, text: `keys: JWK Set: key #1 "` + id + `": unusable key: "kid" of another key of the set`},
		{name: "point", data: change(`"y":"B`, `"y":"C`), reason: keys.ReasonPoint, text: prefix + "ECDSA public key is not a point of P-256"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			set, err := keys.ParseJWKS([]byte(tt.data))
			if err != nil || len(set.Skipped()) != 1 {
				t.Fatalf("ParseJWKS() = %v, want a key left out", err)
			}
			skipped := set.Skipped()[0]
			e, _ := errors.AsType[*keys.KeyError](skipped)
			if e == nil || e.Reason != tt.reason || skipped.Error() != tt.text {
				t.Fatalf("Skipped() = %v with %+v, want %s", skipped, e, tt.text)
			}
		})
	}
	for _, tt := range []struct{ name, data, text string }{
		{name: "no JSON", data: "canary", text: "keys: malformed JWK Set: not a JSON object"},
		{name: "no keys", data: `{"canary":[]}`, text: `keys: malformed JWK Set: no "keys"`},
		{name: "large", data: strings.Repeat(" ", 1<<20) + keystest.UpstreamJWKS, text: "keys: malformed JWK Set: too long"},
	} {
		if set, err := keys.ParseJWKS([]byte(tt.data)); set != nil || !errors.Is(err, keys.ErrMalformedJWKS) || err.Error() != tt.text {
			t.Errorf("%s: ParseJWKS() = %v, want %s", tt.name, err, tt.text)
		}
	}

	set := keystest.Must(keys.ParseJWKS([]byte(`{"keys":[{"kty":"OKP","kid":"o"},` + ec + `]}`)))
	if got := ids(t, set); len(got) != 1 || got[0] != "SoABiieYuNx4UdqYvZRVeuC6SihxgLrhLy9peHMHpTc ES256" {
		t.Errorf("the keys are %q", got)
	}
	if skipped := set.Skipped(); len(skipped) != 1 || !isKeyError(skipped[0]) || skipped[0].Error() != `keys: JWK Set: key #0 "o": unusable key: "kty" is neither RSA nor EC` {
		t.Errorf("Skipped() = %v", skipped)
	}
}

// A key without an id verifies tokens without one, and no others.
func TestParseJWKSWithoutID(t *testing.T) {
	data, _, err := keys.EncodeJWKS([]keys.PublicKey{{Algorithm: keys.ES256, Key: keystest.P256Key().Public()}})
	if err != nil || strings.Contains(string(data), "kid") {
		t.Fatalf("EncodeJWKS() = %s, %v, want a key without an id", data, err)
	}
	set := keystest.Must(keys.ParseJWKS(data))
	for id, want := range map[string]int{"": 1, "other": 0} {
		if list, err := set.PublicKeys(t.Context(), id); err != nil || len(list) != want {
			t.Errorf("PublicKeys(%q) = %d keys, %v, want %d", id, len(list), err, want)
		}
	}
}

func FuzzParseJWKS(f *testing.F) {
	f.Add([]byte(keystest.UpstreamJWKS))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQ","e":"","kid":"x"},{"kty":"OKP"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		set, err := keys.ParseJWKS(data)
		if err != nil {
			if !errors.Is(err, keys.ErrMalformedJWKS) {
				t.Errorf("ParseJWKS() = %v, want ErrMalformedJWKS", err)
			}
			return
		}
		out, err := set.JWKS()
		if err != nil {
			if len(ids(t, set)) > 0 || !errors.Is(err, keys.ErrNoKeys) {
				t.Errorf("JWKS() = %v", err)
			}
			return
		}
		again, err := keys.ParseJWKS(out)
		if err != nil {
			t.Fatalf("ParseJWKS(JWKS()) = %v", err)
		}
		if diff := cmp.Diff(ids(t, set), ids(t, again)); diff != "" {
			t.Errorf("ParseJWKS(JWKS()) (-want +got):\n%s", diff)
		}
	})
}
