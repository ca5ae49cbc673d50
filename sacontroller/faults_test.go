package sacontroller_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/internal/satest"
	"github.com/kubesa/serviceaccount/sacontroller/legacytoken"
	"github.com/kubesa/serviceaccount/sacontroller/rootca"
)

func incomplete() *corev1.Secret {
	return satest.TokenWith(func(s *corev1.Secret) { s.Data = nil })
}

// CTL-51 as we differ, SECURITY C02, C07
func TestSignerFails(t *testing.T) {
	for _, k := range []int{1, 10, 25, 100} {
		cluster := fake.New(satest.Account(), incomplete())
		issuer := &stubIssuer{failures: k}
		c := newTokens(t, cluster, func(cfg *sacontroller.TokensConfig) { cfg.Issuer = issuer })
		satest.Settle(t, cluster, c)
		satest.Diff(t, fmt.Sprintf("writes after %d failures", k), []string{updateSec}, writes(cluster))
		if issuer.called() != k+1 || c.LastError(secretKey) != nil {
			t.Errorf("after %d failures there were %d calls of the signer and the last error is %v, want one more call and no error", k, issuer.called(), c.LastError(secretKey))
		}
	}
}

// The reason why a Secret has no token can be read while the signer is down.
func TestLastError(t *testing.T) {
	cluster := fake.New(satest.Account(), incomplete())
	c := newTokens(t, cluster, func(cfg *sacontroller.TokensConfig) { cfg.Issuer = &stubIssuer{failures: 1 << 30} })
	if err := cluster.Settle(t.Context(), c); err == nil {
		t.Fatal("Settle() without a signer = nil, want an error")
	}
	want := "sacontroller: signing the token of Secret ns/token-secret-1: signer is down"
	if got := fmt.Sprint(c.LastError(secretKey)); got != want {
		t.Errorf("LastError() = %q, want %q", got, want)
	}
	satest.Diff(t, "writes", []string(nil), writes(cluster))
}

// An issuer that returns neither a token nor an error leaves the Secret alone.
func TestNoTokenIssued(t *testing.T) {
	cluster := fake.New(satest.Account(), incomplete())
	c := newTokens(t, cluster, func(cfg *sacontroller.TokensConfig) { cfg.Issuer = emptyIssuer{} })
	if _, err := c.Reconcile(t.Context(), secretKey); err == nil || !strings.Contains(err.Error(), "returned no token") {
		t.Errorf("Reconcile() = %v, want an error about the issuer", err)
	}
	satest.Diff(t, "calls", []string(nil), satest.Calls(cluster))
}

