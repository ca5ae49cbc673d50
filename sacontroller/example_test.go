package sacontroller_test

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/internal/satest"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
)

func exampleIssuer(key crypto.Signer) *tokenissuer.Issuer {
	return satest.Must(tokenissuer.New(tokenissuer.Config{Issuer: "https://issuer.example", Signer: satest.Must(keys.NewSigner(key))}))
}

// Every Namespace gets its accounts, and gets a deleted one back.
func ExampleNewServiceAccounts() {
	ctx := context.Background()
	cluster := fake.New()
	accounts := []corev1.ServiceAccount{{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, {ObjectMeta: metav1.ObjectMeta{Name: "builder"}}}
	controller, err := sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{Reader: cluster, Client: cluster, Accounts: accounts})
	if err != nil {
		fmt.Println(err) // names every mistake in the config
		return
	}
	satest.Must(cluster.CreateNamespace(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}}))
	fmt.Println(cluster.Settle(ctx, controller))
	fmt.Println(cluster.DeleteServiceAccount(ctx, "ci", "builder", metav1.DeleteOptions{}))
	fmt.Println(cluster.Settle(ctx, controller))
	account, err := cluster.GetServiceAccount(ctx, "ci", "builder")
	fmt.Println(account.Name, err)
	// Output:
	// <nil>
	// <nil>
	// <nil>
	// builder <nil>
}

// All mistakes in a config are reported at once.
func ExampleConfigError() {
	_, err := sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{Reader: fake.New(), Accounts: []corev1.ServiceAccount{{}}})
	fmt.Println(err)
	if mistake, ok := errors.AsType[*sacontroller.ConfigError](err); ok {
		fmt.Println("the first is in", mistake.Field)
	}
	// Output:
	// sacontroller: ServiceAccountsConfig.Client is required, want a ServiceAccountsClient
	// sacontroller: ServiceAccountsConfig.Accounts[0].Name is "", want a lower case DNS subdomain
	// the first is in Client
}

// A token Secret is filled, and deleted together with its account.
func ExampleNewTokens() {
	ctx := context.Background()
	cluster := fake.New(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}})
	controller := satest.Must(sacontroller.NewTokens(sacontroller.TokensConfig{
		Reader: cluster, Client: cluster, Issuer: exampleIssuer(satest.Must(keys.Generate(keys.ES256))),
	}))
	satest.Must(cluster.CreateServiceAccount(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder"}}))
	satest.Must(cluster.CreateSecret(ctx, &corev1.Secret{
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

// A program that creates Namespaces calls Ensure, so that pods created right after
// find their account.
func ExampleServiceAccounts_Ensure() {
	ctx := context.Background()
	cluster := fake.New()
	accounts := satest.Must(sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{Reader: cluster, Client: cluster}))
	satest.Must(cluster.CreateNamespace(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}}))
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

// The old key must not be retired while a Secret holds a token that it signed. The
// check asks an authenticator that knows only the new key.
func ExampleTokens_InvalidTokens() {
	ctx := context.Background()
	oldKey, newKey := satest.Must(keys.Generate(keys.ES256)), satest.Must(keys.Generate(keys.ES256))
	cluster := fake.New(
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder", UID: "1"}},
		&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder-token", Annotations: map[string]string{corev1.ServiceAccountNameKey: "builder"}},
			Type:       corev1.SecretTypeServiceAccountToken,
		},
	)
	before := satest.Must(sacontroller.NewTokens(sacontroller.TokensConfig{Reader: cluster, Client: cluster, Issuer: exampleIssuer(oldKey)}))
	if err := cluster.Settle(ctx, before); err != nil {
		panic(err)
	}

	verifying := satest.Must(keys.NewSet(newKey.Public()))
	check := func(ctx context.Context, account *corev1.ServiceAccount, secret *corev1.Secret) (string, error) {
		authenticator := satest.Must(tokens.NewAuthenticator(tokens.AuthenticatorConfig{
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
	controller := satest.Must(sacontroller.NewTokens(sacontroller.TokensConfig{
		Reader: cluster, Client: cluster, Issuer: exampleIssuer(newKey), CheckToken: check, ReplaceInvalid: true,
	}))
	for _, stale := range satest.Must(controller.InvalidTokens(ctx)) {
		fmt.Println(stale.Name, stale.Problem)
	}
	if err := cluster.Settle(ctx, controller); err != nil { // ReplaceInvalid: it signs them anew
		panic(err)
	}
	fmt.Println(len(satest.Must(controller.InvalidTokens(ctx))))
	// Output:
	// builder-token tokens: invalid signature, no keys found
	// 0
}

// A Controller fits another framework's reconcilers. For those of controller-runtime
// the module controllerruntime does it.
func ExampleController() {
	type result struct{ RequeueAfter time.Duration }
	terminal := func(err error) error { return fmt.Errorf("not retried: %w", err) }
	adapt := func(c sacontroller.Controller) func(context.Context, sacontroller.Key) (result, error) {
		return func(ctx context.Context, key sacontroller.Key) (result, error) {
			r, err := c.Reconcile(ctx, key)
			if sacontroller.IsTerminal(err) {
				err = terminal(err)
			}
			return result{RequeueAfter: r.RequeueAfter}, err
		}
	}
	cluster := fake.New(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}})
	accounts := satest.Must(sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{Reader: cluster, Client: cluster}))
	fmt.Println(adapt(accounts)(context.Background(), sacontroller.Key{Kind: "Namespace", Name: "ci"}))
	// Output:
	// {0s} <nil>
}

// A driver retries what fails, but not what can't succeed until an object changes.
func ExampleIsTerminal() {
	immutable := true
	cluster := fake.New(
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder", UID: "1"}},
		&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "t", UID: "2", Annotations: map[string]string{"kubernetes.io/service-account.name": "builder"}},
			Type:       corev1.SecretTypeServiceAccountToken,
			Immutable:  &immutable,
		})
	controller := satest.Must(sacontroller.NewTokens(sacontroller.TokensConfig{Reader: cluster, Client: cluster, Issuer: exampleIssuer(satest.Must(keys.Generate(keys.ES256)))}))
	secret, _ := cluster.GetSecret(context.Background(), "ci", "t")
	for _, key := range controller.Due(sacontroller.Change{Type: watch.Added, Object: secret}) {
		_, err := controller.Reconcile(context.Background(), key)
		switch {
		case sacontroller.IsTerminal(err):
			fmt.Println("give up until the Secret changes:", err)
		case err != nil:
			fmt.Println("retry with back-off:", err)
		}
	}
	// Output:
	// give up until the Secret changes: sacontroller: Secret ci/t is immutable and incomplete, want it deleted and created again
}
