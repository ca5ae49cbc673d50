package tokenrequest_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
	"github.com/kubesa/serviceaccount/tokens/tokenrequest"
)

// Answer a TokenRequest as kube-apiserver does. What is wrong with one is said
// by a status with a code and the path of the field.
func ExampleRequester_Create() {
	issuer, authenticator, getter := newExample()
	requester, err := tokenrequest.New(tokenrequest.Config{
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

// Send the warnings of a request with its response: the context leads there.
func ExampleConfig_observe() {
	type responseKey struct{}
	issuer, _, getter := newExample()
	requester, err := tokenrequest.New(tokenrequest.Config{
		Issuer: issuer, APIAudiences: []string{"api"}, ServiceAccounts: getter, MaxLifetime: time.Hour,
		Observe: func(ctx context.Context, e tokenrequest.Event) {
			response := ctx.Value(responseKey{}).(http.ResponseWriter)
			for _, warning := range e.Warnings {
				response.Header().Add("Warning", fmt.Sprintf("299 - %q", warning))
			}
			fmt.Println(e.Result, len(e.AuditAnnotations)) // for the audit event
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	response := httptest.NewRecorder()
	ctx := context.WithValue(context.Background(), responseKey{}, response) // the context of the request
	seconds := int64(7200)
	_, err = requester.Create(ctx, "ci", "builder", &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}})
	fmt.Println(err, response.Header().Get("Warning"))

	// Output:
	// Issued 1
	// <nil> 299 - "requested expiration of 7200 seconds shortened to 3600 seconds"
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
