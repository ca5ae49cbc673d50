package legacytoken_test

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/internal/satest"
	"github.com/kubesa/serviceaccount/sacontroller/legacytoken"
)

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
func ExampleNewCleaner() {
	ctx := context.Background()
	cluster := legacyCluster()
	now := fake.Epoch
	cleaner := satest.Must(legacytoken.NewCleaner(legacytoken.CleanerConfig{
		Reader: cluster, Client: cluster, Now: func() time.Time { return now },
		Observe: func(_ context.Context, e legacytoken.Event) {
			for _, d := range e.Report.Decisions {
				fmt.Println(d.Action, d.Name, d.Reason, d.Err)
			}
		},
	}))
	key := sacontroller.Key{Kind: "ConfigMap", Namespace: "kube-system", Name: "kube-apiserver-legacy-service-account-token-tracking"}
	for range 3 {
		result := satest.Must(cleaner.Reconcile(ctx, key)) // a driver calls it again after result.RequeueAfter
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
func ExampleCleaner_Report() {
	cluster := legacyCluster()
	cleaner := satest.Must(legacytoken.NewCleaner(legacytoken.CleanerConfig{
		Reader: cluster, Client: cluster, Now: func() time.Time { return fake.Epoch },
	}))
	for _, d := range satest.Must(cleaner.Report(context.Background())).Decisions {
		fmt.Println(d.Action, d.Name, d.Reason)
	}
	fmt.Println(len(cluster.Writes()), "writes")
	// Output:
	// Invalidate builder-token-x7k2q Unused
	// 0 writes
}

// Where tokens are authenticated, the ConfigMap says since when their use is recorded.
func ExampleNewTracker() {
	ctx := context.Background()
	cluster := fake.New(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system"}})
	tracker := satest.Must(legacytoken.NewTracker(legacytoken.TrackerConfig{
		Reader: cluster, Client: cluster, Now: func() time.Time { return fake.Epoch },
	}))
	fmt.Println(cluster.Settle(ctx, tracker))
	m, err := cluster.GetConfigMap(ctx, "kube-system", "kube-apiserver-legacy-service-account-token-tracking")
	fmt.Println(m.Data, err)
	// Output:
	// <nil>
	// map[since:2026-01-01] <nil>
}

// The rule by itself, for a report of one's own.
func ExamplePolicy_Decide() {
	policy := legacytoken.Policy{Period: 365 * 24 * time.Hour, Since: fake.Epoch.AddDate(-2, 0, 0)}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "t", Labels: map[string]string{"kubernetes.io/legacy-token-last-used": "2025-12-24"}},
		Type:       corev1.SecretTypeServiceAccountToken,
	}
	fmt.Println(policy.Decide(secret, nil, nil, fake.Epoch))
	// Output:
	// Keep Used
}
