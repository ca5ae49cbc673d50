package sacontroller_test

import (
	"context"
	"slices"
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

// withoutUIDs is a Reader and Client whose Secrets have no UIDs.
type withoutUIDs struct{ *fake.Cluster }

func (w withoutUIDs) GetSecret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	s, err := w.Cluster.GetSecret(ctx, namespace, name)
	if err == nil {
		s = s.DeepCopy()
		s.UID = ""
	}
	return s, err
}

func (w withoutUIDs) TokenSecrets(ctx context.Context, namespace, account string) ([]*corev1.Secret, error) {
	secrets, err := w.Cluster.TokenSecrets(ctx, namespace, account)
	for i, s := range secrets {
		secrets[i] = s.DeepCopy()
		secrets[i].UID = ""
	}
	return secrets, err
}

// CTL-24, CTL-25: the delete of an orphan, whatever is said about it.
func TestOrphanDeleted(t *testing.T) {
	conflict := fault.On("delete", "secrets", fault.Conflict)
	for _, tt := range []struct {
		name   string
		fault  *fault.Fault
		noUID  bool
		want   []string
		failed bool
	}{
		{name: "deleted", want: []string{getSA, getSec, deleteSec}},
		{name: "an API without UIDs", noUID: true, want: []string{getSA, getSec, "delete secrets ns/token-secret-1"}},
		{name: "deleted, answered with a conflict", fault: fault.On("delete", "secrets", fault.After(fault.Conflict)), want: []string{getSA, getSec, deleteSec, getSec}},
		{name: "conflict, nothing has changed", fault: conflict, want: []string{getSA, getSec, deleteSec, getSec}, failed: true},
		{name: "conflict, no answer to the next read", fault: fault.Any(conflict, fault.Nth(2, "get", "secrets", satest.ErrBusy)), want: []string{getSA, getSec, deleteSec, getSec}, failed: true},
		{name: "no answer about the Secret", fault: fault.On("get", "secrets", satest.ErrBusy), want: []string{getSA, getSec}, failed: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cache, cluster := fake.New(satest.Active("ns"), satest.Token()), fake.New(satest.Active("ns"), satest.Token())
			if tt.fault != nil {
				cluster.Inject(tt.fault)
			}
			c := newTokens(t, cluster, func(cfg *sacontroller.TokensConfig) {
				if tt.noUID {
					cfg.Reader, cfg.Client = withoutUIDs{cache}, withoutUIDs{cluster}
				}
			})
			if _, err := c.Reconcile(t.Context(), accountKey); (err != nil) != tt.failed {
				t.Errorf("Reconcile() = %v, want an error: %t", err, tt.failed)
			}
			satest.Diff(t, "calls", tt.want, satest.Calls(cluster))
		})
	}
}

// One attempt at an account that is gone makes 32 calls at most, and none for a Secret
// that might take more than are left. What it has found is not looked for again.
func TestOrphanAttempts(t *testing.T) {
	for _, tt := range []struct {
		before, gone, after int // Secrets that are there, then those that only the Reader has, and again
		attempts, calls     int
	}{
		{0, 25, 1, 1, 31},     // three calls are left for the last one
		{0, 26, 1, 2, 35},     // two are
		{24, 489, 0, 20, 600}, // five are left after 512 Secrets
		{25, 488, 0, 21, 603}, // four are
	} {
		n := tt.before + tt.gone + tt.after
		secrets := secretsNamed(satest.NumberedNames(n, "t%03d"), func(*corev1.Secret) {})
		cache := fake.New(append(secrets, satest.Active("ns"))...)
		cluster := fake.New(append(slices.Concat(secrets[:tt.before], secrets[n-tt.after:]), satest.Active("ns"))...)
		c := newTokens(t, cluster, func(cfg *sacontroller.TokensConfig) { cfg.Reader = cache })
		attempts := 1
		for ; attempts < 100; attempts++ {
			result, err := c.Reconcile(t.Context(), accountKey)
			if err != nil {
				t.Fatal(err)
			}
			if result.RequeueAfter != sacontroller.Yield {
				break
			}
		}
		if calls := len(cache.Actions()) + len(cluster.Actions()); attempts != tt.attempts || calls != tt.calls {
			t.Errorf("%d, %d and %d Secrets: %d attempts with %d calls, want %d with %d", tt.before, tt.gone, tt.after, attempts, calls, tt.attempts, tt.calls)
		}
		satest.Diff(t, "Secrets", []string{}, satest.SecretNames(t, cluster, "ns"))
		if n := c.Searches(); n != 0 {
			t.Errorf("%d searches are remembered, want none", n)
		}
	}
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
