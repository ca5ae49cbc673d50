package tokens_test

import (
	"context"
	"fmt"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/tokens"
)

// Bind a role to an account by its username.
func ExampleUsername() {
	fmt.Println(tokens.Username("ci", "builder"))

	// Output:
	// system:serviceaccount:ci:builder
}

// Bind a role to all accounts of a Namespace by its group.
func ExampleGroups() {
	for _, group := range tokens.Groups("ci") {
		fmt.Println(group)
	}

	// Output:
	// system:serviceaccounts
	// system:serviceaccounts:ci
}

// Tell ServiceAccounts from other users.
func ExampleSplitUsername() {
	namespace, name, err := tokens.SplitUsername("system:serviceaccount:ci:builder")
	fmt.Println(namespace, name, err)

	_, _, err = tokens.SplitUsername("system:node:worker-1")
	fmt.Println(err)

	// Output:
	// ci builder <nil>
	// Username must be in the form system:serviceaccount:namespace:name
}

// Add a claim to the tokens of an issuer, and read it back from the Identity.
func ExampleClaimOf() {
	ctx := context.Background()
	key := must(keys.Generate(keys.ES256))
	_, _, getter := newExample()
	issuer := must(tokens.NewIssuer(tokens.IssuerConfig{
		Issuer: "https://kubernetes.default.svc", Signer: must(keys.NewSigner(key)),
		Extend: func(context.Context, tokens.IssueRequest) (map[string]any, error) {
			return map[string]any{"cluster": "west-1"}, nil
		},
	}))
	authenticator := must(tokens.NewAuthenticator(tokens.AuthenticatorConfig{
		Issuers: []string{"https://kubernetes.default.svc"}, Keys: must(keys.NewSet(key)), APIAudiences: []string{"api"}, ServiceAccounts: getter,
	}))
	token := must(issuer.Issue(ctx, tokens.IssueRequest{ServiceAccount: getter["ci/builder"], Audiences: []string{"api"}}))
	identity := must(authenticator.Authenticate(ctx, token.Value))

	fmt.Println(tokens.ClaimOf[string](identity, "cluster"))
	fmt.Println(tokens.ClaimOf[string](identity, "region"))
	fmt.Println(tokens.ClaimOf[int](identity, "cluster"))

	// Output:
	// west-1 true <nil>
	//  false <nil>
	// 0 true tokens: claim "cluster" is not a int
}
