package tokens_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/internal/tokentest"
)

// Accept the tokens of two issuers that don't trust each other: each has its own keys.
func ExampleNewChain() {
	authenticator := func(issuer string) *tokens.Authenticator {
		a, err := tokens.NewAuthenticator(tokens.AuthenticatorConfig{
			Issuers: []string{issuer}, APIAudiences: []string{"api"}, Keys: &keys.Set{}, ServiceAccounts: tokentest.NewWorld(),
		})
		if err != nil {
			panic(err)
		}
		return a
	}
	chain, err := tokens.NewChain(authenticator("https://east.example"), authenticator("https://west.example"))
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = chain.Authenticate(context.Background(), "not a token")
	fmt.Println(errors.Is(err, tokens.ErrNotRecognized))
	_, err = tokens.NewChain(nil)
	fmt.Println(err)

	// Output:
	// true
	// tokens: Chain.Verifiers[0] is required, want a Verifier
}
