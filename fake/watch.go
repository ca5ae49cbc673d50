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

	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/fake/internal/object"
	"github.com/kubesa/serviceaccount/fake/internal/store"
)

// ErrWatchClosed is returned by [Watch.Next] when the watch was stopped or
// dropped: watch again from the last resourceVersion that was seen.
var ErrWatchClosed = errors.New("fake: watch closed")

// A Watch delivers the changes of a [Cluster] one by one, without a goroutine
// and without losing any. It is for one goroutine, but for Stop.
type Watch struct {
	cluster   *Cluster
	kind      *object.Kind // nil means all
	namespace string
	labels    labels.Selector
	fields    fields.Selector
	bookmarks bool
	stopped   chan struct{} // closed by Stop

	// What follows is guarded by cluster.mu.
	seen    uint64        // the revision of the last change that was looked at
	waiting []watch.Event // what comes before the next change
	left    int           // events until the watch is dropped; negative for never
	closed  bool
}

// Watch returns a watch of resource in namespace, or in all if it is empty. An
// empty resource means all of them. The resource "events" has no objects. The watch
// starts after opts.ResourceVersion; if that is empty or "0", it starts with an Added
// event for every object that exists. opts.SendInitialEvents asks for those, too, and
// for a bookmark at their end (KEP-3157).
//
// The error is 410 Gone (apierrors.IsResourceExpired) if the changes since then
// were compacted, see [Cluster.Compact]: list again, and watch from there.
func (c *Cluster) Watch(ctx context.Context, resource, namespace string, opts metav1.ListOptions) (*Watch, error) {
	w := &Watch{
		cluster: c, namespace: namespace, bookmarks: opts.AllowWatchBookmarks,
		labels: labels.Everything(), fields: fields.Everything(),
		stopped: make(chan struct{}), left: -1,
	}
	if resource != "" {
		switch w.kind = object.KindNamed(resource); {
		case resource == object.Events.Resource:
			w.kind = object.Events
		case w.kind == nil:
			return nil, apierrors.NewBadRequest(fmt.Sprintf("fake: no resource %q", resource))
		}
	}
	action := &Action{Op: fault.Op{Verb: "watch", Resource: resource, Namespace: namespace}}
	err := c.call(ctx, action, func() (err error) {
		if w.kind != nil && w.kind != object.Events {
			if w.labels, w.fields, err = store.ParseSelectors(w.kind, opts); err != nil {
				return err
			}
		}
		from, err := store.ParseRevision(opts.ResourceVersion)
		if err != nil {
			return err
		}
		if err := w.start(from, opts.SendInitialEvents != nil && *opts.SendInitialEvents); err != nil {
			return err
		}
		if action.drop != nil {
			w.left = *action.drop
		}
		if c.watches == nil {
			c.watches = map[*Watch]bool{}
		}
		c.watches[w] = true
		return nil
	})
	if err != nil {
		w.Stop() // it may have begun before its answer was lost
		return nil, err
	}
	return w, nil
}

// start finds out what the watch begins with.
func (w *Watch) start(from uint64, stream bool) error {
	h := &w.cluster.history
	switch {
	case from > h.Last():
		return store.TooLarge(from, h.Last())
	case from == 0 || stream:
		w.seen = h.Last()
		w.waiting = w.existing()
		if stream && w.bookmarks {
			end := w.bookmark()
			end.Object.(metav1.Object).SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
			w.waiting = append(w.waiting, end)
		}
	case from < h.Compacted:
		return apierrors.NewResourceExpired(fmt.Sprintf("too old resource version: %d (%d)", from, h.Compacted))
	default:
		w.seen = from
	}
	return nil
}

// existing returns an Added event for everything that is there.
func (w *Watch) existing() []watch.Event {
	var events []watch.Event
	for _, k := range object.Kinds {
		if w.kind != nil && w.kind != k {
			continue
		}
		namespace := w.namespace
		if !k.Namespaced {
			namespace = ""
		}
		for _, o := range w.cluster.state.List(k, namespace) {
			if store.Selects(k, w.labels, w.fields, o) {
				events = append(events, watch.Event{Type: watch.Added, Object: o})
			}
		}
	}
	return events
}

