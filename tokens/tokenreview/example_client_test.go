package tokenreview_test

import (
	"context"
	"errors"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
	"github.com/kubesa/serviceaccount/tokens/tokenreview"
)

// Ask an API server whose token it is. Another server's Review stands for the API
// server here; serviceaccount.FromAuthenticationV1 adapts client-go's client.
func ExampleNewClient() {
	issuer, authenticator, getter := newExample()
	client, err := tokenreview.NewClient(tokenreview.ClientConfig{
		Reviews: tokenreview.CreatorFunc(func(ctx context.Context, review *authenticationv1.TokenReview) (*authenticationv1.TokenReview, error) {
			return tokenreview.Review(ctx, review, authenticator), nil
		}),
		Audiences: []string{"vault"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	token, err := issuer.Issue(ctx, tokenissuer.Request{ServiceAccount: getter["ci/builder"], Audiences: []string{"vault"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	id, err := client.Authenticate(ctx, token.Value)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(id.Username(), id.Audiences)

	delete(getter, "ci/builder")
	_, err = client.Authenticate(ctx, token.Value)
	invalid, ok := errors.AsType[*tokens.InvalidError](err)
	fmt.Println(ok, invalid.Reason)

	// Output:
	// system:serviceaccount:ci:builder [vault]
	// true Refused
}
