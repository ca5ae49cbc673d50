package sacontroller_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/sacontroller"
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

// The account and its complete token Secret of upstream's test matrix.
func account() *corev1.ServiceAccount {
	return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default", Namespace: "ns", UID: "12345"}}
}

func accountListing(names ...string) *corev1.ServiceAccount {
	a := account()
	for _, n := range names {
		a.Secrets = append(a.Secrets, corev1.ObjectReference{Name: n})
	}
	return a
}

func token() *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name: "token-secret-1", Namespace: "ns", UID: "23456",
			Annotations: map[string]string{
				corev1.ServiceAccountNameKey: "default",
				corev1.ServiceAccountUIDKey:  "12345",
			},
		},
		Type: corev1.SecretTypeServiceAccountToken,
		Data: map[string][]byte{
			"token":     []byte("token(ns/default/12345/token-secret-1)"),
			"ca.crt":    []byte("CA Data"),
			"namespace": []byte("ns"),
		},
	}
}

func tokenWith(mutate func(*corev1.Secret)) *corev1.Secret {
	s := token()
	mutate(s)
	return s
}

func active(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.NamespaceStatus{Phase: corev1.NamespaceActive}}
}

func terminating(name string) *corev1.Namespace {
	ns := active(name)
	ns.DeletionTimestamp = &metav1.Time{Time: fake.Epoch}
	ns.Finalizers = []string{"test/stays"}
	ns.Status.Phase = corev1.NamespaceTerminating
	return ns
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

// calls describes the API calls so far as upstream's matrix does, with the
// preconditions of deletes.
func calls(cluster *fake.Cluster) []string {
	var all []string
	for _, a := range cluster.Actions() {
		s := a.Op.String()
		if p := a.Preconditions; p != nil {
			if p.UID != nil {
				s += " uid " + string(*p.UID)
			}
			if p.ResourceVersion != nil {
				s += " resourceVersion " + *p.ResourceVersion
			}
		}
		all = append(all, s)
	}
	return all
}

func writes(cluster *fake.Cluster) []string {
	return slices.DeleteFunc(calls(cluster), func(s string) bool { return strings.HasPrefix(s, "get ") || strings.HasPrefix(s, "list ") })
}

func settle(t testing.TB, cluster *fake.Cluster, controllers ...sacontroller.Controller) {
	t.Helper()
	if err := cluster.Settle(context.Background(), controllers...); err != nil {
		t.Fatalf("Settle: %v\n%s", err, fake.FormatActions(cluster.Actions()))
	}
}

func getAccount(t testing.TB, cluster *fake.Cluster, namespace, name string) *corev1.ServiceAccount {
	t.Helper()
	a, err := cluster.Reader().GetServiceAccount(context.Background(), namespace, name)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func getSecret(t testing.TB, cluster *fake.Cluster, namespace, name string) *corev1.Secret {
	t.Helper()
	s, err := cluster.Reader().GetSecret(context.Background(), namespace, name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func secretNames(t testing.TB, cluster *fake.Cluster, namespace string) []string {
	t.Helper()
	secrets, err := cluster.Reader().ListSecrets(context.Background(), namespace)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, s := range secrets {
		names = append(names, s.Name)
	}
	return names
}

func references(a *corev1.ServiceAccount) []string {
	names := []string{}
	for _, r := range a.Secrets {
		names = append(names, r.Name)
	}
	return names
}

func diff(t testing.TB, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func uid(s string) *types.UID { u := types.UID(s); return &u }

func load(t testing.TB, cluster *fake.Cluster, objects ...runtime.Object) {
	t.Helper()
	if err := cluster.Load(objects...); err != nil {
		t.Fatal(err)
	}
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
