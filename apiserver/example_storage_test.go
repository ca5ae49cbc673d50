package apiserver_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/emicklei/go-restful/v3"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	genericadmission "k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/kubesa/serviceaccount/apiserver"
	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/discovery"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
	"github.com/kubesa/serviceaccount/tokens/tokenrequest"
)

// Answer TokenRequests, as the storage of serviceaccounts/token.
func ExampleNewTokenREST() {
	key, err := keys.Generate(keys.ES256)
	if err != nil {
		fmt.Println(err)
		return
	}
	signer, err1 := keys.NewSigner(key)
	issuer, err2 := tokenissuer.New(tokenissuer.Config{Issuer: "https://api.example", Signer: signer})
	storage, err3 := apiserver.NewTokenREST(nil, tokenrequest.Config{
		Issuer: issuer, APIAudiences: []string{"api"}, MaxLifetime: time.Hour,
		ServiceAccounts: fake.New(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}}),
	})
	if err := errors.Join(err1, err2, err3); err != nil {
		fmt.Println(err)
		return
	}
	ctx := request.WithNamespace(context.Background(), "shop")
	created, err := storage.Create(ctx, "web", &authenticationv1.TokenRequest{}, nil, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(created.(*authenticationv1.TokenRequest).Spec.Audiences, *created.(*authenticationv1.TokenRequest).Spec.ExpirationSeconds)
	_, err = storage.Create(ctx, "ghost", &authenticationv1.TokenRequest{}, nil, nil)
	fmt.Println(err)

	// Output:
	// [api] 3600
	// serviceaccounts "ghost" not found
}

// Review tokens with the authenticator of the server.
func ExampleNewTokenReviewREST() {
	a, err1 := apiserver.NewTokenAuthenticator(bearer{"good"})
	storage, err2 := apiserver.NewTokenReviewREST(nil, apiserver.NewBearerAuthenticator(a), []string{"api"})
	if err := errors.Join(err1, err2); err != nil {
		fmt.Println(err)
		return
	}
	for _, token := range []string{"good", "good-but-old", "another-one"} {
		answer, err := storage.Create(context.Background(), &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}, nil, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		status := answer.(*authenticationv1.TokenReview).Status
		fmt.Printf("%v %q %q\n", status.Authenticated, status.User.Username, status.Error)
	}

	// Output:
	// true "system:serviceaccount:shop:web" ""
	// false "" "tokens: service account token has expired"
	// false "" "invalid bearer token"
}

// Tell a user who they are.
func ExampleNewSelfSubjectReviewREST() {
	storage := apiserver.NewSelfSubjectReviewREST(nil)
	_, err := storage.Create(context.Background(), storage.New(), nil, nil)
	fmt.Println(err)
	ctx := request.WithUser(context.Background(), &user.DefaultInfo{Name: "ann", Groups: []string{"admins"}})
	answer, err := storage.Create(ctx, storage.New(), nil, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	info := answer.(*authenticationv1.SelfSubjectReview).Status.UserInfo
	fmt.Println(info.Username, info.Groups)

	// Output:
	// no user present on request
	// ann [admins]
}

// Put the admission plugin in place of Kubernetes'.
func ExampleRegisterAdmission() {
	plugins := genericadmission.NewPlugins()
	apiserver.RegisterAdmission(plugins)
	fmt.Println(plugins.Registered())

	// Output:
	// [ServiceAccount]
}

// Publish the keys of the issuer.
func ExampleInstallDiscovery() {
	key, err := keys.Generate(keys.ES256)
	if err != nil {
		fmt.Println(err)
		return
	}
	set, err1 := keys.NewSet(key.Public())
	publisher, err2 := discovery.NewPublisher(discovery.PublisherConfig{Issuer: "https://api.example", ExternalAddress: "api.example", Keys: set})
	if err := errors.Join(err1, err2); err != nil {
		fmt.Println(err)
		return
	}
	container := restful.NewContainer() // usually server.Handler.GoRestfulContainer
	apiserver.InstallDiscovery(container, publisher)
	for _, path := range []string{discovery.ConfigPath, discovery.JWKSPath, "/other"} {
		w := httptest.NewRecorder()
		container.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		fmt.Println(path, w.Code, w.Header().Get("Content-Type"))
	}

	// Output:
	// /.well-known/openid-configuration 200 application/json
	// /openid/v1/jwks 200 application/jwk-set+json
	// /other 404 text/plain; charset=utf-8
}

// Ask the authorizer of the server who may attest.
func ExampleAttest() {
	attest := apiserver.Attest(authorizer.AuthorizerFunc(func(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
		if a.GetVerb() == "attest" && a.GetName() == "apps" {
			return authorizer.DecisionAllow, "", nil
		}
		return authorizer.DecisionNoOpinion, "no rule", nil
	}))
	webhook := authenticationv1.UserInfo{Username: "system:serviceaccount:shop:webhook"}
	for _, group := range []string{"apps", "batch"} {
		allowed, reason, err := attest(context.Background(), webhook, group)
		fmt.Printf("%s %v %q %v\n", group, allowed, reason, err)
	}

	// Output:
	// apps true "" <nil>
	// batch false "no rule" <nil>
}

// Keep who a user is as a value of the API.
func ExampleUserOf() {
	id := &tokens.Identity{Namespace: "shop", Name: "web", UID: "1"}
	ctx := request.WithUser(context.Background(), apiserver.UserInfo(id))
	info, ok := apiserver.UserOf(ctx)
	fmt.Println(info.Username, info.Groups, ok)
	_, ok = apiserver.UserOf(context.Background())
	fmt.Println(ok)

	// Output:
	// system:serviceaccount:shop:web [system:serviceaccounts system:serviceaccounts:shop] true
	// false
}
