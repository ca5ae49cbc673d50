package manager_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/manager"
	"github.com/prometheus/client_golang/prometheus"
)

// 5,000 Secrets of one namespace that nothing but another Secret can help are looked
// at once each, and say why; the retries of another namespace come when they are due.
func TestTerminalErrorsAreNotRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 5000
		// Without an account the Secrets would be deleted.
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "hostile", Name: "default", UID: "1"}}
		s := newServer(active("hostile"), active("ns"), account)
		immutable := true
		for i := range n {
			if _, err := s.CreateSecret(t.Context(), &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{
					Namespace: "hostile", Name: fmt.Sprintf("s-%d", i),
					Annotations: map[string]string{corev1.ServiceAccountNameKey: "default"},
				},
				Type: corev1.SecretTypeServiceAccountToken, Immutable: &immutable,
			}); err != nil {
				t.Fatal(err)
			}
		}
		p := newProgram(t, s)
		p.start(t)
		time.Sleep(time.Hour)
		const controller = "serviceaccount-token-controller"
		if terminal, failed := p.metric(t, "serviceaccount_reconcile_total", controller, "terminal"), p.metric(t, "serviceaccount_reconcile_total", controller, "error"); terminal != n || failed != 0 {
			t.Errorf("%v attempts were terminal and %v failed, want %d and 0", terminal, failed, n)
		}
		if got := p.metric(t, "serviceaccount_queue_retries_total", controller); got != 0 {
			t.Errorf("%v retries, want none", got)
		}
		p.issuer.fail(errKMS)
		s.createToken(t, "ns", "t", "default")
		time.Sleep(time.Second) // 7 failures, and the next retry is due 640 ms after the last
		p.issuer.fail(nil)
		time.Sleep(700 * time.Millisecond)
		if s.token(t, "ns", "t") == "" {
			t.Error("the Secret of another namespace is not filled when its retry is due")
		}
		if err := p.stop(); err != nil {
			t.Error(err)
		}
		if got := strings.Count(p.log.String(), "is immutable and incomplete"); got < n {
			t.Errorf("the log has the reason %d times, want it for each of %d Secrets", got, n)
		}
	})
}

// stubborn fails in a way that only a change helps, with another error or without.
type stubborn struct {
	sacontroller.Controller
	attempts atomic.Int64
	errs     []error
}

func (c *stubborn) Reconcile(context.Context, sacontroller.Key) (sacontroller.Result, error) {
	c.attempts.Add(1)
	return sacontroller.Result{}, errors.Join(c.errs...)
}

// A change makes a key due again that isn't retried; an error beside the terminal one
// is retried.
func TestTerminalErrorEndsWithAChange(t *testing.T) {
	terminal := &sacontroller.TerminalError{Err: errors.New("unhappy name")}
	for _, tt := range []struct {
		errs []error
		want int64
	}{{[]error{terminal}, 2}, {[]error{terminal, errKMS}, 20}} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(active("a"))
			m, err := manager.New(manager.Config{Client: s.client})
			if err != nil {
				t.Fatal(err)
			}
			accounts, err := sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{Reader: m.Reader(), Client: s})
			if err != nil {
				t.Fatal(err)
			}
			c := &stubborn{Controller: accounts, errs: tt.errs}
			if err := m.Add(c, manager.Options{Watch: []manager.Resource{manager.Namespaces}}); err != nil {
				t.Fatal(err)
			}
			p := &program{Manager: m, done: make(chan error, 1)}
			p.start(t)
			time.Sleep(time.Hour)
			ns, err := s.GetNamespace(t.Context(), "a")
			if err != nil {
				t.Fatal(err)
			}
			ns = ns.DeepCopy()
			ns.Labels = map[string]string{"a": "b"}
			if _, err := s.CoreV1().Namespaces().Update(t.Context(), ns, metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			if got := c.attempts.Load(); got < tt.want || tt.want == 2 && got > 2 {
				t.Errorf("%d attempts with %v, want %d", got, tt.errs, tt.want)
			}
			if err := p.stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// The metrics can be registered beside those that controller-runtime and client-go
// have: their names are the Manager's own.
func TestMetricsBesideOthers(t *testing.T) {
	registry := prometheus.NewRegistry()
	for _, name := range []string{
		"workqueue_depth", "workqueue_adds_total", "workqueue_queue_duration_seconds", "workqueue_work_duration_seconds",
		"workqueue_unfinished_work_seconds", "workqueue_longest_running_processor_seconds", "workqueue_retries_total",
		"controller_runtime_reconcile_total", "leader_election_master_status", "rest_client_requests_total",
	} {
		registry.MustRegister(prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: "Somebody else's."}, []string{"name", "controller"}))
	}
	p := newProgram(t, newServer(), func(cfg *manager.Config) { cfg.Metrics = registry })
	p.CountIssued(p.issuer)
	families, err := registry.Gather()
	if err != nil || len(families) < 5 {
		t.Fatalf("gathered %d metrics, %v", len(families), err)
	}
	for _, family := range families {
		if !strings.HasPrefix(family.GetName(), "serviceaccount_") {
			t.Errorf("the metric %s isn't called serviceaccount_…", family.GetName())
		}
	}
	if _, err := manager.New(manager.Config{Client: newServer().client, Metrics: registry}); err == nil {
		t.Error("New() with metrics of the same names registered = nil, want an error")
	}
}
