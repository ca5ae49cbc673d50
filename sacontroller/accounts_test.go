package sacontroller_test

import (
	"context"
	"errors"
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
)

func named(name string) corev1.ServiceAccount {
	return corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "ns"}}
}

func newAccounts(t testing.TB, cluster *fake.Cluster, mutate ...func(*sacontroller.ServiceAccountsConfig)) *sacontroller.ServiceAccounts {
	t.Helper()
	cfg := sacontroller.ServiceAccountsConfig{
		Reader: cluster.Reader(), Client: cluster,
		Accounts: []corev1.ServiceAccount{named("default"), named("managed")},
	}
	for _, m := range mutate {
		m(&cfg)
	}
	c, err := sacontroller.NewServiceAccounts(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// SAC-1..12, SAC-T1..T10
func TestServiceAccountsReconcile(t *testing.T) {
	const createDefault, createManaged = "create serviceaccounts ns/default", "create serviceaccounts ns/managed"
	account := func(name string) *corev1.ServiceAccount { a := named(name); return &a }
	phaseless := satest.Active("ns")
	phaseless.Status.Phase = "Pending"
	endingButActive := satest.Terminating("ns")
	endingButActive.Status.Phase = corev1.NamespaceActive
	tests := []struct {
		name    string
		cached  []runtime.Object
		fault   *fault.Fault // of the API
		reader  *fault.Fault
		want    []string
		wantErr string
	}{
		{name: "active, none", cached: satest.Objects(satest.Active("ns")), want: []string{createDefault, createManaged}},
		{name: "active, managed exists", cached: satest.Objects(satest.Active("ns"), account("managed")), want: []string{createDefault}},
		{name: "active, default exists", cached: satest.Objects(satest.Active("ns"), account("default")), want: []string{createManaged}},
		{name: "active, both exist", cached: satest.Objects(satest.Active("ns"), account("default"), account("managed"))},
		{name: "active, others exist", cached: satest.Objects(satest.Active("ns"), account("other")), want: []string{createDefault, createManaged}},
		{name: "terminating", cached: satest.Objects(satest.Terminating("ns"))},
		{name: "active and being deleted", cached: satest.Objects(endingButActive)}, // SAC-5
		{name: "neither active nor terminating", cached: satest.Objects(phaseless)},
		{name: "unknown"}, // SAC-3
		{name: "reader fails", cached: satest.Objects(satest.Active("ns")), reader: fault.On("get", "namespaces", satest.ErrBusy), wantErr: `reading Namespace ns: `},
		{
			name: "reader fails on the second account", cached: satest.Objects(satest.Active("ns")), want: []string{createDefault}, // SAC-8
			reader: fault.Nth(2, "get", "serviceaccounts", satest.ErrBusy), wantErr: `reading ServiceAccount ns/managed: `,
		},
		{name: "both created meanwhile", cached: satest.Objects(satest.Active("ns")), fault: fault.On("create", "", apierrors.NewAlreadyExists(corev1.Resource("serviceaccounts"), "x")), want: []string{createDefault, createManaged}},                                    // SAC-9
		{name: "one create fails", cached: satest.Objects(satest.Active("ns")), fault: fault.First(1, "create", "", satest.ErrBusy), want: []string{createDefault, createManaged}, wantErr: "sacontroller: creating ServiceAccount ns/default: " + satest.ErrBusy.Error()}, // SAC-11
		{
			name: "both creates fail", cached: satest.Objects(satest.Active("ns")), want: []string{createDefault, createManaged}, // SAC-11
			fault:   fault.Any(fault.Nth(1, "create", "", satest.ErrBusy), fault.Nth(2, "create", "", apierrors.NewTooManyRequests("busy too", 1))),
			wantErr: "sacontroller: creating ServiceAccount ns/default: " + satest.ErrBusy.Error() + "\nsacontroller: creating ServiceAccount ns/managed: busy too",
		},
		{name: "namespace vanished", cached: satest.Objects(satest.Active("ns")), fault: fault.On("create", "", fault.NotFound), want: []string{createDefault, createManaged}, wantErr: "not found"}, // SAC-12
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cluster := fake.New(tt.cached...)
			reader := cluster.Reader()
			if tt.fault != nil {
				cluster.Inject(tt.fault)
			}
			if tt.reader != nil {
				reader.Inject(tt.reader)
			}
			c := newAccounts(t, cluster, func(cfg *sacontroller.ServiceAccountsConfig) { cfg.Reader = reader })
			_, err := c.Reconcile(t.Context(), sacontroller.Key{Kind: "Namespace", Name: "ns"})
			if tt.wantErr == "" && err != nil || tt.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tt.wantErr)) {
				t.Errorf("Reconcile() = %v, want an error with %q", err, tt.wantErr)
			}
			satest.Diff(t, "calls", tt.want, satest.Calls(cluster))
		})
	}
}

