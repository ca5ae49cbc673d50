package manager

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/kubesa/serviceaccount/internal/fairqueue"
	"github.com/kubesa/serviceaccount/internal/flight"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/manager/internal/election"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
)

// A worker runs one controller, for all tenants: it works off the queue that their
// clusters fill.
type worker struct {
	controller sacontroller.Controller
	resources  []Resource
	metrics    *metrics
	log        *slog.Logger

	// clusterOf returns the cluster of a tenant, or nil if that has left.
	clusterOf func(tenant string) *cluster
	// resync reports every object of every cluster as added.
	resync func(*worker)
	// failed is called for each attempt that failed, with how many did in a row: 0
	// if the key isn't to be retried, or was only put off.
	failed func(key sacontroller.Key, attempts int, err error)

	queue *fairqueue.Queue
}

// run reconciles keys until stop is done, and returns once the running calls have
// finished. ctx is that of their requests. The rest of the queue is dropped: those
// keys become due again wherever the controller runs next.
func (w *worker) run(ctx, stop context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	defer w.queue.Close()
	defer context.AfterFunc(stop, w.queue.Close)()
	if r, ok := w.controller.(sacontroller.Resyncer); ok {
		wg.Go(func() {
			for {
				select {
				case <-stop.Done():
					return
				case <-r.Resync():
					w.resync(w)
				}
			}
		})
	}
	for {
		key, ok := w.queue.Get()
		if !ok {
			return
		}
		wg.Go(func() { w.work(ctx, stop, key) })
	}
}

// changed queues the keys that a change makes due.
func (w *worker) changed(tenant string, t watch.EventType, object, old any) {
	change := sacontroller.Change{Tenant: tenant, Type: t}
	change.Object, _ = object.(runtime.Object)
	change.Old, _ = old.(runtime.Object)
	if change.Object == nil || !served(object) {
		return
	}
	// Due is the controller's code; it must not take the process down.
	due, err := flight.Catch(w.controller.Name(), func() ([]sacontroller.Key, error) { return w.controller.Due(change), nil })
	if p, ok := errors.AsType[*flight.PanicError](err); ok {
		w.metrics.reconciles.WithLabelValues(w.controller.Name(), resultPanic).Inc()
		w.log.Error("Panic in Due", "panic", p.PanicText(), "stack", string(p.PanicStack()))
	}
	for _, key := range due {
		w.queue.Add(key)
	}
}

// work reconciles key, unless it is time to stop.
func (w *worker) work(ctx, stop context.Context, key sacontroller.Key) {
	c := w.clusterOf(key.Tenant)
	if stop.Err() != nil || c == nil {
		w.queue.Done(key)
		return
	}
	if left, ok := election.BoundOf(ctx); ok && left <= 0 { // the work ends, unless the lease is renewed in this very moment
		w.queue.Later(key, overPause)
		return
	}
	ctx, cancel := c.requests(ctx)
	defer cancel()
	result, label, err := w.reconcile(ctx, key)
	w.metrics.reconciles.WithLabelValues(w.controller.Name(), label).Inc()
	failures := 0
	switch {
	case label == resultTerminal:
		w.queue.Done(key)
	case err != nil:
		failures = w.queue.Fail(key)
	case result.RequeueAfter > 0:
		w.queue.Later(key, result.RequeueAfter)
		if result.RequeueAfter > sacontroller.Yield {
			err = w.lastError(key)
		}
	default:
		w.queue.Done(key)
	}
	if err != nil && ctx.Err() == nil {
		w.failed(key, failures, err)
	}
}

// overPause is how long a key waits that was due when nothing was left of the lease.
const overPause = time.Second

// lastError returns why the controller put key off, if it says so.
func (w *worker) lastError(key sacontroller.Key) error {
	c, ok := w.controller.(interface {
		LastError(sacontroller.Key) error
	})
	if !ok {
		return nil
	}
	return c.LastError(key)
}

// reconcile calls the controller. A panic is an error like any other: the key
// waits, the others go on.
func (w *worker) reconcile(ctx context.Context, key sacontroller.Key) (result sacontroller.Result, label string, err error) {
	result, err = flight.Catch(w.controller.Name(), func() (sacontroller.Result, error) { return w.controller.Reconcile(ctx, key) })
	p, panicked := errors.AsType[*flight.PanicError](err) // of the controller, or of what it calls, such as a signer
	if panicked {
		w.log.Error("Panic", "key", key.String(), "panic", p.PanicText(), "stack", string(p.PanicStack()))
	}
	switch {
	case panicked && err == error(p):
		label, err = resultPanic, fmt.Errorf("manager: %w", err)
	case sacontroller.IsTerminal(err):
		label = resultTerminal
	case err != nil:
		label = resultError
	case result.RequeueAfter > 0:
		label = resultRequeue
	default:
		label = resultSuccess
	}
	return result, label, err
}
