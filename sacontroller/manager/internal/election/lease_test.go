package election

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientset "k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

func newTestLease(identity string, client *clientset.Clientset) *lease {
	cfg := Config{Namespace: "kube-system", Name: "l", Identity: identity}.WithDefaults()
	return newLease(&cfg, client.CoordinationV1().Leases("kube-system"))
}

// C14: work ends RenewDeadline after the last renewal was sent, for good, and what
// is left is never more.
func TestLeaseRunsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newTestLease("a", clientset.NewClientset())
		work := l.hold(t.Context())
		record := resourcelock.LeaderElectionRecord{HolderIdentity: "a", LeaseDurationSeconds: 15}
		if left := l.remaining(); left > 0 {
			t.Errorf("%v are left of a lease that isn't held", left)
		}
		if err := l.Create(t.Context(), record); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			time.Sleep(9 * time.Second)
			if left := l.remaining(); left != time.Second || work.Err() != nil {
				t.Fatalf("%v are left after 9 s, %v; want 1 s", left, work.Err())
			}
			if err := l.Update(t.Context(), record); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if left := l.remaining(); left > 0 || work.Err() == nil {
			t.Errorf("%v are left after 10 s, %v; want the work canceled", left, work.Err())
		}
		if err := l.Update(t.Context(), record); err == nil {
			t.Error("Update() of a lease that was lost = nil, want an error")
		}
		if err := l.healthy(); err != nil {
			t.Error(err)
		}
		time.Sleep(30 * time.Second)
		if err := l.healthy(); err == nil {
			t.Error("healthy() = nil 40 s after the last renewal, want an error")
		}
	})
}

// A holder whose clock stands still writes the same record again and again: the
// others see renewals all the same.
func TestLeaseOfAStoppedClock(t *testing.T) {
	client := clientset.NewClientset()
	a, b := newTestLease("a", client), newTestLease("b", client)
	a.hold(t.Context())
	record := resourcelock.LeaderElectionRecord{HolderIdentity: "a", LeaseDurationSeconds: 15}
	if err := a.Create(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	_, first, err := b.Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stored, err := client.CoordinationV1().Leases("kube-system").Get(t.Context(), "l", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	stored.ResourceVersion = "2" // client-go's fake has none
	if _, err := client.CoordinationV1().Leases("kube-system").Update(t.Context(), stored, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, second, err := b.Get(t.Context()); err != nil || bytes.Equal(first, second) {
		t.Errorf("Get() after a renewal = %s, %v, want another record than before", second, err)
	}
}

// A lease that is another's, by whatever means, ends the work at once.
func TestLeaseIsAnothers(t *testing.T) {
	client := clientset.NewClientset()
	a, b := newTestLease("a", client), newTestLease("b", client)
	work := a.hold(t.Context())
	b.hold(t.Context())
	if err := a.Create(t.Context(), resourcelock.LeaderElectionRecord{HolderIdentity: "a", LeaseDurationSeconds: 15}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Get(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.Update(t.Context(), resourcelock.LeaderElectionRecord{HolderIdentity: "b", LeaseDurationSeconds: 15}); err != nil {
		t.Fatal(err)
	}
	if work.Err() != nil {
		t.Fatal("the work ended before the process knew")
	}
	if _, _, err := a.Get(t.Context()); err != nil {
		t.Fatal(err)
	}
	if work.Err() == nil {
		t.Error("the work goes on although the lease is another's")
	}
	if err := a.release(t.Context()); err != nil {
		t.Error(err)
	}
	if record, _, err := b.Get(t.Context()); err != nil || record.HolderIdentity != "b" {
		t.Errorf("the lease is %q's, %v; want it left alone", record.HolderIdentity, err)
	}
}

// A machine that was suspended has a monotonic clock that stood still, and one whose
// clock was set back has only that: the longer time counts.
func TestElapsed(t *testing.T) {
	since := time.Now()
	wall := since.Round(0)
	for _, tt := range []struct {
		name string
		now  time.Time
		want time.Duration
	}{
		{"both clocks", since.Add(5 * time.Second), 5 * time.Second},
		{"suspended", wall.Add(time.Hour), time.Hour},
	} {
		if got := elapsed(since, tt.now); got != tt.want {
			t.Errorf("%s: elapsed() = %v, want %v", tt.name, got, tt.want)
		}
	}
}
