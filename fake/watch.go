package fake

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	cluster *Cluster
	stopped chan struct{} // closed by Stop

	// What follows is guarded by cluster.mu.
	cursor *store.Cursor
	left   int // events until the watch is dropped; negative for never
	closed bool
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
	w := &Watch{cluster: c, stopped: make(chan struct{}), left: -1}
	kind := object.KindNamed(resource)
	switch {
	case resource == object.Events.Resource:
		kind = object.Events
	case resource != "" && kind == nil:
		return nil, apierrors.NewBadRequest(fmt.Sprintf("fake: no resource %q", resource))
	}
	action := &Action{Op: fault.Op{Verb: "watch", Resource: resource, Namespace: namespace}}
	err := c.call(ctx, action, func() (err error) {
		if w.cursor, err = store.NewCursor(&c.state, &c.history, kind, namespace, opts); err != nil {
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
	event, ok := w.cursor.Next(&w.cluster.history)
	switch {
	case !ok:
		return watch.Event{}, w.cluster.history.Wait(), false
	case event.Type == watch.Error:
		w.left = 0 // it was the last event
	case w.left > 0:
		w.left--
	}
	return event, nil, false
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
		w.cursor.Bookmark(&c.history)
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
