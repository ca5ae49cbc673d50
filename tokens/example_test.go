package tokens_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/tokens"
)

// accounts is a getter by a map.
type accounts map[string]*corev1.ServiceAccount

func (a accounts) GetServiceAccount(_ context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	if account, ok := a[namespace+"/"+name]; ok {
		return account, nil
	}
	return nil, apierrors.NewNotFound(corev1.Resource("serviceaccounts"), name)
}

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

// Issue a token for a ServiceAccount.
func ExampleIssuer_Issue() {
	key, err := keys.Generate(keys.ES256)
	if err != nil {
		fmt.Println(err)
		return
	}
	signer, err := keys.NewSigner(key)
	if err != nil {
		fmt.Println(err)
		return
	}
	issuer, err := tokens.NewIssuer(tokens.IssuerConfig{
		Issuer: "https://kubernetes.default.svc",
		Signer: signer,
		Now:    func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) },
		NewID:  func() string { return "0a4b2d1e" },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder", UID: "f3e9f0a2"}}
	token, err := issuer.Issue(context.Background(), tokens.IssueRequest{
		ServiceAccount: account,
		Audiences:      []string{"vault"},
		Lifetime:       10 * time.Minute,
	})
	fmt.Println(token, err) // doesn't show the token, which is in token.Value

	_, err = issuer.Issue(context.Background(), tokens.IssueRequest{ServiceAccount: account})
	fmt.Println(err)

	// Output:
	// tokens.Token(JTI=0a4b2d1e, expires 2026-01-01T00:10:00Z) <nil>
	// tokens: IssueRequest.Audiences: is empty, want at least one
}

// Tell the three ways in which a token isn't accepted from one another.
func ExampleAuthenticator_Authenticate() {
	key, _ := keys.Generate(keys.ES256)
	signer, _ := keys.NewSigner(key)
	issuer, _ := tokens.NewIssuer(tokens.IssuerConfig{Issuer: "https://kubernetes.default.svc", Signer: signer})
	set, _ := keys.NewSet(key)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder", UID: "f3e9f0a2"}}
	getter := accounts{"ci/builder": account}

	authenticator, err := tokens.NewAuthenticator(tokens.AuthenticatorConfig{
		Issuers:         []string{"https://kubernetes.default.svc"},
		Keys:            set,
		APIAudiences:    []string{"api"},
		ServiceAccounts: getter,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	token, _ := issuer.Issue(ctx, tokens.IssueRequest{ServiceAccount: account, Audiences: []string{"api"}})
	who := func(token string) {
		identity, err := authenticator.Authenticate(ctx, token)
		if invalid, ok := errors.AsType[*tokens.InvalidError](err); ok {
			fmt.Println("rejected:", invalid.Reason, invalid.Subject)
		} else if errors.Is(err, tokens.ErrNotRecognized) {
			fmt.Println("not ours")
		} else if err != nil {
			fmt.Println("try again:", err)
		} else {
			fmt.Println(identity.UserInfo().Username)
		}
	}
	who(token.Value)
	who("an opaque token")
	delete(getter, "ci/builder")
	who(token.Value)

	// Output:
	// system:serviceaccount:ci:builder
	// not ours
	// rejected: NotFound ServiceAccount
}

// Try a signer and its keys at startup: NewIssuer doesn't.
func ExampleNewIssuer() {
	signer := must(keys.NewSigner(must(keys.Generate(keys.ES256))))
	published := must(keys.NewSet(must(keys.Generate(keys.ES256)))) // another key
	issuer, err := tokens.NewIssuer(tokens.IssuerConfig{Issuer: "https://kubernetes.default.svc", Signer: signer, Keys: published})
	fmt.Println(issuer != nil, err)
	err = keys.SelfTest(context.Background(), signer, published)
	fmt.Println(errors.Is(err, keys.ErrMismatch))

	_, err = tokens.NewIssuer(tokens.IssuerConfig{MaxLifetime: -1})
	fmt.Println(err)

	// Output:
	// true <nil>
	// true
	// tokens: IssuerConfig.Issuer is empty, want the issuer of bound tokens
	// tokens: IssuerConfig.Signer is required, want a keys.Signer
	// tokens: IssuerConfig.MaxLifetime is -1ns, want 0 or 1 s to 2^32 s
}

// Send the warnings of Kubernetes with the response to the request that they
// belong to: the context leads there.
func ExampleEvent_Warnings() {
	type responseKey struct{}
	observe := func(ctx context.Context, e tokens.Event) { // AuthenticatorConfig.Observe
		response := ctx.Value(responseKey{}).(http.ResponseWriter)
		for _, warning := range e.Warnings() {
			response.Header().Add("Warning", fmt.Sprintf("299 - %q", warning))
		}
		for key, value := range e.AuditAnnotations() {
			fmt.Println("audit:", key, value)
		}
	}
	response := httptest.NewRecorder()
	ctx := context.WithValue(context.Background(), responseKey{}, response)
	observe(ctx, tokens.Event{
		Result: tokens.ResultAccepted,
		Legacy: &tokens.LegacyUse{Namespace: "ci", Secret: "builder-token", Generated: true},
	})
	fmt.Println(len(response.Header().Values("Warning")))

	// Output:
	// audit: authentication.k8s.io/legacy-token-autogenerated-secret builder-token
	// 1
}

// Find out whose token a Secret holds.
func ExampleIsTokenSecretOf() {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder", UID: "f3e9f0a2"}}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder-token", Annotations: map[string]string{corev1.ServiceAccountNameKey: "builder"}},
		Type:       corev1.SecretTypeServiceAccountToken,
	}
	fmt.Println(tokens.IsTokenSecretOf(secret, account))
	secret.Annotations[corev1.ServiceAccountUIDKey] = "of an account that is gone"
	fmt.Println(tokens.IsTokenSecretOf(secret, account))

	// Output:
	// true
	// false
}
