package sacontroller_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/internal/satest"
)

// stubIssuer signs tokens that say what they are for, and fails as often as it is
// told to.
type stubIssuer struct {
	mu       sync.Mutex
	failures int // how many of the next calls fail
	calls    int
	key      string // part of every token
}

var errSigner = errors.New("signer is down")

func (i *stubIssuer) IssueLegacy(_ context.Context, account *corev1.ServiceAccount, secret *corev1.Secret) (string, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.calls++
	if i.failures > 0 {
		i.failures--
		return "", errSigner
	}
	return stubToken(i.key, account, secret), nil
}

func (i *stubIssuer) called() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.calls
}

func stubToken(key string, account *corev1.ServiceAccount, secret *corev1.Secret) string {
	return fmt.Sprintf("token%s(%s/%s/%s/%s)", key, account.Namespace, account.Name, account.UID, secret.Name)
}

// seeded returns a Cluster whose UIDs, and the names that are derived from them, are
// the same every time.
func seeded(seed uint64, objects ...runtime.Object) *fake.Cluster {
	cluster := &fake.Cluster{UIDSeed: seed}
	if err := cluster.Load(objects...); err != nil {
		panic(err)
	}
	return cluster
}

var (
	accountKey = sacontroller.Key{Kind: "ServiceAccount", Namespace: "ns", Name: "default", UID: "12345"}
	secretKey  = sacontroller.Key{
		Kind: "Secret", Namespace: "ns", Name: "token-secret-1", UID: "23456",
		ServiceAccountName: "default", ServiceAccountUID: "12345",
	}
)

// newTokens returns a Tokens controller on cluster with the root CA "CA Data".
func newTokens(t testing.TB, cluster *fake.Cluster, mutate ...func(*sacontroller.TokensConfig)) *sacontroller.Tokens {
	t.Helper()
	cfg := sacontroller.TokensConfig{Reader: cluster.Reader(), Client: cluster, Issuer: &stubIssuer{}, RootCA: []byte("CA Data")}
	for _, m := range mutate {
		m(&cfg)
	}
	c, err := sacontroller.NewTokens(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func autoGenerate(cfg *sacontroller.TokensConfig) { cfg.AutoGenerate = true }

func writes(cluster *fake.Cluster) []string {
	return slices.DeleteFunc(satest.Calls(cluster), func(s string) bool { return strings.HasPrefix(s, "get ") || strings.HasPrefix(s, "list ") })
}

func getAccount(t testing.TB, cluster *fake.Cluster, namespace, name string) *corev1.ServiceAccount {
	t.Helper()
	a, err := cluster.Reader().GetServiceAccount(context.Background(), namespace, name)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func references(a *corev1.ServiceAccount) []string {
	names := []string{}
	for _, r := range a.Secrets {
		names = append(names, r.Name)
	}
	return names
}

// emptyIssuer returns no token and no error.
type emptyIssuer struct{}

func (emptyIssuer) IssueLegacy(context.Context, *corev1.ServiceAccount, *corev1.Secret) (string, error) {
	return "", nil
}

// countingReader counts the objects that are read through it.
type countingReader struct {
	*fake.Reader
	objects int
}

func (r *countingReader) GetServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	r.objects++
	return r.Reader.GetServiceAccount(ctx, namespace, name)
}

func (r *countingReader) GetSecret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	r.objects++
	return r.Reader.GetSecret(ctx, namespace, name)
}

func (r *countingReader) TokenSecrets(ctx context.Context, namespace, account string) ([]*corev1.Secret, error) {
	secrets, err := r.Reader.TokenSecrets(ctx, namespace, account)
	r.objects += 1 + len(secrets)
	return secrets, err
}

func (r *countingReader) ListSecrets(ctx context.Context, namespace string) ([]*corev1.Secret, error) {
	secrets, err := r.Reader.ListSecrets(ctx, namespace)
	r.objects += 1 + len(secrets)
	return secrets, err
}