// bookmark returns an event that says only how far the watch has come.
func (w *Watch) bookmark() watch.Event {
	k := w.kind
	if k == nil {
		k = object.Namespaces
	}
	o := k.New()
	o.SetResourceVersion(store.FormatRevision(w.seen))
	return watch.Event{Type: watch.Bookmark, Object: o}
}

// Next returns the next event, and waits for it until ctx is done. The error
// is then ctx's, or [ErrWatchClosed]. A watch whose next change was
// compacted by [Cluster.Compact] ends with an Error event that holds a 410 Status, as
// on the wire.
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

// Pending takes the events that are there now and returns them, without waiting:
// [Watch.Next] does not return them again.
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
		delete(w.cluster.watches, w)
	}
}

// poll returns the next event, or a channel that is closed when it is worth
// asking again.
func (w *Watch) poll() (event watch.Event, more <-chan struct{}, closed bool) {
	w.cluster.mu.Lock()
	defer w.cluster.mu.Unlock()
	if w.left == 0 {
		w.close()
	}
	if w.closed {
		return watch.Event{}, nil, true
	}
	event, ok := w.take()
	if !ok {
		return watch.Event{}, w.cluster.history.Wait(), false
	}
	if w.left > 0 {
		w.left--
	}
	return event, nil, false
}

// take returns what is there.
func (w *Watch) take() (watch.Event, bool) {
	if len(w.waiting) > 0 {
		event := w.waiting[0]
		w.waiting = w.waiting[1:]
		event.Object = event.Object.DeepCopyObject()
		return event, true
	}
	h := &w.cluster.history
	if w.seen < h.Compacted {
		w.left = 1 // this is the last event
		status := apierrors.NewResourceExpired(fmt.Sprintf("too old resource version: %d (%d)", w.seen, h.Compacted)).Status()
		return watch.Event{Type: watch.Error, Object: &status}, true
	}
	for w.seen < h.Last() {
		ch := h.Changes[w.seen]
		w.seen++
		if event, ok := w.see(ch); ok {
			return event, true
		}
	}
	return watch.Event{}, false
}

// see returns the event that a change is to this watch: an object that starts
// or stops matching the selectors looks like one that comes or goes.
func (w *Watch) see(ch *store.Change) (watch.Event, bool) {
	if w.kind != nil && w.kind != ch.Kind || ch.Kind.Namespaced && w.namespace != "" && w.namespace != ch.Object.GetNamespace() {
		return watch.Event{}, false
	}
	now := !ch.Deleted && store.Selects(ch.Kind, w.labels, w.fields, ch.Object)
	before := ch.Old != nil && store.Selects(ch.Kind, w.labels, w.fields, ch.Old)
	event := watch.Event{}
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
	event.Object = ch.Object.DeepCopyObject()
	return event, true
}

// Compact forgets the history before now, as etcd does every few minutes: a
// watch or a list from an older resourceVersion gets 410 Gone, and so does a
// List that is continued.
func (c *Cluster) Compact() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.history.Compacted = c.history.Last()
	c.history.Wake()
}

// Bookmark sends a bookmark to every open watch that allows them and has seen
// everything. An API server does that about once a minute.
func (c *Cluster) Bookmark() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for w := range c.watches {
		if w.bookmarks && w.seen == c.history.Last() && len(w.waiting) == 0 {
			w.waiting = append(w.waiting, w.bookmark())
		}
	}
	c.history.Wake()
}

// DropWatches closes every open watch, as a restart of the API server does.
func (c *Cluster) DropWatches() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for w := range c.watches {
		w.close()
	}
}

// OpenWatches returns how many watches are open, for tests that look for leaks.
func (c *Cluster) OpenWatches() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.watches)
}
