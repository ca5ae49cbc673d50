package tokensource_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/tokensource"
)

// Authenticate the requests of an http.Client. Requests that have an
// Authorization header keep it.
func ExampleTransport() {
	server := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		fmt.Println(r.Header.Get("Authorization"))
	}))
	defer server.Close()
	source := must(tokensource.New(tokensource.Config{
		Mint: func(context.Context) (*tokens.Token, error) {
			return &tokens.Token{Value: "header.claims.signature"}, nil
		},
	}))
	client := server.Client() // trusts the certificate of the server
	client.Transport = &tokensource.Transport{Source: source, Base: client.Transport}

	response := must(client.Get(server.URL))
	fmt.Println(response.Status)

	request := must(http.NewRequest(http.MethodGet, server.URL, nil))
	request.SetBasicAuth("admin", "password")
	response = must(client.Do(request))
	fmt.Println(response.Status)

	// Output:
	// Bearer header.claims.signature
	// 200 OK
	// Basic YWRtaW46cGFzc3dvcmQ=
	// 200 OK
}

// A Source gets its first token when it is asked for one.
func ExampleNew() {
	source, err := tokensource.New(tokensource.Config{
		Mint: func(context.Context) (*tokens.Token, error) {
			fmt.Println("minting")
			return &tokens.Token{Value: "header.claims.signature"}, nil
		},
	})
	fmt.Println(source.Err(), err)
	for range 2 {
		token, err := source.Token(context.Background())
		fmt.Println(len(token.Value), err)
	}

	_, err = tokensource.New(tokensource.Config{MintTimeout: -time.Second})
	fmt.Println(err)

	// Output:
	// <nil> <nil>
	// minting
	// 23 <nil>
	// 23 <nil>
	// tokensource: Config.Mint is required, want a function that returns a new token
	// tokensource: Config.MintTimeout is -1s, want 0 for the default or a positive value
}

// With client-go, the TokenRequest is what CreateToken returns.
func ExampleTokenOf() {
	answered := &authenticationv1.TokenRequest{Status: authenticationv1.TokenRequestStatus{
		Token:               "header.claims.signature",
		ExpirationTimestamp: metav1.Date(2026, time.January, 1, 1, 0, 0, 0, time.UTC),
	}}
	token, err := tokensource.TokenOf(answered)
	fmt.Println(token.Expiry.UTC(), err)

	_, err = tokensource.TokenOf(&authenticationv1.TokenRequest{})
	fmt.Println(err)

	// Output:
	// 2026-01-01 01:00:00 +0000 UTC <nil>
	// tokensource: TokenRequest.status has no token
}
