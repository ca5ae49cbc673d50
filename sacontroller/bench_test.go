package sacontroller_test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/sacontroller/internal/satest"
)

// BenchmarkTokens fills the token Secrets of the accounts of one namespace, one
// each, and then deletes all accounts. The API requests of each are asserted, the
// times only reported: that of the fake and of the controller together.
//
//	go test -run '^$' -bench Tokens -benchtime 1x ./sacontroller
func BenchmarkTokens(b *testing.B) {
	for _, n := range []int{1_000, 8_000, 32_000} {
		b.Run(fmt.Sprintf("fill/%d", n), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				cluster := namespaceOfAccounts(b, n)
				c := newTokens(b, cluster)
				b.StartTimer()
				if err := cluster.Settle(b.Context(), c); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				reportRequests(b, cluster, n, "Secret", 1) // one update, no read
				b.StartTimer()
			}
		})
		b.Run(fmt.Sprintf("delete/%d", n), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				cluster := namespaceOfAccounts(b, n)
				c := newTokens(b, cluster)
				if err := cluster.Settle(b.Context(), c); err != nil {
					b.Fatal(err)
				}
				for i := range n {
					if err := cluster.DeleteServiceAccount(b.Context(), "ns", fmt.Sprintf("sa-%d", i), metav1.DeleteOptions{}); err != nil {
						b.Fatal(err)
					}
				}
				cluster.ClearActions()
				b.StartTimer()
				if err := cluster.Settle(b.Context(), c); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				reportRequests(b, cluster, n, "account", 5)
				b.StartTimer()
			}
		})
	}
}

// namespaceOfAccounts returns a cluster with n accounts and an empty token Secret
// for each, in one namespace.
func namespaceOfAccounts(b *testing.B, n int) *fake.Cluster {
	b.Helper()
	cluster := fake.New(satest.Active("ns"))
	for i := range n {
		name := fmt.Sprintf("sa-%d", i)
		if err := cluster.Load(
			&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "ns"}},
			&corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Name: name + "-token", Namespace: "ns", Annotations: map[string]string{corev1.ServiceAccountNameKey: name}},
				Type:       corev1.SecretTypeServiceAccountToken,
			}); err != nil {
			b.Fatal(err)
		}
	}
	return cluster
}

// reportRequests reports the API requests per thing, of which there are n, and
// fails if there were more than limit requests for each.
func reportRequests(b *testing.B, cluster *fake.Cluster, n int, thing string, limit float64) {
	b.Helper()
	requests := float64(len(cluster.Actions())) / float64(n)
	if requests > limit {
		b.Fatalf("%.2f requests per %s, want at most %v", requests, thing, limit)
	}
	b.ReportMetric(requests, "requests/"+thing)
}
