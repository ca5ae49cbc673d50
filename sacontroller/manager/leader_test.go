package manager_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/sacontroller/manager"
)

func candidate(identity string) func(*manager.Config) {
	return func(cfg *manager.Config) {
		cfg.LeaderElection = &manager.LeaderElection{Namespace: "kube-system", Name: "serviceaccount-manager", Identity: identity}
	}
}

// Of two processes one works; when it is told to stop, the other goes on at once,
// and when it has no lease any more, it stops.
func TestLeaderElection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(active("ns"))
		if _, err := s.client.CoordinationV1().Leases("kube-system").Create(t.Context(), releasedLease("serviceaccount-manager"), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		a, b := newProgram(t, s, candidate("a")), newProgram(t, s, candidate("b"))
		a.start(t)
		time.Sleep(time.Second)
		b.start(t)
		s.createToken(t, "ns", "t1", "default")
		time.Sleep(time.Minute)
		leads := func(p *program) bool { return p.metric(t, "serviceaccount_leader") == 1 }
		if !leads(a) || leads(b) || b.Ready() != nil {
			t.Fatalf("a leads: %v, b leads: %v, b is ready: %v", leads(a), leads(b), b.Ready())
		}
		if got := b.metric(t, "serviceaccount_queue_adds_total"); got != 0 {
			t.Errorf("the process that waits has queued %v keys", got)
		}
		if s.token(t, "ns", "t1") == "" {
			t.Error("the leader did nothing")
		}
		if err := a.stop(); err != nil {
			t.Error(err)
		}
		s.createToken(t, "ns", "t2", "default")
		time.Sleep(5 * time.Second) // the lease was given back: less than it lasts
		if s.token(t, "ns", "t2") == "" {
			t.Error("the second process did not take over")
		}

		s.leasesDown.Store(true)
		if err := <-b.done; !errors.Is(err, manager.ErrLeadershipLost) {
			t.Errorf("Run() = %v, want ErrLeadershipLost", err)
		}
		if leads(b) || b.Healthy() == nil {
			t.Error("the process without a lease still leads or is healthy")
		}
	})
}

// A process that waits for the lease ends when it is told to.
func TestStopWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		a, b := newProgram(t, s, candidate("a")), newProgram(t, s, candidate("b"))
		a.start(t)
		b.start(t)
		if err := b.stop(); err != nil {
			t.Error(err)
		}
		if err := a.stop(); err != nil {
			t.Error(err)
		}
	})
}

// C14: a lease that is lost cancels the requests at once.
func TestLostLeaseCancelsWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(active("a"))
		p, c := newSlow(t, s, &manager.LeaderElection{Namespace: "kube-system", Name: "l", Identity: "a"})
		p.start(t)
		<-c.entered
		start := time.Now()
		s.leasesDown.Store(true)
		if err := <-p.done; !errors.Is(err, manager.ErrLeadershipLost) {
			t.Errorf("Run() = %v, want ErrLeadershipLost", err)
		}
		if c.ended == nil {
			t.Error("the request was not cancelled")
		}
		if took := time.Since(start); took > 15*time.Second {
			t.Errorf("the work went on for %v, longer than the lease lasts", took)
		}
	})
}

// C14: when the lease is lost and a controller ignores that, Run returns before the
// lease can be another process's, so that this one can end itself.
func TestLostLeaseWithADeafController(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(active("a"))
		p, c := newSlow(t, s, &manager.LeaderElection{Namespace: "kube-system", Name: "l", Identity: "a"})
		c.deaf = true
		p.start(t)
		<-c.entered
		start := time.Now()
		s.leasesDown.Store(true)
		err := <-p.done
		if took := time.Since(start); took >= 15*time.Second {
			t.Errorf("Run() took %v, longer than the lease lasts", took)
		}
		if !errors.Is(err, manager.ErrLeadershipLost) || !strings.Contains(err.Error(), "did not finish in time") {
			t.Errorf("Run() = %v, want ErrLeadershipLost and who did not finish", err)
		}
		close(c.leave)
	})
}
