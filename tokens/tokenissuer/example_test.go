package tokenissuer_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
)

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
	issuer, err := tokenissuer.New(tokenissuer.Config{
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
	token, err := issuer.Issue(context.Background(), tokenissuer.Request{
		ServiceAccount: account,
		Audiences:      []string{"vault"},
		Lifetime:       10 * time.Minute,
	})
	fmt.Println(token, err) // doesn't show the token, which is in token.Value

	_, err = issuer.Issue(context.Background(), tokenissuer.Request{ServiceAccount: account})
	fmt.Println(err)

	// Output:
	// tokens.Token(JTI=0a4b2d1e, expires 2026-01-01T00:10:00Z) <nil>
	// tokenissuer: Request.Audiences: is empty, want at least one
}

// Try a signer and its keys at startup: New doesn't.
func ExampleNew() {
	signer := must(keys.NewSigner(must(keys.Generate(keys.ES256))))
	published := must(keys.NewSet(must(keys.Generate(keys.ES256)))) // another key
	issuer, err := tokenissuer.New(tokenissuer.Config{Issuer: "https://kubernetes.default.svc", Signer: signer, Keys: published})
	fmt.Println(issuer != nil, err)
	err = keys.SelfTest(context.Background(), signer, published)
	fmt.Println(errors.Is(err, keys.ErrMismatch))

	_, err = tokenissuer.New(tokenissuer.Config{MaxLifetime: -1})
	fmt.Println(err)

	// Output:
	// true <nil>
	// true
	// tokenissuer: Config.Issuer is empty, want the issuer of bound tokens
	// tokenissuer: Config.Signer is required, want a keys.Signer
	// tokenissuer: Config.MaxLifetime is -1ns, want 0 or 1 s to 2^32 s
}

// A Secret-based token is valid as long as its Secret holds it.
func ExampleIssuer_IssueLegacy() {
	ctx := context.Background()
	key := must(keys.Generate(keys.ES256))
	issuer := must(tokenissuer.New(tokenissuer.Config{Issuer: "https://kubernetes.default.svc", Signer: must(keys.NewSigner(key))}))
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder", UID: "f3e9f0a2"}}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder-token", Annotations: map[string]string{
			corev1.ServiceAccountNameKey: "builder", corev1.ServiceAccountUIDKey: "f3e9f0a2",
		}},
		Type: corev1.SecretTypeServiceAccountToken,
	}
	token := must(issuer.IssueLegacy(ctx, account, secret))
	secret.Data = map[string][]byte{corev1.ServiceAccountTokenKey: []byte(token)}
	cluster := fake.New(account, secret)
	authenticator := must(tokens.NewAuthenticator(tokens.AuthenticatorConfig{
		Keys: must(keys.NewSet(key)), APIAudiences: []string{"api"}, ServiceAccounts: cluster, Secrets: cluster, Legacy: true,
	}))
	identity, err := authenticator.Authenticate(ctx, token)
	fmt.Println(identity.Username(), identity.Expiry.IsZero(), err)
	err = cluster.DeleteSecret(ctx, "ci", "builder-token", metav1.DeleteOptions{})
	fmt.Println(err)
	_, err = authenticator.Authenticate(ctx, token)
	fmt.Println(err)

	// Output:
	// system:serviceaccount:ci:builder true <nil>
	// <nil>
	// tokens: service account token has been invalidated: its Secret is gone
}
