package sacontroller_test

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/internal/satest"
)

// CTL-25 as we differ: an account is deleted and the deletion of its Secret is
// answered with a conflict, though nothing has changed. No further event leads to
// the Secret, and yet it must not stay.
func TestOrphanAfterConflict(t *testing.T) {
	for _, k := range []int{1, 10} {
		cluster := fake.New(satest.Account(), satest.Token())
		c := newTokens(t, cluster)
		satest.Settle(t, cluster, c)
		cluster.Inject(fault.First(k, "delete", "secrets", fault.Conflict))
		if err := cluster.DeleteServiceAccount(t.Context(), "ns", "default", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		satest.Settle(t, cluster, c)
		satest.Diff(t, "Secrets", []string{}, satest.SecretNames(t, cluster, "ns"))
	}
}

// replacing is a Client whose Secret is deleted and created again by another writer
// right before it is deleted.
type replacing struct{ *fake.Cluster }

func (r replacing) DeleteSecret(ctx context.Context, namespace, name string, opts metav1.DeleteOptions) error {
	if err := r.Cluster.DeleteSecret(ctx, namespace, name, metav1.DeleteOptions{}); err != nil {
		return err
	}
	second := incomplete()
	second.UID = ""
	if _, err := r.CreateSecret(ctx, second); err != nil {
		return err
	}
	return r.Cluster.DeleteSecret(ctx, namespace, name, opts)
}

// CTL-25: a Secret of the same name that isn't the one to delete stays, and the key
// is done.
func TestOrphanReplaced(t *testing.T) {
	cluster := fake.New(satest.Token())
	c := newTokens(t, cluster, func(cfg *sacontroller.TokensConfig) { cfg.Client = replacing{cluster} })
	if _, err := c.Reconcile(t.Context(), secretKey); err != nil {
		t.Errorf("Reconcile() = %v, want nil: the Secret is another one", err)
	}
	satest.Diff(t, "Secrets", []string{"token-secret-1"}, satest.SecretNames(t, cluster, "ns"))
}

// CTL-60 as we differ: an account lists a generated Secret that was its predecessor's.
// The Secret is an orphan; once it is deleted the account must not list it.
func TestOrphanListedByNamesake(t *testing.T) {
	const name = "default-token-x7k2q"
	cluster := fake.New(satest.AccountListing(name, "other"), satest.TokenWith(func(s *corev1.Secret) {
		s.Name, s.UID = name, "9"
		s.Annotations[corev1.ServiceAccountUIDKey] = "of-the-predecessor"
	}))
	satest.Settle(t, cluster, newTokens(t, cluster))
	satest.Diff(t, "Secrets", []string{}, satest.SecretNames(t, cluster, "ns"))
	satest.Diff(t, "references", []string{"other"}, references(getAccount(t, cluster, "ns", "default")))
}
