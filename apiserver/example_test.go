package apiserver_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/kubesa/serviceaccount/apiserver"
	"github.com/kubesa/serviceaccount/apiserver/lookup"
	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
)

// accountStore is a server's storage of ServiceAccounts.
type accountStore struct{ cluster *fake.Cluster }

func (s accountStore) Get(ctx context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	return s.cluster.GetServiceAccount(ctx, request.NamespaceValue(ctx), name)
}

// Issue a token through the storage of TokenRequests, and authenticate a request with it,
// as a server does.
func ExampleNew() {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}}
	key, err := keys.Generate(keys.ES256)
	if err != nil {
		fmt.Println(err)
		return
	}
	signer, err1 := keys.NewSigner(key)
	set, err2 := keys.NewSet(key.Public())
	scheme := runtime.NewScheme()
	err3 := apiserver.AddToScheme(scheme)
	parts, err4 := apiserver.New(apiserver.Config{
		Scheme: scheme,
		Issuer: tokenissuer.Config{Issuer: "https://api.example", Signer: signer},
		Keys:   set,
		Live:   lookup.FromStorage(scheme, lookup.Storage{ServiceAccounts: accountStore{fake.New(account)}}),
	})
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		fmt.Println(err)
		return
	}
	ctx := request.WithNamespace(context.Background(), "shop")
	created, err := parts.TokenREST.Create(ctx, "web", &authenticationv1.TokenRequest{}, nil, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	r := httptest.NewRequest(http.MethodGet, "https://api.example/", nil)
	r.Header.Set("Authorization", "Bearer "+created.(*authenticationv1.TokenRequest).Status.Token)
	response, ok, err := parts.Requests.AuthenticateRequest(r)
	fmt.Println(response.User.GetName(), response.Audiences, ok, err)

	// Output:
	// system:serviceaccount:shop:web [https://api.example] true <nil>
}

// Every mistake in a configuration is reported at once.
func ExampleNew_mistakes() {
	scheme := runtime.NewScheme()
	check := apiserver.AddToScheme(scheme)
	_, err := apiserver.New(apiserver.Config{Scheme: scheme, APIAudiences: []string{"api"}})
	fmt.Println(check)
	fmt.Println(err)

	// Output:
	// <nil>
	// tokenissuer: Config.Issuer is empty, want the issuer of bound tokens
	// tokenissuer: Config.Signer is required, want a keys.Signer
	// tokens: AuthenticatorConfig.Issuers is empty, want at least one
	// tokens: AuthenticatorConfig.Keys is required, want a keys.Source
	// tokens: AuthenticatorConfig.ServiceAccounts is required, want a getter (ServiceAccountTokenGetter must be provided), or Lookups: LookupNothing to verify tokens with the issuer's keys alone
	// tokenrequest: Config.ServiceAccounts is required, want a ServiceAccountGetter
}
