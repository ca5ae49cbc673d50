package tokens_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/internal/tokentest"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
)

func TestPolicy(t *testing.T) {
	notBound := tokentest.BoundClaims()
	delete(private(notBound), "pod")
	delete(private(notBound), "node")
	noIssuedAt := tokentest.BoundClaims()
	delete(noIssuedAt, "iat")
	legacyWithIssuedAt := tokentest.LegacyClaims()
	legacyWithIssuedAt["iat"] = now.Unix()
	foreign := tokentest.LegacyClaims()
	foreign["sub"] = "x"

	tests := []struct {
		name   string
		policy tokens.Policy
		claims object
		what   string // empty if it is accepted
	}{
		{"none", tokens.Policy{}, notBound, ""},
		{"bound to a pod", tokens.Policy{RequirePodBound: true}, tokentest.BoundClaims(), ""},
		{"not bound to a pod", tokens.Policy{RequirePodBound: true}, notBound, "Pod"},
		{"legacy, not bound to a pod", tokens.Policy{RequirePodBound: true}, tokentest.LegacyClaims(), "Pod"},
		{"as long as allowed", tokens.Policy{MaxLifetime: time.Hour}, tokentest.BoundClaims(), ""},
		{"a part of a second less", tokens.Policy{MaxLifetime: time.Hour - 1}, tokentest.BoundClaims(), "lifetime"},
		{"without iat", tokens.Policy{MaxLifetime: time.Hour}, noIssuedAt, "lifetime"},
		{"without iat, the longest", tokens.Policy{MaxLifetime: math.MaxInt64}, noIssuedAt, "lifetime"},
		{"legacy, without exp, with iat", tokens.Policy{MaxLifetime: time.Hour}, legacyWithIssuedAt, "lifetime"},
		{"legacy, without exp", tokens.Policy{MaxLifetime: time.Hour}, tokentest.LegacyClaims(), "lifetime"},
		{"legacy", tokens.Policy{ForbidLegacy: true}, tokentest.LegacyClaims(), "legacy"},
		{"not legacy", tokens.Policy{ForbidLegacy: true}, tokentest.BoundClaims(), ""},
		{"namespace", tokens.Policy{Namespaces: []string{"prod", "ci"}}, tokentest.BoundClaims(), ""},
		{"other namespace", tokens.Policy{Namespaces: []string{"prod", "CI"}}, tokentest.BoundClaims(), "namespace"},
		{"other namespace, legacy", tokens.Policy{Namespaces: []string{"prod"}}, tokentest.LegacyClaims(), "namespace"},
		{"all", tokens.Policy{RequirePodBound: true, MaxLifetime: time.Hour, Namespaces: []string{"ci"}, ForbidLegacy: true}, tokentest.BoundClaims(), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := tokentest.NewWorld()
			a := newCachedAuthenticator(t, w, func(cfg *tokens.AuthenticatorConfig) {
				cfg.Policy, cfg.Legacy = tt.policy, !tt.policy.ForbidLegacy
			})
			token := tokentest.Mint(t, ecKey, tt.claims)
			w.Secrets["ci/builder-token"].Data["token"] = []byte(token)
			for range 2 { // the second time through the signature cache
				_, err := a.Authenticate(t.Context(), token)
				if tt.what == "" {
					if err != nil {
						t.Fatal(err)
					}
					continue
				}
				wantInvalid(t, err, tokens.ReasonPolicy, tt.what)
				if w.Lookups != 0 {
					t.Errorf("%d lookups, want none", w.Lookups)
				}
			}
			if !a.cached {
				t.Error("the signature was checked again")
			}
		})
	}

	// What is wrong with a forbidden token comes first.
	a := tokentest.NewAuthenticator(t, tokentest.NewWorld(), func(cfg *tokens.AuthenticatorConfig) { cfg.Legacy, cfg.Policy.ForbidLegacy = false, true })
	_, err := a.Authenticate(t.Context(), tokentest.Mint(t, ecKey, foreign))
	wantInvalid(t, err, tokens.ReasonInvalidClaim, "sub")
	_, err = a.Authenticate(t.Context(), tokentest.Mint(t, otherKey, tokentest.LegacyClaims()))
	wantInvalid(t, err, tokens.ReasonUnknownKey, "")
}

func TestNewAuthenticatorRefusesPolicies(t *testing.T) {
	for text, change := range map[string]func(*tokens.AuthenticatorConfig){
		"contradict":               func(cfg *tokens.AuthenticatorConfig) { cfg.Policy.ForbidLegacy = true },
		"MaxLifetime is 1ms":       func(cfg *tokens.AuthenticatorConfig) { cfg.Policy.MaxLifetime = time.Millisecond },
		"MaxLifetime is -1s":       func(cfg *tokens.AuthenticatorConfig) { cfg.Policy.MaxLifetime = -time.Second },
		"Namespaces has an empty ": func(cfg *tokens.AuthenticatorConfig) { cfg.Policy.Namespaces = []string{""} },
	} {
		cfg := tokentest.AuthenticatorConfig(tokentest.NewWorld())
		change(&cfg)
		if _, err := tokens.NewAuthenticator(cfg); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("NewAuthenticator() = %v, want %q", err, text)
		}
	}
	if _, err := (tokens.Policy{MaxLifetime: time.Second}).Checker(); err != nil {
		t.Errorf("Checker() with a MaxLifetime of 1 s = %v", err)
	}
}

// What the caller does with a Policy later changes nothing.
func TestPolicyIsCopied(t *testing.T) {
	p := tokens.Policy{Namespaces: []string{"ci"}, Accounts: []types.NamespacedName{{Namespace: "ci", Name: "builder"}}, Clusters: []string{"a"}}
	check := must(p.Checker())
	p.Namespaces[0], p.Accounts[0].Name, p.Clusters[0] = "other", "other", "other"
	if err := check(&tokens.Identity{Namespace: "ci", Name: "builder", Cluster: "a"}); err != nil {
		t.Errorf("after a change of the Policy: %v", err)
	}
}

// Accept only short-lived tokens of pods.
func ExamplePolicy() {
	// For AuthenticatorConfig.Policy.
	issuer, authenticator, getter := newExample(tokens.Policy{RequirePodBound: true, MaxLifetime: 2 * time.Hour})
	ctx := context.Background()
	token, err := issuer.Issue(ctx, tokenissuer.Request{ServiceAccount: getter["ci/builder"], Audiences: []string{"api"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = authenticator.Authenticate(ctx, token.Value)
	fmt.Println(err)
	var invalid *tokens.InvalidError
	fmt.Println(errors.As(err, &invalid) && invalid.Reason == tokens.ReasonPolicy)

	// Output:
	// tokens: service account token is rejected by a policy: Pod
	// true
}
