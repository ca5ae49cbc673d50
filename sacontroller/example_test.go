package sacontroller_test

import (
	"context"
	"crypto"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/tokens"
)

func orPanic[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func exampleIssuer(key crypto.Signer) *tokens.Issuer {
	return orPanic(tokens.NewIssuer(tokens.IssuerConfig{Issuer: "https://issuer.example", Signer: orPanic(keys.NewSigner(key))}))
}

// A token Secret is filled, and deleted together with its account.
func ExampleNewTokens() {
	ctx := context.Background()
	cluster := fake.New(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}})
	controller := orPanic(sacontroller.NewTokens(sacontroller.TokensConfig{
		Reader: cluster, Client: cluster, Issuer: exampleIssuer(orPanic(keys.Generate(keys.ES256))),
	}))
	orPanic(cluster.CreateServiceAccount(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder"}}))
	orPanic(cluster.CreateSecret(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder-token", Annotations: map[string]string{corev1.ServiceAccountNameKey: "builder"}},
		Type:       corev1.SecretTypeServiceAccountToken,
	}))
	fmt.Println(cluster.Settle(ctx, controller))
	secret, err := cluster.GetSecret(ctx, "ci", "builder-token")
	fmt.Println(len(secret.Data["token"]) > 0, string(secret.Data["namespace"]), err)

	fmt.Println(cluster.DeleteServiceAccount(ctx, "ci", "builder", metav1.DeleteOptions{}))
	fmt.Println(cluster.Settle(ctx, controller))
	_, err = cluster.GetSecret(ctx, "ci", "builder-token")
	fmt.Println(err)
	// Output:
	// <nil>
	// true ci <nil>
	// <nil>
	// <nil>
	// secrets "builder-token" not found
}

// Whoever creates Namespaces makes sure that pods which come right after find
// their account.
func ExampleServiceAccounts_Ensure() {
	ctx := context.Background()
	cluster := fake.New()
	accounts := orPanic(sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{Reader: cluster, Client: cluster}))
	orPanic(cluster.CreateNamespace(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}}))
	fmt.Println(accounts.Ensure(ctx, "ci"))
	account, err := cluster.GetServiceAccount(ctx, "ci", "default")
	fmt.Println(account.Name, err)
	// Output:
	// <nil>
	// default <nil>
}

// theSecret is a getter of one Secret.
type theSecret struct{ secret *corev1.Secret }

func (t theSecret) GetSecret(context.Context, string, string) (*corev1.Secret, error) {
	return t.secret, nil
}

// May the old key be retired? Not while a Secret holds a token that it signed. The
// judge asks an authenticator that knows the new key only.
func ExampleTokens_InvalidTokens() {
	ctx := context.Background()
	oldKey, newKey := orPanic(keys.Generate(keys.ES256)), orPanic(keys.Generate(keys.ES256))
	cluster := fake.New(
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder", UID: "1"}},
		&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder-token", Annotations: map[string]string{corev1.ServiceAccountNameKey: "builder"}},
			Type:       corev1.SecretTypeServiceAccountToken,
		},
	)
	before := orPanic(sacontroller.NewTokens(sacontroller.TokensConfig{Reader: cluster, Client: cluster, Issuer: exampleIssuer(oldKey)}))
	if err := cluster.Settle(ctx, before); err != nil {
		panic(err)
	}

	verifying := orPanic(keys.NewSet(newKey.Public()))
	judge := func(ctx context.Context, account *corev1.ServiceAccount, secret *corev1.Secret) (string, error) {
		authenticator := orPanic(tokens.NewAuthenticator(tokens.AuthenticatorConfig{
			APIAudiences: []string{"api"}, Keys: verifying, Legacy: true,
			ServiceAccounts: cluster, Secrets: theSecret{secret}, // it may not be stored yet
		}))
		_, err := authenticator.Authenticate(ctx, string(secret.Data[corev1.ServiceAccountTokenKey]))
		if _, ok := errors.AsType[*tokens.UnavailableError](err); ok {
			return "", err
		}
		if err != nil {
			return err.Error(), nil
		}
		return "", nil
	}
	controller := orPanic(sacontroller.NewTokens(sacontroller.TokensConfig{
		Reader: cluster, Client: cluster, Issuer: exampleIssuer(newKey), CheckToken: judge, ReplaceInvalid: true,
	}))
	for _, stale := range orPanic(controller.InvalidTokens(ctx)) {
		fmt.Println(stale.Name, stale.Problem)
	}
	if err := cluster.Settle(ctx, controller); err != nil { // ReplaceInvalid: it signs them anew
		panic(err)
	}
	fmt.Println(len(orPanic(controller.InvalidTokens(ctx))))
	// Output:
	// builder-token tokens: invalid signature, no keys found
	// 0
}
