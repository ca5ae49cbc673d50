package tokensource_test

import (
	"context"
	"fmt"
	"net/http"

	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
	"github.com/kubesa/serviceaccount/tokens/tokenrequest"
	"github.com/kubesa/serviceaccount/tokens/tokensource"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A client keeps a token fresh and sends it with its requests. Here the tokens
// come from a tokenrequest.Requester; with client-go it would be
// clientset.CoreV1().ServiceAccounts("ci").CreateToken.
func ExampleSource() {
	cluster := fake.New(
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder"}},
	)
	signer := must(keys.NewSigner(must(keys.Generate(keys.ES256))))
	requester := must(tokenrequest.New(tokenrequest.Config{
		Issuer:          must(tokenissuer.New(tokenissuer.Config{Issuer: "https://kubernetes.default.svc", Signer: signer})),
		APIAudiences:    []string{"api"},
		ServiceAccounts: cluster,
	}))

	source := must(tokensource.New(tokensource.Config{
		Mint: func(ctx context.Context) (*tokens.Token, error) {
			answer, err := requester.Create(ctx, "ci", "builder", &authenticationv1.TokenRequest{
				Spec: authenticationv1.TokenRequestSpec{Audiences: []string{"api"}},
			})
			if err != nil {
				return nil, err
			}
			return tokensource.TokenOf(answer)
		},
	}))
	client := &http.Client{Transport: &tokensource.Transport{Source: source}}
	_, err := client.Get("http://api.example/pods")
	fmt.Println(err)

	first := must(source.Token(context.Background()))
	second := must(source.Token(context.Background()))
	fmt.Println(first.Value == second.Value)
	// Output:
	// Get "http://api.example/pods": tokensource: no token is sent to http://api.example: want https
	// true
}
