package manager

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/manager/internal/election"
)

func secretKey(namespace string, i int) sacontroller.Key {
	return sacontroller.Key{Kind: "Secret", Namespace: namespace, Name: fmt.Sprintf("s-%d", i), UID: "1"}
}

// toy counts the calls for its keys.
type toy struct {
	sacontroller.Controller
	calls atomic.Int64
}

func (*toy) Name() string { return "toy" }

func (c *toy) Reconcile(context.Context, sacontroller.Key) (sacontroller.Result, error) {
	c.calls.Add(1)
	return sacontroller.Result{}, nil
}

// A worker that finds nothing left of the lease waits: if it is renewed all the
// same, before the work has ended, it goes on.
func TestWorkerOutlivesALapse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		m, c := newMetrics(), &toy{}
		w := &worker{controller: c, queue: m.queues.newQueue("toy", 1), metrics: m, log: slog.New(slog.DiscardHandler), clusterOf: func(string) *cluster { return &cluster{} }}
		renewed := time.Now().Add(3 * time.Second)
		done := make(chan struct{})
		go func() {
			defer close(done)
			w.run(election.WithBound(ctx, func() time.Duration { return time.Since(renewed) }), ctx)
		}()
		w.queue.Add(secretKey("a", 1))
		time.Sleep(2 * time.Second)
		if got := c.calls.Load(); got != 0 {
			t.Errorf("%d calls without a lease", got)
		}
		time.Sleep(10 * time.Second)
		if got := c.calls.Load(); got != 1 {
			t.Errorf("%d calls after the lease was renewed, want 1", got)
		}
		cancel()
		<-done
	})
}
