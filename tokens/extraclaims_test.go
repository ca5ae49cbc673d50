package tokens_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/internal/tokentest"
)

func TestExtraClaims(t *testing.T) {
	w := tokentest.NewWorld()
	a := tokentest.NewAuthenticator(t, w, func(cfg *tokens.AuthenticatorConfig) {
		cfg.ExtraClaims = map[string]string{"team": "example.org/team", "roles": "example.org/roles"}
	})
	plain := tokentest.BoundClaims()
	id, err := a.Authenticate(t.Context(), tokentest.Mint(t, tokentest.ECKey, plain))
	if err != nil {
		t.Fatal(err)
	}
	without := id.UserInfo().Extra
	for _, tt := range []struct {
		name        string
		team, roles any
		want        map[string]authenticationv1.ExtraValue // beside what every token has
		invalid     string
	}{
		{name: "neither"},
		{name: "a text", team: "red", want: map[string]authenticationv1.ExtraValue{"example.org/team": {"red"}}},
		{name: "both", team: "red", roles: []string{"b", "a"}, want: map[string]authenticationv1.ExtraValue{"example.org/team": {"red"}, "example.org/roles": {"b", "a"}}},
		{name: "an empty list", roles: []string{}},
		{name: "an empty text", team: "", want: map[string]authenticationv1.ExtraValue{"example.org/team": {""}}},
		{name: "a number", team: 7, invalid: "team"},
		{name: "an object", roles: map[string]any{"a": "b"}, invalid: "roles"},
		{name: "a list of numbers", roles: []int{1}, invalid: "roles"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			claims := tokentest.BoundClaims()
			if tt.team != nil {
				claims["team"] = tt.team
			}
			if tt.roles != nil {
				claims["roles"] = tt.roles
			}
			token := tokentest.Mint(t, tokentest.ECKey, claims)
			for range 2 { // the second time from the signature cache
				id, err := a.Authenticate(t.Context(), token)
				if tt.invalid != "" {
					if e, ok := errors.AsType[*tokens.InvalidError](err); !ok || *e != (tokens.InvalidError{Reason: tokens.ReasonInvalidClaim, Subject: tt.invalid}) {
						t.Errorf("Authenticate() = %v, want an InvalidError on %s", err, tt.invalid)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				want := map[string]authenticationv1.ExtraValue{}
				for _, m := range []map[string]authenticationv1.ExtraValue{without, tt.want} {
					for k, v := range m {
						want[k] = v
					}
				}
				if diff := cmp.Diff(want, id.UserInfo().Extra); diff != "" {
					t.Errorf("extra (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// A Secret-based token has none.
func TestExtraClaimsOfSecretBasedTokens(t *testing.T) {
	w := tokentest.NewWorld()
	legacy, bound := tokentest.LegacyClaims(), tokentest.BoundClaims()
	legacy["team"], bound["team"] = "red", "red"
	token := tokentest.Mint(t, tokentest.ECKey, legacy)
	w.Secrets["ci/builder-token"].Data["token"] = []byte(token)
	a := tokentest.NewAuthenticator(t, w, func(cfg *tokens.AuthenticatorConfig) { cfg.ExtraClaims = map[string]string{"team": "example.org/team"} })
	for token, want := range map[string]int{token: 0, tokentest.Mint(t, tokentest.ECKey, bound): 1} {
		id, err := a.Authenticate(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		if got := id.UserInfo().Extra["example.org/team"]; len(got) != want {
			t.Errorf("Secret-based %t: the extra is %q, want %d values", id.Legacy, got, want)
		}
	}
}

func TestExtraClaimsConfig(t *testing.T) {
	for claim, key := range map[string]string{
		"": "example.org/a", "sub": "example.org/a", "Kubernetes.io": "example.org/a", "a": "team", "b": "example.org/Team", "c": "kubernetes.io/x",
		"d": "authentication.kubernetes.io/pod-name", "e": "x.k8s.io/y", "f": "", "g": "example.org/", "h": "example.org/a_",
	} {
		cfg := tokentest.AuthenticatorConfig(tokentest.NewWorld())
		cfg.ExtraClaims = map[string]string{claim: key}
		_, err := tokens.NewAuthenticator(cfg)
		if _, ok := errors.AsType[*tokens.ConfigError](err); !ok || !strings.Contains(err.Error(), "AuthenticatorConfig.ExtraClaims["+claim+"] is ") {
			t.Errorf("%q: %q: NewAuthenticator() = %v, want a ConfigError", claim, key, err)
		}
	}
	cfg := tokentest.AuthenticatorConfig(tokentest.NewWorld())
	cfg.ExtraClaims = map[string]string{"a": "example.org/x", "b": "example.org/x"}
	if _, err := tokens.NewAuthenticator(cfg); err == nil || !strings.Contains(err.Error(), "which another claim has") {
		t.Errorf("NewAuthenticator() = %v, want one key for one claim", err)
	}
}
