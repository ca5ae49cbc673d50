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
	orPanic(cluster.CreateNamespace(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}}))
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
	_, err := sacontroller.NewLegacyTokenCleaner(sacontroller.LegacyTokenCleanerConfig{Reader: fake.New(), CleanupPeriod: -time.Hour})
	fmt.Println(err)
	if mistake, ok := errors.AsType[*sacontroller.ConfigError](err); ok {
		fmt.Println("the first is in", mistake.Field)
	}
	// Output:
	// sacontroller: LegacyTokenCleanerConfig.Client is required, want a live LegacyTokenCleanerClient
	// sacontroller: LegacyTokenCleanerConfig.CleanupPeriod is -1h0m0s, want 0 for the default or a positive value
	// the first is in Client
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

// A program that creates Namespaces calls Ensure, so that pods created right after
// find their account.
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

// The old key must not be retired while a Secret holds a token that it signed. The
// check asks an authenticator that knows only the new key.
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
	check := func(ctx context.Context, account *corev1.ServiceAccount, secret *corev1.Secret) (string, error) {
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
		Reader: cluster, Client: cluster, Issuer: exampleIssuer(newKey), CheckToken: check, ReplaceInvalid: true,
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

// legacyCluster has a generated token Secret that nobody has used for years.
func legacyCluster() *fake.Cluster {
	created := metav1.NewTime(fake.Epoch.AddDate(-3, 0, 0))
	return fake.New(
		&corev1.ServiceAccount{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder", UID: "1"},
			Secrets:    []corev1.ObjectReference{{Name: "builder-token-x7k2q"}},
		},
		&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "ci", Name: "builder-token-x7k2q", CreationTimestamp: created,
				Annotations: map[string]string{corev1.ServiceAccountNameKey: "builder", corev1.ServiceAccountUIDKey: "1"},
			},
			Type: corev1.SecretTypeServiceAccountToken,
		},
		&corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-apiserver-legacy-service-account-token-tracking"},
			Data:       map[string]string{"since": "2020-01-01"},
		},
	)
}

// An unused generated token is first labelled as invalid, and deleted a period later.
func ExampleNewLegacyTokenCleaner() {
	ctx := context.Background()
	cluster := legacyCluster()
	now := fake.Epoch
	cleaner := orPanic(sacontroller.NewLegacyTokenCleaner(sacontroller.LegacyTokenCleanerConfig{
		Reader: cluster, Client: cluster, Now: func() time.Time { return now },
		Observe: func(_ context.Context, e sacontroller.Event) {
			for _, d := range e.Cleanup.Decisions {
				fmt.Println(d.Action, d.Name, d.Reason, d.Err)
			}
		},
	}))
	key := sacontroller.Key{Kind: "ConfigMap", Namespace: "kube-system", Name: "kube-apiserver-legacy-service-account-token-tracking"}
	for range 3 {
		result := orPanic(cleaner.Reconcile(ctx, key)) // a driver calls it again after result.RequeueAfter
		fmt.Println("next round in", result.RequeueAfter)
		now = now.Add(200 * 24 * time.Hour)
	}
	// Output:
	// Invalidate builder-token-x7k2q Unused <nil>
	// next round in 24h0m0s
	// Keep builder-token-x7k2q RecentlyInvalidated <nil>
	// next round in 24h0m0s
	// Delete builder-token-x7k2q Invalid <nil>
	// next round in 24h0m0s
}

// What would a round do, without doing it?
func ExampleLegacyTokenCleaner_Report() {
	cluster := legacyCluster()
	cleaner := orPanic(sacontroller.NewLegacyTokenCleaner(sacontroller.LegacyTokenCleanerConfig{
		Reader: cluster, Client: cluster, Now: func() time.Time { return fake.Epoch },
	}))
	for _, d := range orPanic(cleaner.Report(context.Background())).Decisions {
		fmt.Println(d.Action, d.Name, d.Reason)
	}
	fmt.Println(len(cluster.Writes()), "writes")
	// Output:
	// Invalidate builder-token-x7k2q Unused
	// 0 writes
}

