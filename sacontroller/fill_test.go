package sacontroller_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/internal/satest"
	"github.com/kubesa/serviceaccount/tenant"
)

// One attempt at a token Secret: the calls of the Client, and how often a token is
// signed and checked (CTL-43, CTL-44, CTL-46, CTL-48).
func TestSecretAttempt(t *testing.T) {
	deleted := func(s *corev1.Secret) {
		s.DeletionTimestamp, s.Finalizers = &metav1.Time{Time: fake.Epoch}, []string{"test/stays"}
	}
	withoutToken := func(s *corev1.Secret) { delete(s.Data, "token") }
	withoutCA := func(s *corev1.Secret) { delete(s.Data, "ca.crt") }
	// padded returns a change that makes the filled Secret that large.
	padded := func(size int) func(*corev1.Secret) {
		return func(s *corev1.Secret) {
			filled := 0
			for _, data := range s.Data {
				filled += len(data)
			}
			delete(s.Data, "token")
			s.Data["padding"] = make([]byte, size-filled)
		}
	}
	conflict := fault.First(1, "update", "secrets", apierrors.NewConflict(corev1.Resource("secrets"), "token-secret-1", errors.New("changed")))
	for _, tt := range []struct {
		name           string
		mutate         func(*corev1.Secret)
		meanwhile      func(*corev1.Secret) // what the Reader doesn't have yet
		noAccount      bool
		account        func(*corev1.ServiceAccount)
		fault          *fault.Fault
		replace        bool  // invalid tokens
		checks         []any // what they say, or their errors; then that the token is valid
		want           []string
		signed, failed int
		checked        int
	}{
		{name: "complete"},
		{name: "of no account", mutate: func(s *corev1.Secret) { withoutToken(s); s.Annotations = nil }},
		{name: "is being deleted", mutate: func(s *corev1.Secret) { withoutToken(s); deleted(s) }},
		{name: "is being deleted, of an account that is gone", mutate: deleted, noAccount: true},
		{name: "lacks its token", mutate: withoutToken, want: []string{updateSec}, signed: 1},
		{name: "lacks the CA alone", mutate: withoutCA, want: []string{updateSec}},
		{name: "says that it is not immutable", mutate: func(s *corev1.Secret) { withoutToken(s); s.Immutable = new(false) }, want: []string{updateSec}, signed: 1},
		{name: "as large as a Secret may be", mutate: padded(corev1.MaxSecretSize), want: []string{updateSec}, signed: 1},
		{name: "larger by a byte", mutate: padded(corev1.MaxSecretSize + 1), signed: 1, failed: 1},
		{name: "conflict, no answer to the next read", mutate: withoutToken, fault: fault.Any(conflict, fault.On("get", "secrets", satest.ErrBusy)), want: []string{updateSec, getSec}, signed: 1, failed: 1},

		{name: "lacks its token, which is not checked before it is there", mutate: withoutToken, replace: true, want: []string{updateSec}, signed: 1, checked: 1},
		{name: "lacks the CA alone, its token is checked once", mutate: withoutCA, replace: true, want: []string{updateSec}, checked: 1},
		{name: "has a token of an account that is being deleted", replace: true, account: func(a *corev1.ServiceAccount) {
			a.DeletionTimestamp, a.Finalizers = &metav1.Time{Time: fake.Epoch}, []string{"test/stays"}
		}, checks: []any{"old"}},
		{name: "has a token and is being deleted", replace: true, mutate: deleted, checks: []any{"old"}},
		{name: "no answer about its token", replace: true, checks: []any{errSigner}, checked: 1, failed: 1},
		{name: "has an old token", replace: true, checks: []any{"old"}, want: []string{updateSec}, signed: 1, checked: 2},
		{name: "has an old token, the new one is no better", replace: true, checks: []any{"old", "too"}, signed: 1, checked: 2, failed: 1},
		{name: "has an old token, no answer about the new one", replace: true, checks: []any{"old", errSigner}, signed: 1, checked: 2, failed: 1},
		{name: "has an old token, a conflict, and no answer about the next one", replace: true, checks: []any{"old", "", errSigner}, fault: conflict, want: []string{updateSec, getSec}, signed: 1, checked: 3, failed: 1},
		{name: "has an old token, a conflict, and is being deleted by now", replace: true, meanwhile: deleted, checks: []any{"old", "", "old"}, fault: conflict, want: []string{updateSec, getSec}, signed: 1, checked: 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			account, secret := satest.Account(), satest.Token()
			if tt.account != nil {
				tt.account(account)
			}
			if tt.mutate != nil {
				tt.mutate(secret)
			}
			world := []runtime.Object{satest.Active("ns"), secret}
			if !tt.noAccount {
				world = append(world, account)
			}
			cache := fake.New(world...)
			if tt.meanwhile != nil {
				tt.meanwhile(secret)
			}
			cluster := fake.New(world...)
			if tt.fault != nil {
				cluster.Inject(tt.fault)
			}
			issuer, checked := &stubIssuer{}, 0
			c := newTokens(t, cluster, func(cfg *sacontroller.TokensConfig) {
				cfg.Reader, cfg.Issuer, cfg.ReplaceInvalid = cache.Reader(), issuer, tt.replace
				cfg.CheckToken = func(context.Context, *corev1.ServiceAccount, *corev1.Secret) (string, error) {
					if checked++; checked > len(tt.checks) {
						return "", nil
					}
					problem, _ := tt.checks[checked-1].(string)
					err, _ := tt.checks[checked-1].(error)
					return problem, err
				}
			})
			_, err := c.Reconcile(t.Context(), secretKey)
			if (err != nil) != (tt.failed > 0) {
				t.Errorf("Reconcile() = %v, want an error: %t", err, tt.failed > 0)
			}
			satest.Diff(t, "calls", tt.want, satest.Calls(cluster))
			if issuer.called() != tt.signed || checked != tt.checked {
				t.Errorf("%d tokens were signed and %d checked, want %d and %d", issuer.called(), checked, tt.signed, tt.checked)
			}
		})
	}
}

