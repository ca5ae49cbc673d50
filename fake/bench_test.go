package fake_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake"
)

// What a Cluster costs that holds 100,000 token Secrets of 1,000 namespaces:
// memory, with the list of actions and without, and the time to list them, to
// find those of one account, and to watch them all.
//
//	go test -run '^$' -bench Objects -benchtime 1x ./fake
func BenchmarkObjects(b *testing.B) {
	const namespaces, each = 1000, 100
	const n = namespaces * each
	for b.Loop() {
		before := heap()
		c := new(fake.Cluster)
		start := time.Now()
		for i := range namespaces {
			if _, err := c.CreateNamespace(b.Context(), &corev1.Namespace{ObjectMeta: meta("", fmt.Sprint("team-", i))}); err != nil {
				b.Fatal(err)
			}
			for j := range each {
				secret := tokenSecret(fmt.Sprint("token-", j), fmt.Sprint("account-", j))
				secret.Namespace = fmt.Sprint("team-", i)
				if _, err := c.CreateSecret(b.Context(), secret); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(n/time.Since(start).Seconds(), "creates/s")
		b.ReportMetric(float64(heap()-before)/n, "B/object+action")
		c.ClearActions()
		b.ReportMetric(float64(heap()-before)/n, "B/object")

		start = time.Now()
		list, err := c.ListSecrets(b.Context(), "")
		if err != nil || len(list) != n {
			b.Fatalf("got %d Secrets, want %d (%v)", len(list), n, err)
		}
		b.ReportMetric(float64(time.Since(start))/float64(time.Millisecond), "ms/list")

		start = time.Now()
		for i := range namespaces {
			found, err := c.TokenSecrets(b.Context(), fmt.Sprint("team-", i), "account-7")
			if err != nil || len(found) != 1 {
				b.Fatalf("got %d token Secrets, want 1 (%v)", len(found), err)
			}
		}
		b.ReportMetric(float64(time.Since(start))/float64(time.Microsecond)/namespaces, "us/tokens")

		watch, err := c.Watch(b.Context(), "secrets", "", metav1.ListOptions{ResourceVersion: "1"})
		if err != nil {
			b.Fatal(err)
		}
		start = time.Now()
		events := 0
		for range watch.Pending() {
			events++
		}
		if events != n {
			b.Fatalf("got %d events, want %d", events, n)
		}
		b.ReportMetric(n/time.Since(start).Seconds(), "events/s")
		watch.Stop()
	}
}

// heap returns how much memory is in use.
func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
