package tokens_test

import (
	"context"
	"fmt"
	"time"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
)

// An Authenticator accepts only what it is told to. An empty config is an
// error, not an Authenticator that skips checks.
func ExampleNewAuthenticator() {
	authenticator, err := tokens.NewAuthenticator(tokens.AuthenticatorConfig{
		Issuers:         []string{"https://kubernetes.default.svc"},
		Keys:            must(keys.NewSet(must(keys.Generate(keys.ES256)))),
		APIAudiences:    []string{"api"},
		ServiceAccounts: accounts{},
	})
	fmt.Println(authenticator != nil, err)

	_, err = tokens.NewAuthenticator(tokens.AuthenticatorConfig{Legacy: true, Leeway: -time.Second})
	fmt.Println(err)

	// Output:
	// true <nil>
	// tokens: AuthenticatorConfig.Keys is required, want a keys.Source
	// tokens: AuthenticatorConfig.APIAudiences is [], want at least one audience and no empty one
	// tokens: AuthenticatorConfig.ServiceAccounts is required, want a getter (ServiceAccountTokenGetter must be provided), or Lookups: LookupNothing to verify tokens with the issuer's keys alone
	// tokens: AuthenticatorConfig.Secrets is required, want a getter for Secret-based tokens
	// tokens: AuthenticatorConfig.Leeway is -1s, want 0 for the default or a positive value
}

// Add a claim to the tokens of an issuer, and read it back from the Identity.
func ExampleClaimOf() {
	ctx := context.Background()
	key := must(keys.Generate(keys.ES256))
	_, _, getter := newExample()
	issuer := must(tokenissuer.New(tokenissuer.Config{
		Issuer: "https://kubernetes.default.svc", Signer: must(keys.NewSigner(key)),
		Extend: func(context.Context, tokenissuer.Request) (map[string]any, error) {
			return map[string]any{"cluster": "west-1"}, nil
		},
	}))
	authenticator := must(tokens.NewAuthenticator(tokens.AuthenticatorConfig{
		Issuers: []string{"https://kubernetes.default.svc"}, Keys: must(keys.NewSet(key)), APIAudiences: []string{"api"}, ServiceAccounts: getter,
	}))
	token := must(issuer.Issue(ctx, tokenissuer.Request{ServiceAccount: getter["ci/builder"], Audiences: []string{"api"}}))
	identity := must(authenticator.Authenticate(ctx, token.Value))

	fmt.Println(tokens.ClaimOf[string](identity, "cluster"))
	fmt.Println(tokens.ClaimOf[string](identity, "region"))
	fmt.Println(tokens.ClaimOf[int](identity, "cluster"))

	// Output:
	// west-1 true <nil>
	//  false <nil>
	// 0 true tokens: claim "cluster" is not a int
}
