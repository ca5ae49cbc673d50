package fake

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/watch"
)

// ErrWatchClosed is returned by [Watch.Next] when the watch was stopped or
// dropped: watch again from the last resourceVersion that was seen.
var ErrWatchClosed = errors.New("fake: watch closed")

// A Watch delivers the changes of a [Cluster] one by one, without a goroutine
// and without losing any. It is for one goroutine, but for Stop.
type Watch struct {
	cluster   *Cluster
	kind      *kind // nil means all
	namespace string
	labels    labels.Selector
	fields    fields.Selector

	// What follows is guarded by cluster.mu.
	seen    uint64 // the revision of the last change that was looked at
	initial []watch.Event
	stopped chan struct{}
	closed  bool
}

// Watch returns a watch of resource in namespace, or in all if it is empty. An
// empty resource stands for all six. opts.ResourceVersion says after which
// change to start; if it is empty or "0", the watch starts with an Added event
// for every object that exists.
//
// The error is 410 Gone (apierrors.IsResourceExpired) if the changes since then
// are not known any more: list again, and watch from there.
func (c *Cluster) Watch(ctx context.Context, resource, namespace string, opts metav1.ListOptions) (*Watch, error) {
	w := &Watch{cluster: c, namespace: namespace, labels: labels.Everything(), fields: fields.Everything(), stopped: make(chan struct{})}
	if resource != "" {
		if w.kind = kindNamed(resource); w.kind == nil {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("fake: no resource %q", resource))
		}
		var err error
		if w.labels, w.fields, err = parseSelectors(w.kind, opts); err != nil {
			return nil, err
		}
	}
	from, err := parseRevision(opts.ResourceVersion)
	if err != nil {
		return nil, err
	}
	action := &Action{Op: Op{Verb: "watch", Resource: resource, Namespace: namespace}}
	err = c.call(ctx, action, func() error {
		switch {
		case from == 0:
			w.seen = c.history.last()
			w.initial = w.existing()
		case from < c.history.compacted:
			return apierrors.NewResourceExpired(fmt.Sprintf("too old resource version: %d (%d)", from, c.history.compacted))
		default:
			w.seen = from
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return w, nil
}

// existing returns an Added event for everything that is there.
func (w *Watch) existing() []watch.Event {
	var events []watch.Event
	for _, k := range kinds {
		if w.kind != nil && w.kind != k {
			continue
		}
		for _, o := range w.cluster.state.list(k, w.scope(k)) {
			if selects(k, w.labels, w.fields, o) {
				events = append(events, watch.Event{Type: watch.Added, Object: o})
			}
		}
	}
	return events
}

func (w *Watch) scope(k *kind) string {
	if k.namespaced {
		return w.namespace
	}
	return ""
}

// Next returns the next event, and waits for it until ctx is done. The error
// is then ctx's, or [ErrWatchClosed].
func (w *Watch) Next(ctx context.Context) (watch.Event, error) {
	for {
		event, more, closed := w.poll()
		switch {
		case closed:
			return watch.Event{}, ErrWatchClosed
		case more == nil:
			return event, nil
		}
		select {
		case <-ctx.Done():
			return watch.Event{}, ctx.Err()
		case <-w.stopped:
		case <-more:
		}
	}
}

// Pending returns the events that are there now, without waiting.
func (w *Watch) Pending() []watch.Event {
	var events []watch.Event
	for {
		event, more, closed := w.poll()
		if closed || more != nil {
			return events
		}
		events = append(events, event)
	}
}

// Stop ends the watch.
func (w *Watch) Stop() {
	w.cluster.mu.Lock()
	defer w.cluster.mu.Unlock()
	w.close()
}

func (w *Watch) close() {
	if !w.closed {
		w.closed = true
		close(w.stopped)
	}
}

// poll returns the next event, or a channel that is closed when it is worth
// asking again.
func (w *Watch) poll() (event watch.Event, more <-chan struct{}, closed bool) {
	c := w.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	if w.closed {
		return watch.Event{}, nil, true
	}
	if len(w.initial) > 0 {
		event = w.initial[0]
		w.initial = w.initial[1:]
		event.Object = event.Object.DeepCopyObject()
		return event, nil, false
	}
	for w.seen < c.history.last() {
		ch := c.history.changes[w.seen]
		w.seen++
		if event, ok := w.see(ch); ok {
			return event, nil, false
		}
	}
	return watch.Event{}, c.history.wait(), false
}

// see returns the event that a change is to this watch: an object that starts
// or stops matching the selectors looks like one that comes or goes.
func (w *Watch) see(ch *change) (watch.Event, bool) {
	if w.kind != nil && w.kind != ch.kind || ch.kind.namespaced && w.namespace != "" && w.namespace != ch.object.GetNamespace() {
		return watch.Event{}, false
	}
	now := !ch.deleted && selects(ch.kind, w.labels, w.fields, ch.object)
	before := ch.old != nil && selects(ch.kind, w.labels, w.fields, ch.old)
	event := watch.Event{Object: ch.object.DeepCopyObject()}
	switch {
	case now && before:
		event.Type = watch.Modified
	case now:
		event.Type = watch.Added
	case before:
		event.Type = watch.Deleted
	default:
		return watch.Event{}, false
	}
	return event, true
}
