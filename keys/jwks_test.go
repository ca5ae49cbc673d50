package keys_test

import (
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
	for _, tt := range []struct {
		name, data string
		err        error
		fault      keys.Reason
		text       string
	}{
		{name: "private", data: change(`"x"`, `"d":"canary","x"`), fault: keys.ReasonPrivateKey, text: "keys: JWK Set: key #0: unusable key: private or shared key where public ones belong"},
		{name: "shared", data: `{"keys":[` + ec + `,{"kty":"oct","k":"canary"}]}`, fault: keys.ReasonPrivateKey, text: "keys: JWK Set: key #1: unusable key: private or shared key where public ones belong"},
		{name: "use", data: change(`"use":"sig"`, `"use":"canary"`), fault: keys.ReasonUse, text: `keys: JWK Set: key #0: unusable key: "use" is not sig`},
		{name: "algorithm", data: change("ES256", "canary"), fault: keys.ReasonUse, text: `keys: JWK Set: key #0: unusable key: "alg" is not the algorithm of the key, ES256`},
		{name: "no id", data: change(`"SoABiieYuNx4UdqYvZRVeuC6SihxgLrhLy9peHMHpTc"`, `""`), fault: keys.ReasonKeyID, text: `keys: JWK Set: key #0: unusable key: "kid" is missing, empty or too long`},
		{name: "same id", data: `{"keys":[` + ec + "," + ec + `]}`, fault: keys.ReasonKeyID, text: `keys: JWK Set: key #1: unusable key: "kid" of another key of the set`},
		{name: "point", data: change(`"y":"B`, `"y":"C`), fault: keys.ReasonPoint, text: "keys: JWK Set: key #0: unusable key: ECDSA public key is not a point of P-256"},
		{name: "no JSON", data: "canary", err: keys.ErrMalformedJWKS, text: "keys: malformed JWK Set: not a JSON object at byte 0"},
		{name: "no keys", data: `{"canary":[]}`, err: keys.ErrMalformedJWKS, text: `keys: malformed JWK Set: "keys" is not an array`},
		{name: "large", data: strings.Repeat(" ", 1<<20) + keystest.UpstreamJWKS, err: keys.ErrMalformedJWKS, text: "keys: malformed JWK Set: too long"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			set, err := keys.ParseJWKS([]byte(tt.data))
			e, ok := errors.AsType[*keys.KeyError](err)
			if set != nil || err == nil || err.Error() != tt.text || ok != (tt.fault != "") || ok && e.Reason != tt.fault || tt.err != nil && !errors.Is(err, tt.err) {
				t.Fatalf("ParseJWKS() = %v, want %s", err, tt.text)
			}
		})
	}

	set := keystest.Must(keys.ParseJWKS([]byte(`{"keys":[{"kty":"OKP","kid":"o"},` + ec + `]}`)))
	if got := ids(t, set); len(got) != 1 || got[0] != "SoABiieYuNx4UdqYvZRVeuC6SihxgLrhLy9peHMHpTc ES256" {
		t.Errorf("the keys are %q", got)
	}
	if skipped := set.Skipped(); len(skipped) != 1 || !isKeyError(skipped[0]) || skipped[0].Error() != `keys: JWK Set: key #0: unusable key: "kty" is neither RSA nor EC` {
		t.Errorf("Skipped() = %v", skipped)
	}
}

func FuzzParseJWKS(f *testing.F) {
	f.Add([]byte(keystest.UpstreamJWKS))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQ","e":"","kid":"x"},{"kty":"OKP"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		set, err := keys.ParseJWKS(data)
		if err != nil {
			if !errors.Is(err, keys.ErrMalformedJWKS) && !isKeyError(err) {
				t.Errorf("ParseJWKS() = %T, want ErrMalformedJWKS or a KeyError", err)
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
