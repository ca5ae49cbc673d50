package tokenreview_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
	"github.com/kubesa/serviceaccount/tokens/tokenreview"
)

// Answer a TokenReview.
func ExampleReview() {
	issuer, authenticator, getter := newExample()
	ctx := context.Background()
	token, err := issuer.Issue(ctx, tokenissuer.Request{ServiceAccount: getter["ci/builder"], Audiences: []string{"api"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token.Value}}
	answer := tokenreview.Review(ctx, review, authenticator)
	fmt.Println(answer.Status.Authenticated, answer.Status.User.Username, answer.Status.Audiences)

	delete(getter, "ci/builder")
	answer = tokenreview.Review(ctx, review, authenticator)
	fmt.Println(answer.Status.Authenticated, answer.Status.Error)

	// Output:
	// true system:serviceaccount:ci:builder [api]
	// false tokens: service account token has been invalidated: its ServiceAccount is gone
}

// Serve TokenReviews, for kube-apiserver's flag
// --authentication-token-webhook-config-file.
func ExampleNewHandler() {
	_, authenticator, _ := newExample()
	handler, err := tokenreview.NewHandler(tokenreview.HandlerConfig{Verifier: authenticator})
	if err != nil {
		fmt.Println(err)
		return
	}

	request := httptest.NewRequest(http.MethodPost, "/authenticate", strings.NewReader(
		`{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":"not one of ours"}}`))
	request.Header.Set("Content-Type", "application/json")
	response := httptest.NewRecorder()
	handler.ServeHTTP(response, request)
	fmt.Print(response.Code, " ", response.Body)

	// Output:
	// 200 {"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","status":{"user":{}}}
}

// accounts is a getter by a map.
type accounts map[string]*corev1.ServiceAccount

func (a accounts) GetServiceAccount(_ context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	if account, ok := a[namespace+"/"+name]; ok {
		return account, nil
	}
	return nil, apierrors.NewNotFound(corev1.Resource("serviceaccounts"), name)
}

// newExample returns an Issuer, an Authenticator of its tokens, and the getter
// of the latter, which has the account ci/builder.
func newExample() (*tokenissuer.Issuer, *tokens.Authenticator, accounts) {
	key := must(keys.Generate(keys.ES256))
	getter := accounts{"ci/builder": &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder", UID: "f3e9f0a2"}}}
	issuer := must(tokenissuer.New(tokenissuer.Config{Issuer: "https://kubernetes.default.svc", Signer: must(keys.NewSigner(key))}))
	authenticator := must(tokens.NewAuthenticator(tokens.AuthenticatorConfig{
		Issuers: []string{"https://kubernetes.default.svc"}, Keys: must(keys.NewSet(key)), APIAudiences: []string{"api"}, ServiceAccounts: getter,
	}))
	return issuer, authenticator, getter
}
