package manager

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/kubesa/serviceaccount/internal/flight"
	"github.com/kubesa/serviceaccount/sacontroller"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// A worker runs one controller: a queue, the handlers that feed it, and the
// goroutines that work it off.
type worker struct {
	controller sacontroller.Controller
	goroutines int
	resources  []Resource
	informers  []cache.SharedIndexInformer
	listed     chan struct{} // has a value after one of them has listed
	metrics    *metrics
	log        *slog.Logger
	// failed is called for each attempt that failed, with how many did in a row: 0
	// if the key isn't to be retried, or was only put off.
	failed func(key sacontroller.Key, attempts int, err error)

	queue *queue
}

// run reconciles keys until stop is done, and returns once the running calls have
// finished. ctx is that of their requests. The rest of the queue is dropped: those
// keys become due again wherever the controller runs next.
func (w *worker) run(ctx, stop context.Context) error {
	defer w.queue.close()
	select {
	case <-w.listed:
	default: // every object is reported now anyway
	}
	for i, informer := range w.informers {
		registration, err := informer.AddEventHandler(w)
		if err != nil {
			return fmt.Errorf("manager: watching %s for %s: %v", w.resources[i], w.controller.Name(), err)
		}
		defer informer.RemoveEventHandler(registration) //nolint:errcheck // it was registered
	}
	var wg sync.WaitGroup
	for range w.goroutines {
		wg.Go(func() {
			for w.next(ctx, stop) {
			}
		})
	}
	w.resync(stop)
	w.queue.close()
	wg.Wait()
	return nil
}

// resync waits for stop, and reports every object as added each time that the
// controller asks for it, and after each list: if what the controller had made was
// deleted again while there was no watch, neither is in the cache or in an event.
func (w *worker) resync(stop context.Context) {
	var due <-chan struct{}
	if r, ok := w.controller.(sacontroller.Resyncer); ok {
		due = r.Resync()
	}
	for {
		select {
		case <-stop.Done():
			return
		case <-due:
		case <-w.listed:
		}
		for _, informer := range w.informers {
			for _, object := range informer.GetIndexer().List() {
				w.OnAdd(object, false)
			}
		}
	}
}

// OnAdd, OnUpdate and OnDelete implement [cache.ResourceEventHandler].
func (w *worker) OnAdd(object any, _ bool) { w.changed(watch.Added, object, nil) }

// OnUpdate passes on the old object too: if it has another UID than the new one, a
// deletion was missed.
func (w *worker) OnUpdate(old, object any) { w.changed(watch.Modified, object, old) }

// OnDelete also gets the tombstones of deletions that were noticed late.
func (w *worker) OnDelete(object any) {
	if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = tombstone.Obj
	}
	w.changed(watch.Deleted, object, nil)
}

// changed queues the keys that a change makes due.
func (w *worker) changed(t watch.EventType, object, old any) {
	change := sacontroller.Change{Type: t}
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
		w.queue.add(key)
	}
}

// next reconciles one key. It returns false once it is time to stop.
func (w *worker) next(ctx, stop context.Context) bool {
	key, ok := w.queue.get()
	if !ok {
		return false
	}
	if stop.Err() != nil {
		w.queue.done(key)
		return false
	}
	if left, ok := boundOf(ctx); ok && left <= 0 { // the work ends, unless the lease is renewed in this very moment
		w.queue.later(key, overPause)
		return true
	}
	result, label, err := w.reconcile(ctx, key)
	w.metrics.reconciles.WithLabelValues(w.controller.Name(), label).Inc()
	failures := 0
	switch {
	case label == resultTerminal:
		w.queue.done(key)
	case err != nil:
		failures = w.queue.fail(key)
	case result.RequeueAfter > 0:
		w.queue.later(key, result.RequeueAfter)
		if result.RequeueAfter > sacontroller.Yield {
			err = w.lastError(key)
		}
	default:
		w.queue.done(key)
	}
	if err != nil && ctx.Err() == nil {
		w.failed(key, failures, err)
	}
	return true
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
	case isTerminal(err):
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

// isTerminal reports whether err is one that only a change of an object helps. Of
// several errors all must be such.
func isTerminal(err error) bool {
	switch e := err.(type) {
	case *sacontroller.TerminalError:
		return true
	case interface{ Unwrap() error }:
		return isTerminal(e.Unwrap())
	case interface{ Unwrap() []error }:
		errs := e.Unwrap()
		return len(errs) > 0 && !slices.ContainsFunc(errs, func(err error) bool { return !isTerminal(err) })
	}
	return false
}
