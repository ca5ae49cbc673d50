package saruntime

import (
	"context"
	"errors"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/kubesa/serviceaccount/internal/flight"
	"github.com/kubesa/serviceaccount/sacontroller"
)

// A queue is what controller-runtime gives handlers.
type queue = workqueue.TypedRateLimitingInterface[sacontroller.Key]

// changes returns the handler that queues what a change makes due. What the first list
// makes due has the lower priority that controller-runtime gives it.
func changes(c sacontroller.Controller) handler.TypedEventHandler[client.Object, sacontroller.Key] {
	due := func(ctx context.Context, q queue, change sacontroller.Change) {
		for _, key := range dueAfter(ctx, c, change) {
			q.Add(key)
		}
	}
	return handler.TypedFuncs[client.Object, sacontroller.Key]{
		CreateFunc: func(ctx context.Context, e event.TypedCreateEvent[client.Object], q queue) {
			due(ctx, q, sacontroller.Change{Type: watch.Added, Object: e.Object})
		},
		// Both objects: if their UIDs differ, a deletion was missed.
		UpdateFunc: func(ctx context.Context, e event.TypedUpdateEvent[client.Object], q queue) {
			change := sacontroller.Change{Type: watch.Modified, Object: e.ObjectNew, Old: e.ObjectOld}
			if e.ObjectNew.GetResourceVersion() == e.ObjectOld.GetResourceVersion() { // the cache's SyncPeriod is over
				change = sacontroller.Change{Type: watch.Added, Object: e.ObjectNew}
			}
			due(ctx, q, change)
		},
		// Also a deletion that was noticed late.
		DeleteFunc: func(ctx context.Context, e event.TypedDeleteEvent[client.Object], q queue) {
			due(ctx, q, sacontroller.Change{Type: watch.Deleted, Object: e.Object})
		},
	}
}

// dueAfter calls Due, which is the controller's code and must not take the process
// down.
func dueAfter(ctx context.Context, c sacontroller.Controller, change sacontroller.Change) []sacontroller.Key {
	due, err := flight.Catch(c.Name(), func() ([]sacontroller.Key, error) { return c.Due(change), nil })
	if p, ok := errors.AsType[*flight.PanicError](err); ok {
		log.FromContext(ctx).Error(nil, "Panic in Due", "controller", c.Name(), "panic", p.PanicText(), "stack", string(p.PanicStack()))
	}
	return due
}

// lookAgain is the source that reports every object as added once more: each time
// that the controller asks for it, and after each list. What the controller had made
// may have been deleted while there was no watch.
type lookAgain struct {
	runtime    *Runtime
	controller sacontroller.Controller
	kinds      []client.Object
	listed     chan struct{}
}

// String is for controller-runtime's logs.
func (l *lookAgain) String() string { return "every object, after lists" }

// Start implements [source.TypedSource]. The goroutine that it starts ends with ctx.
func (l *lookAgain) Start(ctx context.Context, q queue) error {
	select {
	case <-l.listed:
	default: // every object is reported now anyway
	}
	var due <-chan struct{}
	if c, ok := l.controller.(sacontroller.Resyncer); ok {
		due = c.Resync()
	}
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-due:
			case <-l.listed:
			}
			for _, kind := range l.kinds {
				if err := l.report(ctx, q, kind); err != nil {
					log.FromContext(ctx).Error(err, "Reading the cache to look at every object", "controller", l.controller.Name())
				}
			}
		}
	}()
	return nil
}

// report queues what the objects of a kind make due, with the priority of those that
// didn't change.
func (l *lookAgain) report(ctx context.Context, q queue, kind client.Object) error {
	gvks, _, err := l.runtime.scheme.ObjectKinds(kind)
	if err != nil {
		return err
	}
	list, err := l.runtime.scheme.New(gvks[0].GroupVersion().WithKind(gvks[0].Kind + "List"))
	if err != nil {
		return err
	}
	if err := l.runtime.reader.list(ctx, list.(client.ObjectList), ""); err != nil {
		return err
	}
	objects, err := meta.ExtractList(list)
	if err != nil {
		return err
	}
	for _, o := range objects {
		due := dueAfter(ctx, l.controller, sacontroller.Change{Type: watch.Added, Object: o})
		if pq, ok := q.(priorityqueue.PriorityQueue[sacontroller.Key]); ok {
			pq.AddWithOpts(priorityqueue.AddOpts{Priority: new(handler.LowPriority)}, due...)
			continue
		}
		for _, key := range due {
			q.Add(key)
		}
	}
	return nil
}
