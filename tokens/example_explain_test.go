package tokens_test

import (
	"context"
	"fmt"
	"time"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/tokens"
)

// Show why a token is rejected. The result is for people; programs use
// Authenticate.
func ExampleExplain() {
	issuer, authenticator, getter := newExample()
	ctx := context.Background()
	token := must(issuer.Issue(ctx, tokens.IssueRequest{ServiceAccount: getter["ci/builder"], Audiences: []string{"api"}}))

	e := tokens.Explain(ctx, authenticator, token.Value)
	fmt.Println(e.Result, e.Signature, e.Algorithm, e.Identity.Username())

	e = tokens.Explain(ctx, authenticator, token.Value, "vault")
	fmt.Println(e.Result, e.Reason)

	delete(getter, "ci/builder")
	e = tokens.Explain(ctx, authenticator, token.Value)
	fmt.Println(e.Result, e.Reason, e.Subject)

	// Output:
	// Accepted Valid ES256 system:serviceaccount:ci:builder
	// Rejected Audience
	// Rejected NotFound ServiceAccount
}

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
