package tokens_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kubesa/serviceaccount/tokens"
)

func TestPolicy(t *testing.T) {
	notBound := boundClaims()
	delete(private(notBound), "pod")
	delete(private(notBound), "node")
	noIssuedAt := boundClaims()
	delete(noIssuedAt, "iat")
	foreign := legacyClaims()
	foreign["sub"] = "x"

	tests := []struct {
		name   string
		policy tokens.Policy
		claims object
		what   string // empty if it is accepted
	}{
		{"none", tokens.Policy{}, notBound, ""},
		{"bound to a pod", tokens.Policy{RequirePodBound: true}, boundClaims(), ""},
		{"not bound to a pod", tokens.Policy{RequirePodBound: true}, notBound, "Pod"},
		{"legacy, not bound to a pod", tokens.Policy{RequirePodBound: true}, legacyClaims(), "Pod"},
		{"as long as allowed", tokens.Policy{MaxLifetime: time.Hour}, boundClaims(), ""},
		{"a part of a second less", tokens.Policy{MaxLifetime: time.Hour - 1}, boundClaims(), "lifetime"},
		{"without iat", tokens.Policy{MaxLifetime: time.Hour}, noIssuedAt, "lifetime"},
		{"legacy, without exp", tokens.Policy{MaxLifetime: time.Hour}, legacyClaims(), "lifetime"},
		{"legacy", tokens.Policy{ForbidLegacy: true}, legacyClaims(), "legacy"},
		{"not legacy", tokens.Policy{ForbidLegacy: true}, boundClaims(), ""},
		{"namespace", tokens.Policy{Namespaces: []string{"prod", "ci"}}, boundClaims(), ""},
		{"other namespace", tokens.Policy{Namespaces: []string{"prod", "CI"}}, boundClaims(), "namespace"},
		{"other namespace, legacy", tokens.Policy{Namespaces: []string{"prod"}}, legacyClaims(), "namespace"},
		{"all", tokens.Policy{RequirePodBound: true, MaxLifetime: time.Hour, Namespaces: []string{"ci"}, ForbidLegacy: true}, boundClaims(), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld()
			a := newCachedAuthenticator(t, w, func(cfg *tokens.AuthenticatorConfig) {
				cfg.Policy, cfg.Legacy = tt.policy, !tt.policy.ForbidLegacy
			})
			token := mint(t, ecKey, tt.claims)
			w.secrets["ci/builder-token"].Data["token"] = []byte(token)
			for range 2 { // the second time through the signature cache
				_, err := a.Authenticate(t.Context(), token)
				if tt.what == "" {
					if err != nil {
						t.Fatal(err)
					}
					continue
				}
				wantInvalid(t, err, tokens.ReasonPolicy, tt.what)
				if w.lookups != 0 {
					t.Errorf("%d lookups, want none", w.lookups)
				}
			}
			if !a.cached {
				t.Error("the signature was checked again")
			}
		})
	}

	// What is wrong with a forbidden token comes first.
	a := newAuthenticator(t, newWorld(), func(cfg *tokens.AuthenticatorConfig) { cfg.Legacy, cfg.Policy.ForbidLegacy = false, true })
	_, err := a.Authenticate(t.Context(), mint(t, ecKey, foreign))
	wantInvalid(t, err, tokens.ReasonInvalidClaim, "sub")
	_, err = a.Authenticate(t.Context(), mint(t, otherKey, legacyClaims()))
	wantInvalid(t, err, tokens.ReasonUnknownKey, "")
}

func TestNewAuthenticatorRefusesPolicies(t *testing.T) {
	for text, change := range map[string]func(*tokens.AuthenticatorConfig){
		"contradict":               func(cfg *tokens.AuthenticatorConfig) { cfg.Policy.ForbidLegacy = true },
		"MaxLifetime is 1ms":       func(cfg *tokens.AuthenticatorConfig) { cfg.Policy.MaxLifetime = time.Millisecond },
		"MaxLifetime is -1s":       func(cfg *tokens.AuthenticatorConfig) { cfg.Policy.MaxLifetime = -time.Second },
		"Namespaces has an empty ": func(cfg *tokens.AuthenticatorConfig) { cfg.Policy.Namespaces = []string{""} },
	} {
		cfg := authenticatorConfig(newWorld())
		change(&cfg)
		if _, err := tokens.NewAuthenticator(cfg); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("NewAuthenticator() = %v, want %q", err, text)
		}
	}
}

// Accept only short-lived tokens of pods.
func ExamplePolicy() {
	// For AuthenticatorConfig.Policy.
	issuer, authenticator, getter := newExample(tokens.Policy{RequirePodBound: true, MaxLifetime: 2 * time.Hour})
	ctx := context.Background()
	token, err := issuer.Issue(ctx, tokens.IssueRequest{ServiceAccount: getter["ci/builder"], Audiences: []string{"api"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = authenticator.Authenticate(ctx, token.Value)
	fmt.Println(err)
	var invalid *tokens.InvalidError
	fmt.Println(errors.As(err, &invalid) && invalid.Reason == tokens.ReasonPolicy)

	// Output:
	// tokens: service account token is refused by a policy: Pod
	// true
}