// Where tokens are authenticated, the ConfigMap says since when their use is recorded.
func ExampleNewLegacyTokenTracker() {
	ctx := context.Background()
	cluster := fake.New(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system"}})
	tracker := orPanic(sacontroller.NewLegacyTokenTracker(sacontroller.LegacyTokenTrackerConfig{
		Reader: cluster, Client: cluster, Now: func() time.Time { return fake.Epoch },
	}))
	fmt.Println(cluster.Settle(ctx, tracker))
	m, err := cluster.GetConfigMap(ctx, "kube-system", "kube-apiserver-legacy-service-account-token-tracking")
	fmt.Println(m.Data, err)
	// Output:
	// <nil>
	// map[since:2026-01-01] <nil>
}

// Every Namespace gets the CA bundle, and the new one after a rotation.
func ExampleNewRootCAPublisher() {
	ctx := context.Background()
	cluster := fake.New(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}})
	publisher := orPanic(sacontroller.NewRootCAPublisher(sacontroller.RootCAPublisherConfig{
		Reader: cluster, Client: cluster, RootCA: []byte("-----BEGIN CERTIFICATE-----…"),
	}))
	fmt.Println(cluster.Settle(ctx, publisher))
	m, err := cluster.GetConfigMap(ctx, "ci", "kube-root-ca.crt")
	fmt.Println(m.Data["ca.crt"], err)

	// A half-written file doesn't replace it.
	fmt.Println(publisher.SetRootCA([]byte("-----BEGIN CERTIFICATE-----\nMIIB")))
	// Output:
	// <nil>
	// -----BEGIN CERTIFICATE-----… <nil>
	// sacontroller: CA bundle has a damaged block beside 0 certificates, want it complete
}

// A Controller fits another framework's reconcilers. For those of controller-runtime
// the module controllerruntime does it.
func ExampleController() {
	type result struct{ RequeueAfter time.Duration }
	terminal := func(err error) error { return fmt.Errorf("not retried: %w", err) }
	adapt := func(c sacontroller.Controller) func(context.Context, sacontroller.Key) (result, error) {
		return func(ctx context.Context, key sacontroller.Key) (result, error) {
			r, err := c.Reconcile(ctx, key)
			var t *sacontroller.TerminalError
			if errors.As(err, &t) {
				err = terminal(err)
			}
			return result{RequeueAfter: r.RequeueAfter}, err
		}
	}
	cluster := fake.New(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}})
	accounts := orPanic(sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{Reader: cluster, Client: cluster}))
	fmt.Println(adapt(accounts)(context.Background(), sacontroller.Key{Kind: "Namespace", Name: "ci"}))
	// Output:
	// {0s} <nil>
}

// A driver retries what fails, but not what can't succeed until an object changes.
func ExampleTerminalError() {
	immutable := true
	cluster := fake.New(
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder", UID: "1"}},
		&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "t", UID: "2", Annotations: map[string]string{"kubernetes.io/service-account.name": "builder"}},
			Type:       corev1.SecretTypeServiceAccountToken,
			Immutable:  &immutable,
		})
	controller := orPanic(sacontroller.NewTokens(sacontroller.TokensConfig{Reader: cluster, Client: cluster, Issuer: exampleIssuer(orPanic(keys.Generate(keys.ES256)))}))
	secret, _ := cluster.GetSecret(context.Background(), "ci", "t")
	for _, key := range controller.Due(sacontroller.Change{Type: watch.Added, Object: secret}) {
		_, err := controller.Reconcile(context.Background(), key)
		var terminal *sacontroller.TerminalError
		switch {
		case errors.As(err, &terminal):
			fmt.Println("give up until the Secret changes:", err)
		case err != nil:
			fmt.Println("retry with back-off:", err)
		}
	}
	// Output:
	// give up until the Secret changes: sacontroller: Secret ci/t is immutable and incomplete, want it deleted and created again
}

// The rule by itself, for a report of one's own.
func ExampleCleanupPolicy_Decide() {
	policy := sacontroller.CleanupPolicy{Period: 365 * 24 * time.Hour, Since: fake.Epoch.AddDate(-2, 0, 0)}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "t", Labels: map[string]string{"kubernetes.io/legacy-token-last-used": "2025-12-24"}},
		Type:       corev1.SecretTypeServiceAccountToken,
	}
	fmt.Println(policy.Decide(secret, nil, nil, fake.Epoch))
	// Output:
	// Keep Used
}
