package tokens_test

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/tokens"
)

// A Secret-based token is valid as long as its Secret holds it.
func ExampleIssuer_IssueLegacy() {
	ctx := context.Background()
	key := must(keys.Generate(keys.ES256))
	issuer := must(tokens.NewIssuer(tokens.IssuerConfig{Issuer: "https://kubernetes.default.svc", Signer: must(keys.NewSigner(key))}))
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

// Until a controller has set the UID, a token Secret has only the name of its
// account.
func ExampleTokenSecretOwner() {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder-token", Annotations: map[string]string{corev1.ServiceAccountNameKey: "builder"}},
		Type:       corev1.SecretTypeServiceAccountToken,
	}
	name, uid := tokens.TokenSecretOwner(secret)
	fmt.Printf("%q %q\n", name, uid)

	secret.Annotations[corev1.ServiceAccountUIDKey] = "f3e9f0a2"
	name, uid = tokens.TokenSecretOwner(secret)
	fmt.Printf("%q %q\n", name, uid)

	secret.Type = corev1.SecretTypeOpaque
	name, uid = tokens.TokenSecretOwner(secret)
	fmt.Printf("%q %q\n", name, uid)

	// Output:
	// "builder" ""
	// "builder" "f3e9f0a2"
	// "" ""
}