// SECURITY C03: the update that removes a reference fails k times.
func TestDereferenceFails(t *testing.T) {
	faults := map[string]error{"500": satest.ErrBusy, "timeout": fault.Timeout, "conflict": fault.Conflict, "answer lost": fault.AnswerLost}
	for name, err := range faults {
		for _, k := range []int{1, 10, 100} {
			cluster := fake.New(satest.AccountListing("token-secret-1", "other"), satest.Token())
			c := newTokens(t, cluster)
			satest.Settle(t, cluster, c)
			cluster.Inject(fault.First(k, "update", "serviceaccounts", err))
			if err := cluster.DeleteSecret(t.Context(), "ns", "token-secret-1", metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			satest.Settle(t, cluster, c)
			satest.Diff(t, fmt.Sprintf("references after %s %d times", name, k), []string{"other"}, references(getAccount(t, cluster, "ns", "default")))
		}
	}
}

// SECURITY C03 with a restart in between: nobody tells a new process of the Secret,
// so it looks for names that only this controller gives.
func TestDereferenceAfterRestart(t *testing.T) {
	cluster := fake.New(satest.AccountListing("default-token-x7k2q", "to-be-created", "other-token-x7k2q"))
	satest.Settle(t, cluster, newTokens(t, cluster))
	satest.Diff(t, "references", []string{"to-be-created", "other-token-x7k2q"}, references(getAccount(t, cluster, "ns", "default")))
}

// CTL-7 as we differ, SECURITY C01: a deletion that was noticed late is reported
// like any other, or as a change of the UID if the name is taken again.
func TestLateDeletions(t *testing.T) {
	t.Run("Secret", func(t *testing.T) {
		cluster := fake.New(satest.AccountListing("token-secret-1"))
		c := newTokens(t, cluster)
		for _, key := range c.Due(sacontroller.Change{Type: watch.Deleted, Object: satest.Token()}) {
			if _, err := c.Reconcile(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
		satest.Diff(t, "references", []string{}, references(getAccount(t, cluster, "ns", "default")))
	})
	t.Run("account created again", func(t *testing.T) {
		cluster := fake.New(again(satest.Account()), satest.Token())
		c := newTokens(t, cluster)
		event := sacontroller.Change{Type: watch.Modified, Object: again(satest.Account()), Old: satest.Account()}
		for _, key := range c.Due(event) {
			if _, err := c.Reconcile(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
		satest.Diff(t, "Secrets", []string{}, satest.SecretNames(t, cluster, "ns"))
	})
}

// SECURITY C04: deleted and created again under the same name before the worker
// looks.
func TestReferenceToNamesakeStays(t *testing.T) {
	cluster := fake.New(satest.AccountListing("token-secret-1"), satest.Token())
	c := newTokens(t, cluster)
	satest.Settle(t, cluster, c)
	if err := cluster.DeleteSecret(t.Context(), "ns", "token-secret-1", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	second := incomplete()
	second.UID = ""
	if _, err := cluster.CreateSecret(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	satest.Settle(t, cluster, c)
	satest.Diff(t, "references", []string{"token-secret-1"}, references(getAccount(t, cluster, "ns", "default")))
	if len(satest.GetSecret(t, cluster, "ns", "token-secret-1").Data["token"]) == 0 {
		t.Error("the new Secret has no token")
	}
}

// SECURITY C16: a Namespace that goes away stops everything within it.
func TestNamespaceTermination(t *testing.T) {
	cluster := fake.New(satest.Active("ns"), satest.AccountListing("token-secret-1"), satest.Token())
	controllers := []sacontroller.Controller{
		newAccounts(t, cluster), newTokens(t, cluster, autoGenerate), satest.Must(rootca.NewConfigMaps(rootca.ConfigMapsConfig{Reader: cluster.Reader(), Client: cluster, RootCA: []byte("CA Data")})),
	}
	satest.Settle(t, cluster, controllers...)
	cluster.ClearActions()
	if err := cluster.DeleteNamespace(t.Context(), "ns", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	satest.Settle(t, cluster, controllers...)
	for _, a := range cluster.Writes() {
		if a.Actor != "" && a.Actor != "namespace-controller" {
			t.Errorf("%s: %s in a Namespace that is being deleted", a.Actor, a)
		}
	}
	if _, err := cluster.GetNamespace(t.Context(), "ns"); err == nil {
		t.Error("the Namespace is still there")
	}
}

// SECURITY C17, S6, E5: nothing is written once all is in order, however often
// everything is looked at again.
func TestSteadyState(t *testing.T) {
	now := fake.Epoch
	cluster := fake.New(satest.Active("ns"), satest.Active("kube-system"), satest.AccountListing("opaque"), satest.Opaque(), incomplete())
	clock := func() time.Time { return now }
	controllers := []sacontroller.Controller{
		newAccounts(t, cluster), newTokens(t, cluster, autoGenerate, func(cfg *sacontroller.TokensConfig) { cfg.Now = clock }),
		satest.Must(rootca.NewConfigMaps(rootca.ConfigMapsConfig{Reader: cluster.Reader(), Client: cluster, RootCA: []byte("CA Data")})),
		satest.Must(legacytoken.NewTracker(legacytoken.TrackerConfig{Reader: cluster.Reader(), Client: cluster, Now: clock})),
		satest.Must(legacytoken.NewCleaner(legacytoken.CleanerConfig{Reader: cluster.Reader(), Client: cluster, Now: clock})),
	}
	satest.Settle(t, cluster, controllers...)
	cluster.ClearActions()
	for range 24 {
		now = now.Add(time.Hour)
		for _, c := range controllers {
			cluster.Forget(c)
		}
		satest.Settle(t, cluster, controllers...)
	}
	if w := cluster.Writes(); len(w) != 0 {
		t.Errorf("the writes of a day:\n%s", fake.FormatActions(w))
	}
}

// Deleting n accounts of one Namespace takes calls and reads of the cache in
// proportion to n: SECURITY C08, G8. What upstream does for each account, a list
// of all Secrets of the Namespace, would show as ListSecrets.
func TestDeletingAccountsIsLinear(t *testing.T) {
	perAccount := func(n int) float64 {
		cluster := fake.New(satest.Active("ns"))
		reader := &countingReader{Reader: cluster.Reader()}
		c := newTokens(t, cluster, func(cfg *sacontroller.TokensConfig) { cfg.Reader = reader })
		for i := range n {
			name := fmt.Sprintf("sa-%d", i)
			satest.Load(t, cluster,
				&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "ns"}},
				&corev1.Secret{
					ObjectMeta: metav1.ObjectMeta{Name: name + "-token", Namespace: "ns", Annotations: map[string]string{corev1.ServiceAccountNameKey: name}},
					Type:       corev1.SecretTypeServiceAccountToken,
				})
		}
		satest.Settle(t, cluster, c)
		cluster.ClearActions()
		reader.objects = 0
		for i := range n {
			if err := cluster.DeleteServiceAccount(t.Context(), "ns", fmt.Sprintf("sa-%d", i), metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		satest.Settle(t, cluster, c)
		if left := satest.SecretNames(t, cluster, "ns"); len(left) != 0 {
			t.Fatalf("%d Secrets are left after %d accounts were deleted", len(left), n)
		}
		return float64(len(cluster.Actions())+reader.objects) / float64(n)
	}
	small, large := perAccount(50), perAccount(400)
	t.Logf("%.2f calls and cached objects read per deleted account", large)
	if large > small || large > 10 {
		t.Errorf("calls and cached objects read per deleted account grow from %.2f to %.2f with eight times the accounts", small, large)
	}
}