// CTL-60, CTL-62, CTL-66: what could not be read takes no reference away, and neither does a
// Secret without the account's UID if it is there again.
func TestSecretGone(t *testing.T) {
	anyUID := secretKey
	anyUID.ServiceAccountUID = ""
	others := satest.TokenWith(func(s *corev1.Secret) {
		s.UID, s.Annotations = "9", map[string]string{corev1.ServiceAccountNameKey: "nobody"}
	})
	for _, tt := range []struct {
		name          string
		key           sacontroller.Key
		live          *corev1.Secret // that the Reader doesn't have yet
		reader, fault *fault.Fault
		want          []string
		failed        bool
	}{
		{name: "gone", key: secretKey, want: []string{getSA, getSec, updateSA}},
		{name: "gone, of any account of the name", key: anyUID, want: []string{getSA, getSec, updateSA}},
		{name: "no answer of the Reader about the account", key: secretKey, reader: fault.On("get", "serviceaccounts", satest.ErrBusy), failed: true},
		{name: "no answer about the account", key: secretKey, fault: fault.On("get", "serviceaccounts", satest.ErrBusy), want: []string{getSA}, failed: true},
		{name: "no answer about the Secret", key: secretKey, fault: fault.On("get", "secrets", satest.ErrBusy), want: []string{getSA, getSec}, failed: true},
		{name: "there is an orphan of the name", key: secretKey, live: others, want: []string{getSA, getSec, "get serviceaccounts ns/nobody"}, failed: true},
		{name: "no answer about whose Secret there is", key: secretKey, live: others, fault: fault.Nth(2, "get", "serviceaccounts", satest.ErrBusy), want: []string{getSA, getSec, "get serviceaccounts ns/nobody"}, failed: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			objects := satest.Objects(satest.Active("ns"), satest.AccountListing("token-secret-1"))
			cluster, cache := fake.New(objects...), fake.New(objects...)
			if tt.live != nil {
				satest.Load(t, cluster, tt.live)
			}
			if tt.fault != nil {
				cluster.Inject(tt.fault)
			}
			if tt.reader != nil {
				cache.Inject(tt.reader)
			}
			c := newTokens(t, cluster, func(cfg *sacontroller.TokensConfig) { cfg.Reader = cache })
			if _, err := c.Reconcile(t.Context(), tt.key); (err != nil) != tt.failed {
				t.Errorf("Reconcile() = %v, want an error: %t", err, tt.failed)
			}
			satest.Diff(t, "calls", tt.want, satest.Calls(cluster))
		})
	}
}

// Secrets get the CA that was set last, and one that is no CA bundle is not set.
func TestTokensRootCA(t *testing.T) {
	server := httptest.NewTLSServer(nil) // for its certificate
	defer server.Close()
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	cluster := fake.New(satest.Active("ns"), satest.Account(), satest.Token())
	c := newTokens(t, cluster)
	if err := c.SetRootCA(bundle); err != nil {
		t.Fatal(err)
	}
	if err := c.SetRootCA(bundle[:len(bundle)/2]); err == nil {
		t.Error("SetRootCA() of half a bundle = nil, want an error")
	}
	select {
	case <-c.Resync():
	default:
		t.Error("Resync() has nothing after SetRootCA, want one value")
	}
	satest.Settle(t, cluster, c)
	if got := satest.GetSecret(t, cluster, "ns", "token-secret-1").Data["ca.crt"]; !bytes.Equal(got, bundle) {
		t.Errorf("the Secret holds the CA %q, want the one that was set", got)
	}
}