// SAC-10: the answer to a create in a Namespace that is being deleted, which the
// Reader doesn't know yet.
func TestServiceAccountsTerminating(t *testing.T) {
	api, cache := fake.New(satest.Terminating("ns")), fake.New(satest.Active("ns"))
	c := newAccounts(t, api, func(cfg *sacontroller.ServiceAccountsConfig) { cfg.Reader = cache.Reader() })
	if _, err := c.Reconcile(t.Context(), sacontroller.Key{Kind: "Namespace", Name: "ns"}); err != nil {
		t.Errorf("Reconcile() = %v, want nil", err)
	}
	if n := len(satest.Calls(api)); n != 2 {
		t.Errorf("there were %d calls, want two creates", n)
	}
	err := c.Ensure(t.Context(), "ns")
	if !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		t.Errorf("Ensure() = %v, want the cause NamespaceTerminating", err)
	}
}

// SAC-6, SAC-7: a new account has what its template has, and one that exists is
// left alone.
func TestServiceAccountsTemplates(t *testing.T) {
	off := false
	template := corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{
			Name: "builder", Namespace: "elsewhere", UID: "1", ResourceVersion: "7", Finalizers: []string{"a/b"},
			Labels: map[string]string{"team": "a"}, Annotations: map[string]string{"kubernetes.io/enforce-mountable-secrets": "true"},
		},
		Secrets:                      []corev1.ObjectReference{{Name: "registry"}},
		ImagePullSecrets:             []corev1.LocalObjectReference{{Name: "pull"}},
		AutomountServiceAccountToken: &off,
	}
	cluster := fake.New(satest.Active("a"), satest.Active("b"), satest.Active("kube-system"), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "builder", Namespace: "b"}})
	c := newAccounts(t, cluster, func(cfg *sacontroller.ServiceAccountsConfig) {
		cfg.Accounts = []corev1.ServiceAccount{template}
		cfg.Namespaces = func(ns *corev1.Namespace) bool { return !strings.HasPrefix(ns.Name, "kube-") }
	})
	template.Labels["team"] = "changed after New"
	satest.Settle(t, cluster, c)
	satest.Diff(t, "writes", []string{"create serviceaccounts a/builder"}, writes(cluster))
	got := getAccount(t, cluster, "a", "builder").DeepCopy()
	got.UID, got.ResourceVersion, got.CreationTimestamp = "", "", metav1.Time{}
	satest.Diff(t, "account", &corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{
			Name: "builder", Namespace: "a",
			Labels: map[string]string{"team": "a"}, Annotations: map[string]string{"kubernetes.io/enforce-mountable-secrets": "true"},
		},
		Secrets:                      []corev1.ObjectReference{{Name: "registry"}},
		ImagePullSecrets:             []corev1.LocalObjectReference{{Name: "pull"}},
		AutomountServiceAccountToken: &off,
	}, got)
}

// SAC-13, SAC-15: deleted accounts come back, with another UID, however often the
// API fails in between.
func TestServiceAccountsComeBack(t *testing.T) {
	cluster := fake.New(satest.Active("ns"))
	c := newAccounts(t, cluster)
	satest.Settle(t, cluster, c)
	before := getAccount(t, cluster, "ns", "default").UID
	cluster.Inject(fault.First(100, "create", "serviceaccounts", satest.ErrBusy))
	for _, name := range []string{"default", "managed"} {
		if err := cluster.DeleteServiceAccount(t.Context(), "ns", name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	satest.Settle(t, cluster, c)
	if after := getAccount(t, cluster, "ns", "default").UID; after == before {
		t.Errorf("the account that came back has the UID of the deleted one, %s", after)
	}
	getAccount(t, cluster, "ns", "managed")
}

// Ensure asks nobody and gives every account at once.
func TestServiceAccountsEnsure(t *testing.T) {
	cluster := fake.New(satest.Active("ns"), func() *corev1.ServiceAccount { a := named("default"); return &a }())
	c := newAccounts(t, cluster, func(cfg *sacontroller.ServiceAccountsConfig) { cfg.Reader = fake.New().Reader() })
	if err := c.Ensure(t.Context(), "ns"); err != nil {
		t.Fatal(err)
	}
	getAccount(t, cluster, "ns", "managed")
	if err := c.Ensure(t.Context(), "../kube-system"); err == nil || !strings.Contains(err.Error(), "a Namespace can't be called") {
		t.Errorf("Ensure() in what can't be a Namespace = %v, want an error that says so", err)
	}
	if n := len(satest.Calls(cluster)); n != 2 {
		t.Errorf("there were %d calls, want two creates", n)
	}
	cluster.Inject(fault.First(1, "create", "", satest.ErrBusy))
	if err := c.Ensure(t.Context(), "ns"); !errors.Is(err, satest.ErrBusy) || strings.Contains(err.Error(), "\n") {
		t.Errorf("Ensure() with one create that fails = %v, want its error alone", err) // SAC-11
	}
	if err := c.Ensure(t.Context(), "gone"); !apierrors.IsNotFound(err) {
		t.Errorf("Ensure() in a Namespace that doesn't exist = %v, want NotFound", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Ensure(ctx, "ns"); err == nil {
		t.Error("Ensure() with a context that is done = nil, want an error")
	}
}
