package tokens_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/internal/tokentest"
)

// J28: whatever the text, there is one of the documented errors, and never an
// identity, because no text that the fuzzer finds has a good signature.
func FuzzAuthenticate(f *testing.F) {
	good := tokentest.Mint(f, ecKey, tokentest.BoundClaims())
	f.Add(good[:len(good)-1])
	f.Add(strings.ToLower(good))
	f.Add("a.b.c")
	a := tokentest.NewAuthenticator(f, tokentest.NewWorld(), nil)
	f.Fuzz(func(t *testing.T, token string) {
		id, err := a.Authenticate(t.Context(), token)
		if token == good {
			return
		}
		_, invalid := errors.AsType[*tokens.InvalidError](err)
		if id != nil || !invalid && !errors.Is(err, tokens.ErrNotRecognized) {
			t.Fatalf("Authenticate() = %v, %v, want no identity", id, err)
		}
	})
}

// J28: of claims that are signed, those are accepted that another decoder reads
// in the same way.
func FuzzClaims(f *testing.F) {
	for _, claims := range []object{tokentest.BoundClaims(), tokentest.LegacyClaims(), {"iss": issuerURL}} {
		f.Add(string(must(json.Marshal(claims))))
	}
	f.Add(`{"iss":"https://kubernetes.default.svc","ISS":"x"}`)
	a := tokentest.NewAuthenticator(f, tokentest.NewWorld(), func(cfg *tokens.AuthenticatorConfig) { cfg.Lookups = tokens.LookupNothing })
	f.Fuzz(func(t *testing.T, claims string) {
		if len(claims) > 8<<10 {
			return
		}
		id, err := a.Authenticate(t.Context(), tokentest.Mint(t, ecKey, claims))
		if err != nil {
			return
		}
		var want struct {
			Issuer  string `json:"iss"`
			Subject string `json:"sub"`
			Private struct {
				Namespace string `json:"namespace"`
				Account   struct {
					Name string `json:"name"`
				} `json:"serviceaccount"`
			} `json:"kubernetes.io"`
		}
		if err := json.Unmarshal([]byte(claims), &want); err != nil {
			t.Fatalf("accepted claims that encoding/json doesn't read: %v", err)
		}
		if id.Issuer != want.Issuer || id.Username() != want.Subject ||
			!id.Legacy && (id.Namespace != want.Private.Namespace || id.Name != want.Private.Account.Name) {
			t.Fatalf("Authenticate() = %+v, want %+v", id, want)
		}
	})
}
