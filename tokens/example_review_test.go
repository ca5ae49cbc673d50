package tokens_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/tokens"
)

// newExample returns an Issuer, an Authenticator of its tokens, and the getter
// behind the latter, which has the account ci/builder.
func newExample(policy ...tokens.Policy) (*tokens.Issuer, *tokens.Authenticator, accounts) {
	key := must(keys.Generate(keys.ES256))
	getter := accounts{"ci/builder": &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder", UID: "f3e9f0a2"}}}
	issuer := must(tokens.NewIssuer(tokens.IssuerConfig{
		Issuer: "https://kubernetes.default.svc", Signer: must(keys.NewSigner(key)), NewID: func() string { return "0a4b2d1e" },
	}))
	cfg := tokens.AuthenticatorConfig{
		Issuers: []string{"https://kubernetes.default.svc"}, Keys: must(keys.NewSet(key)), APIAudiences: []string{"api"}, ServiceAccounts: getter,
	}
	for _, p := range policy {
		cfg.Policy = p
	}
	return issuer, must(tokens.NewAuthenticator(cfg)), getter
}

// Answer a TokenRequest as kube-apiserver does. What is wrong with one is said
// by a status with a code and the path of the field.
func ExampleTokenRequester_Create() {
	issuer, authenticator, getter := newExample()
	requester, err := tokens.NewTokenRequester(tokens.TokenRequesterConfig{
		Issuer: issuer, APIAudiences: []string{"api"}, ServiceAccounts: getter,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	answer, err := requester.Create(ctx, "ci", "builder", &authenticationv1.TokenRequest{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(*answer.Spec.ExpirationSeconds, answer.Spec.Audiences)
	identity, err := authenticator.Authenticate(ctx, answer.Status.Token)
	fmt.Println(identity.Username(), err)

	seconds := int64(60)
	_, err = requester.Create(ctx, "ci", "builder", &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}})
	fmt.Println(err)

	// Output:
	// 3600 [api]
	// system:serviceaccount:ci:builder <nil>
	// TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: 60: may not specify a duration less than 10 minutes
}

// Answer a TokenReview.
func ExampleAuthenticator_Review() {
	issuer, authenticator, getter := newExample()
	ctx := context.Background()
	token, err := issuer.Issue(ctx, tokens.IssueRequest{ServiceAccount: getter["ci/builder"], Audiences: []string{"api"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token.Value}}
	answer := authenticator.Review(ctx, review)
	fmt.Println(answer.Status.Authenticated, answer.Status.User.Username, answer.Status.Audiences)

	delete(getter, "ci/builder")
	answer = authenticator.Review(ctx, review)
	fmt.Println(answer.Status.Authenticated, answer.Status.Error)

	// Output:
	// true system:serviceaccount:ci:builder [api]
	// false tokens: service account token has been invalidated: its ServiceAccount is gone
}

// Serve TokenReviews, for kube-apiserver's flag
// --authentication-token-webhook-config-file.
func ExampleNewReviewHandler() {
	_, authenticator, _ := newExample()
	handler := tokens.NewReviewHandler(authenticator, tokens.ReviewHandlerConfig{})

	request := httptest.NewRequest(http.MethodPost, "/authenticate", strings.NewReader(
		`{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":"not one of ours"}}`))
	request.Header.Set("Content-Type", "application/json")
	response := httptest.NewRecorder()
	handler.ServeHTTP(response, request)
	fmt.Print(response.Code, " ", response.Body)

	// Output:
	// 200 {"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","status":{"user":{}}}
}
