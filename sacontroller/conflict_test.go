package sacontroller_test

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/internal/satest"
)

// overtaken is a Client whose account is changed by another writer right before
// it is updated for the first time, and before it is read after that.
type overtaken struct {
	*fake.Cluster
	before, beforeRead func()
}

func (o *overtaken) UpdateServiceAccount(ctx context.Context, account *corev1.ServiceAccount) (*corev1.ServiceAccount, error) {
	if before := o.before; before != nil {
		o.before = nil
		before()
	}
	return o.Cluster.UpdateServiceAccount(ctx, account)
}

func (o *overtaken) GetServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	if o.before == nil && o.beforeRead != nil {
		o.beforeRead()
	}
	return o.Cluster.GetServiceAccount(ctx, namespace, name)
}

// What becomes of a Secret that was generated when its account is changed before
// it lists the Secret (CTL-89..91).
func TestGenerateConflicts(t *testing.T) {
	const generated = "default-token-xxxx2"
	update := func(t *testing.T, cluster *fake.Cluster, mutate func(*corev1.ServiceAccount)) {
		t.Helper()
		a := getAccount(t, cluster, "ns", "default").DeepCopy()
		mutate(a)
		if _, err := cluster.UpdateServiceAccount(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(t *testing.T, cluster *fake.Cluster) {
		t.Helper()
		if err := cluster.DeleteServiceAccount(t.Context(), "ns", "default", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	held := satest.Account()
	held.Finalizers = []string{"a/b"}
	tests := []struct {
		name       string
		account    *corev1.ServiceAccount // satest.Account() if nil
		before     func(*testing.T, *fake.Cluster)
		beforeRead func(*testing.T, *fake.Cluster)
		fault      *fault.Fault
		wantErr    string
		wantWrites []string // besides the create
		references []string // nil if there is no account
	}{
		{name: "labelled", before: func(t *testing.T, cluster *fake.Cluster) {
			update(t, cluster, func(a *corev1.ServiceAccount) { a.Labels = map[string]string{"a": "b"} })
		}, wantWrites: []string{updateSA, updateSA}, references: []string{generated}},
		{name: "lists another Secret", before: func(t *testing.T, cluster *fake.Cluster) {
			update(t, cluster, func(a *corev1.ServiceAccount) { a.Secrets = []corev1.ObjectReference{{Name: "opaque"}} })
		}, wantWrites: []string{updateSA, updateSA}, references: []string{"opaque", generated}},
		{name: "lists another token", before: func(t *testing.T, cluster *fake.Cluster) {
			update(t, cluster, func(a *corev1.ServiceAccount) { a.Secrets = []corev1.ObjectReference{{Name: "token-secret-1"}} })
		}, wantWrites: []string{updateSA, "delete secrets"}, references: []string{"token-secret-1"}},
		{name: "lists another token, which the Reader has", before: func(t *testing.T, cluster *fake.Cluster) {
			update(t, cluster, func(a *corev1.ServiceAccount) { a.Secrets = []corev1.ObjectReference{{Name: "token-secret-1"}} })
		}, fault: fault.On("get", "secrets", satest.ErrBusy), wantWrites: []string{updateSA, "delete secrets"}, references: []string{"token-secret-1"}},
		{name: "lists it already", before: func(t *testing.T, cluster *fake.Cluster) {
			update(t, cluster, func(a *corev1.ServiceAccount) { a.Secrets = []corev1.ObjectReference{{Name: generated}} })
		}, wantWrites: []string{updateSA}, references: []string{generated}},
		{name: "deleted", before: remove, wantWrites: []string{updateSA, "delete secrets"}},
		{name: "deleted after a conflict", before: func(t *testing.T, cluster *fake.Cluster) {
			update(t, cluster, func(a *corev1.ServiceAccount) { a.Labels = map[string]string{"a": "b"} })
		}, beforeRead: remove, wantWrites: []string{updateSA, "delete serviceaccounts ns/default", "delete secrets"}},
		{name: "being deleted", account: held, before: remove, wantWrites: []string{updateSA, "delete secrets"}, references: []string{}},
		{name: "created again", before: func(t *testing.T, cluster *fake.Cluster) {
			remove(t, cluster)
			if _, err := cluster.CreateServiceAccount(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "default"}}); err != nil {
				t.Fatal(err)
			}
		}, wantWrites: []string{updateSA, "delete secrets"}, references: []string{}},
		{name: "no answer about the Secrets that it lists", before: func(t *testing.T, cluster *fake.Cluster) {
			update(t, cluster, func(a *corev1.ServiceAccount) { a.Secrets = []corev1.ObjectReference{{Name: "opaque"}} })
		}, fault: fault.On("get", "secrets", satest.ErrBusy), wantErr: "etcd is busy", wantWrites: []string{updateSA}, references: []string{"opaque"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.account == nil {
				tt.account = satest.Account()
			}
			cluster := fake.New(tt.account, satest.Token(), satest.Opaque())
			client := &overtaken{Cluster: cluster, before: func() {
				tt.before(t, cluster)
				cluster.ClearActions()
				if tt.fault != nil {
					cluster.Inject(tt.fault)
				}
			}}
			if tt.beforeRead != nil {
				client.beforeRead = func() { tt.beforeRead(t, cluster) }
			}
			c := newTokens(t, cluster, numbered, func(cfg *sacontroller.TokensConfig) { cfg.Client = client })
			_, err := c.Reconcile(t.Context(), accountKey)
			if (err != nil) != (tt.wantErr != "") || err != nil && !strings.Contains(err.Error(), tt.wantErr) {
				t.Fatalf("Reconcile() = %v, want the error %q", err, tt.wantErr)
			}
			var got []string
			for _, w := range writes(cluster) {
				if strings.HasPrefix(w, "delete secrets ns/"+generated) {
					w = "delete secrets"
				}
				got = append(got, w)
			}
			satest.Diff(t, "writes after the change", tt.wantWrites, got)
			if tt.references != nil {
				satest.Diff(t, "references", tt.references, references(getAccount(t, cluster, "ns", "default")))
			}
			if n := c.Pending(); (n > 0) != (tt.wantErr != "") {
				t.Errorf("%d Secrets are remembered as unfinished", n)
			}
			if tt.name == "labelled" && getAccount(t, cluster, "ns", "default").Labels["a"] != "b" {
				t.Error("the other writer's label is lost")
			}
		})
	}
}

// What the Reader can't say after a conflict is an error, and the Secret stays.
func TestGenerateConflictReaderFails(t *testing.T) {
	cluster := fake.New(satest.Account(), satest.Opaque())
	reader := cluster.Reader()
	reader.Inject(fault.On("get", "secrets", satest.ErrBusy))
	client := &overtaken{Cluster: cluster, before: func() {
		a := getAccount(t, cluster, "ns", "default").DeepCopy()
		a.Secrets = []corev1.ObjectReference{{Name: "opaque"}}
		if _, err := cluster.UpdateServiceAccount(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}}
	c := newTokens(t, cluster, numbered, func(cfg *sacontroller.TokensConfig) { cfg.Reader, cfg.Client = reader, client })
	if _, err := c.Reconcile(t.Context(), accountKey); err == nil || !strings.Contains(err.Error(), "etcd is busy") {
		t.Errorf("Reconcile() = %v, want the Reader's error", err)
	}
	satest.Diff(t, "Secrets", []string{"default-token-xxxx2", "opaque"}, satest.SecretNames(t, cluster, "ns"))
	if c.Pending() != 1 {
		t.Errorf("%d Secrets are remembered as unfinished, want one", c.Pending())
	}
}

// What is remembered of an account is forgotten with it.
func TestGenerateForgetsDeletedAccounts(t *testing.T) {
	cluster := fake.New(satest.Account())
	cluster.Inject(fault.On("create", "secrets", fault.After(satest.ErrBusy)))
	c := newTokens(t, cluster, autoGenerate)
	if _, err := c.Reconcile(t.Context(), accountKey); err == nil || c.Pending() != 1 {
		t.Fatalf("Reconcile() = %v, %d Secrets are remembered, want an error and one", err, c.Pending())
	}
	if err := cluster.DeleteServiceAccount(t.Context(), "ns", "default", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	cluster.Inject(fault.First(1, "delete", "secrets", satest.ErrBusy))
	if _, err := c.Reconcile(t.Context(), accountKey); err == nil || c.Pending() != 1 {
		t.Errorf("Reconcile() without an answer to the delete = %v, %d Secrets are remembered, want an error and one", err, c.Pending())
	}
	if _, err := c.Reconcile(t.Context(), accountKey); err != nil || c.Pending() != 0 {
		t.Errorf("Reconcile() = %v, %d Secrets are remembered, want none", err, c.Pending())
	}
}

// An account whose Secrets can't be read gets no second token.
func TestGenerateCannotReadListed(t *testing.T) {
	cluster := fake.New(satest.AccountListing("default-token-1"), satest.TokenWith(func(s *corev1.Secret) { s.Name = "default-token-1" }))
	cluster.Inject(fault.On("get", "secrets", satest.ErrBusy))
	c := newTokens(t, cluster, autoGenerate, func(cfg *sacontroller.TokensConfig) { cfg.Reader = noTokens{cluster.Reader()} })
	if _, err := c.Reconcile(t.Context(), accountKey); err == nil || !strings.Contains(err.Error(), "reading Secret ns/default-token-1: ") {
		t.Errorf("Reconcile() = %v, want an error about the listed Secret", err)
	}
	satest.Diff(t, "calls", []string{getSA, "get secrets ns/default-token-1"}, satest.Calls(cluster))
}

// unversioned is a Reader that doesn't know resourceVersions.
type unversioned struct{ *fake.Reader }

func (u unversioned) GetSecret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	s, err := u.Reader.GetSecret(ctx, namespace, name)
	if err == nil {
		s = s.DeepCopy()
		s.ResourceVersion = ""
	}
	return s, err
}

// A write without a resourceVersion would overwrite anything: the Secret is read
// live first (CTL-46).
func TestFillWithoutResourceVersion(t *testing.T) {
	cluster := fake.New(satest.Account(), satest.TokenWith(empty))
	c := newTokens(t, cluster, func(cfg *sacontroller.TokensConfig) { cfg.Reader = unversioned{cluster.Reader()} })
	if _, err := c.Reconcile(t.Context(), secretKey); err != nil {
		t.Fatal(err)
	}
	satest.Diff(t, "calls", []string{"get secrets ns/token-secret-1", updateSec}, satest.Calls(cluster))
}

// Another writer empties the Secret each time: SECURITY C15.
func TestTokensFight(t *testing.T) {
	now := fake.Epoch
	cluster := fake.New(satest.Account(), satest.Token())
	c := newTokens(t, cluster, func(cfg *sacontroller.TokensConfig) { cfg.Now = func() time.Time { return now } })
	waited := 0
	for range 500 {
		s := satest.GetSecret(t, cluster, "ns", "token-secret-1").DeepCopy()
		s.Data = nil
		if _, err := cluster.UpdateSecret(fake.WithActor(t.Context(), "somebody"), s); err != nil {
			t.Fatal(err)
		}
		result, err := c.Reconcile(t.Context(), secretKey)
		if err != nil {
			t.Fatal(err)
		}
		if result.RequeueAfter > 0 {
			waited++
			if err := c.LastError(secretKey); err == nil || !strings.Contains(err.Error(), "Secret ns/token-secret-1 is being reverted by another writer") {
				t.Fatalf("LastError() = %v while waiting, want it to say why", err)
			}
		} else if err := c.LastError(secretKey); err != nil {
			t.Fatalf("LastError() = %v after a success, want none", err)
		}
		now = now.Add(240 * time.Millisecond) // two minutes in all
	}
	ours := 0
	for _, a := range cluster.Writes() {
		if a.Actor != "somebody" {
			ours++
		}
	}
	if waited == 0 || ours != 2*60 {
		t.Errorf("it wrote %d times in two minutes and waited %d times, want 60 writes a minute", ours, waited)
	}
}