// A write that fails is none that another writer reverts: the error is that of the API
// however often it comes.
func TestFailedWritesAreNotReverted(t *testing.T) {
	cluster := fake.New(satest.Active("ns"), satest.Account(), incomplete())
	cluster.Inject(fault.On("update", "secrets", satest.ErrBusy))
	c := newTokens(t, cluster)
	for i := range 100 {
		if _, err := c.Reconcile(t.Context(), secretKey); !errors.Is(err, satest.ErrBusy) {
			t.Fatalf("attempt %d: Reconcile() = %v, want the error of the API", i+1, err)
		}
	}
}

// CTL-88: names that are taken end an attempt, and no Secret of others is touched.
func TestNoFreeName(t *testing.T) {
	taken := satest.Opaque()
	taken.Name = "default-token-taken"
	cluster := fake.New(satest.Active("ns"), satest.Account(), taken)
	c := newTokens(t, cluster, autoGenerate, func(cfg *sacontroller.TokensConfig) {
		cfg.GenerateName = func(base string) string { return base + "taken" }
	})
	if _, err := c.Reconcile(t.Context(), accountKey); err == nil || !strings.Contains(err.Error(), "found no free name for a token Secret of ServiceAccount ns/default") {
		t.Errorf("Reconcile() = %v, want that no name is free", err)
	}
	const create, get = "create secrets ns/default-token-taken", "get secrets ns/default-token-taken"
	satest.Diff(t, "calls", []string{getSA, create, get, create, get, create, get, create, get}, satest.Calls(cluster))
	satest.Diff(t, "Secrets", []string{"default-token-taken"}, satest.SecretNames(t, cluster, "ns"))
}

// SAC-5: a Namespace that is being deleted gets no accounts, whatever its phase says. The
// calls for a key are made for its tenant.
func TestAccountsOfNamespace(t *testing.T) {
	deleted := satest.Terminating("ns")
	deleted.Status.Phase = corev1.NamespaceActive
	for _, ns := range []*corev1.Namespace{deleted, satest.Terminating("ns"), satest.Active("ns")} {
		cluster := fake.New(ns)
		reader := tenantReader{cluster, t, ns}
		c, err := sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{Reader: reader, Client: cluster})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Reconcile(t.Context(), sacontroller.Key{Tenant: "red", Kind: "Namespace", Name: "ns"}); err != nil {
			t.Error(err)
		}
		var want []string
		if ns.DeletionTimestamp == nil {
			want = []string{"create serviceaccounts ns/default"}
		}
		satest.Diff(t, "writes", want, writes(cluster))
	}
}

// A tenantReader is asked for the tenant red only, which has one Namespace.
type tenantReader struct {
	*fake.Cluster
	t  *testing.T
	ns *corev1.Namespace
}

func (r tenantReader) GetNamespace(ctx context.Context, _ string) (*corev1.Namespace, error) {
	if got := tenant.Of(ctx); got != "red" {
		r.t.Errorf("asked for the tenant %q, want red", got)
	}
	return r.ns, nil
}

// What is remembered of a tenant is nobody else's, and nothing once it is forgotten.
func TestTokensOfTenant(t *testing.T) {
	cluster := fake.New(satest.Active("ns"), satest.Account(), incomplete())
	cluster.Inject(fault.On("update", "secrets", satest.ErrBusy))
	c := newTokens(t, cluster, func(cfg *sacontroller.TokensConfig) { cfg.Reader = tenantReader{cluster, t, satest.Active("ns")} })
	key, other := secretKey, secretKey
	key.Tenant, other.Tenant = "red", "blue"
	if err := c.LastError(key); err != nil {
		t.Errorf("LastError() = %v before there was an attempt", err)
	}
	if _, err := c.Reconcile(t.Context(), key); err == nil || c.LastError(key) != err || c.LastError(other) != nil {
		t.Errorf("Reconcile() = %v, LastError() = %v, and of another tenant %v, want the first two the same and no other", err, c.LastError(key), c.LastError(other))
	}
	c.Forget("blue")
	if c.LastError(key) == nil {
		t.Error("LastError() = nil after another tenant was forgotten")
	}
	c.Forget("red")
	if err := c.LastError(key); err != nil {
		t.Errorf("LastError() = %v after the tenant was forgotten", err)
	}
}
