package tokens_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/internal/tokentest"
)

func TestLookups(t *testing.T) {
	for _, tt := range []struct {
		lookups                         tokens.Lookups
		podGone, accountGone, recreated bool // accepted all the same
	}{
		{lookups: tokens.LookupAll},
		{lookups: tokens.LookupAccounts, podGone: true},
		{lookups: tokens.LookupNothing, podGone: true, accountGone: true, recreated: true},
	} {
		t.Run("Lookup"+string(tt.lookups), func(t *testing.T) {
			w := tokentest.NewWorld()
			a := tokentest.NewAuthenticator(t, w, func(cfg *tokens.AuthenticatorConfig) {
				cfg.Lookups, cfg.Legacy = tt.lookups, false
				if tt.lookups == tokens.LookupNothing {
					cfg.ServiceAccounts, cfg.Secrets, cfg.Pods, cfg.Nodes, cfg.Webhooks = nil, nil, nil, nil, nil
				}
			})
			token := tokentest.Mint(t, tokentest.ECKey, tokentest.BoundClaims())
			check := func(when string, want bool) {
				t.Helper()
				if _, err := a.Authenticate(t.Context(), token); (err == nil) != want {
					t.Errorf("%s: Authenticate() = %v, want accepted: %v", when, err, want)
				}
			}
			check("at first", true)
			delete(w.Pods, "ci/job")
			check("the pod is gone", tt.podGone)
			w.Accounts["ci/builder"].UID = "another"
			check("the account is another", tt.recreated)
			delete(w.Accounts, "ci/builder")
			check("the account is gone", tt.accountGone)
		})
	}
}

func TestLookupsConfig(t *testing.T) {
	for _, tt := range []struct {
		change func(*tokens.AuthenticatorConfig)
		want   string
	}{
		{func(cfg *tokens.AuthenticatorConfig) { cfg.ServiceAccounts = nil }, "AuthenticatorConfig.ServiceAccounts is required, want a getter (ServiceAccountTokenGetter must be provided), or Lookups: LookupNothing to verify tokens with the issuer's keys alone"},
		{func(cfg *tokens.AuthenticatorConfig) { cfg.ServiceAccounts, cfg.Lookups = nil, tokens.LookupAccounts }, "AuthenticatorConfig.ServiceAccounts is required"},
		{func(cfg *tokens.AuthenticatorConfig) { cfg.Legacy, cfg.Lookups = true, tokens.LookupAccounts }, "AuthenticatorConfig.Legacy is set, but only the Secret revokes a Secret-based token, want LookupAll"},
		{func(cfg *tokens.AuthenticatorConfig) { cfg.Lookups = "Pods" }, `AuthenticatorConfig.Lookups is "Pods", want LookupAll, LookupAccounts or LookupNothing`},
		{func(cfg *tokens.AuthenticatorConfig) {
			cfg.Policy.Accounts = []types.NamespacedName{{Namespace: "ci", Name: "builder"}, {Namespace: "ci"}}
		}, `AuthenticatorConfig.Policy.Accounts[1] is "ci/", want a namespace and a name`},
		{func(cfg *tokens.AuthenticatorConfig) { cfg.Policy.Accounts = []types.NamespacedName{{Name: "builder"}} }, `AuthenticatorConfig.Policy.Accounts[0] is "/builder", want a namespace and a name`},
	} {
		cfg := tokentest.AuthenticatorConfig(tokentest.NewWorld())
		tt.change(&cfg)
		_, err := tokens.NewAuthenticator(cfg)
		if _, ok := errors.AsType[*tokens.ConfigError](err); !ok || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("NewAuthenticator() = %v, want %q", err, tt.want)
		}
	}
}

func TestPolicyAccounts(t *testing.T) {
	check := must(tokens.Policy{Accounts: []types.NamespacedName{{Namespace: "ci", Name: "builder"}}}.Checker())
	for _, tt := range []struct {
		id   tokens.Identity
		want error
	}{
		{tokens.Identity{Namespace: "ci", Name: "builder"}, nil},
		{tokens.Identity{Namespace: "ci", Name: "other"}, &tokens.InvalidError{Reason: tokens.ReasonPolicy, Subject: "account"}},
		{tokens.Identity{Namespace: "other", Name: "builder"}, &tokens.InvalidError{Reason: tokens.ReasonPolicy, Subject: "account"}},
	} {
		if err := check(&tt.id); fmt.Sprint(err) != fmt.Sprint(tt.want) {
			t.Errorf("check(%s/%s) = %v, want %v", tt.id.Namespace, tt.id.Name, err, tt.want)
		}
	}
	if err := must(tokens.Policy{MaxLifetime: time.Hour}.Checker())(&tokens.Identity{}); err == nil {
		t.Error("an identity without times passes MaxLifetime")
	}
}

// Ask an API server about tokens, and accept those of one namespace only.
func ExamplePolicy_Checker() {
	check, err := tokens.Policy{Namespaces: []string{"ci"}}.Checker()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(check(&tokens.Identity{Namespace: "ci", Name: "builder"})) // what the API server says
	fmt.Println(check(&tokens.Identity{Namespace: "dev", Name: "builder"}))

	_, err = tokens.Policy{Namespaces: []string{""}}.Checker()
	fmt.Println(err)

	// Output:
	// <nil>
	// tokens: service account token is rejected by a policy: namespace
	// tokens: Policy.Namespaces has an empty one, want names of namespaces
}

// Verify tokens with the published keys of their issuer, without its cluster.
func ExampleLookupNothing() {
	set, err := keys.NewSet(tokentest.ECKey) // in production: discovery.NewRemote, or keys.ParseJWKS
	if err != nil {
		fmt.Println(err)
		return
	}
	authenticator, err := tokens.NewAuthenticator(tokens.AuthenticatorConfig{
		Issuers: []string{tokentest.IssuerURL}, Keys: set, APIAudiences: []string{tokentest.APIAudience},
		Lookups: tokens.LookupNothing,
		Policy:  tokens.Policy{RequirePodBound: true, MaxLifetime: time.Hour},
		Now:     func() time.Time { return tokentest.Now },
	})
	fmt.Println(authenticator != nil, err)

	// Output:
	// true <nil>
}
