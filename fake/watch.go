package fake

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount/fake/internal/server"
)

// ErrWatchClosed is returned by [Watch.Next] when the watch was stopped or
// dropped: watch again from the last resourceVersion that was seen.
var ErrWatchClosed = server.ErrWatchClosed

// A Watch delivers the changes of a [Cluster] one by one, without a goroutine
// and without losing any. It is for one goroutine, but for Stop,
// which is safe for concurrent use.
type Watch struct{ watch *server.Watch }

// Watch returns a watch of resource in namespace, or in all if it is empty. An
// empty resource means all of them. The resource "events" has no objects. The watch
// starts after opts.ResourceVersion; if that is empty or "0", it starts with an Added
// event for every object that exists. opts.SendInitialEvents asks for those, too, and
// for a bookmark at their end (KEP-3157).
//
// The error is 410 Gone (apierrors.IsResourceExpired) if the changes since then
// were compacted, see [Cluster.Compact]: list again, and watch from there.
func (c *Cluster) Watch(ctx context.Context, resource, namespace string, opts metav1.ListOptions) (*Watch, error) {
	w, err := c.api().Watch(ctx, resource, namespace, opts)
	if err != nil {
		return nil, err
	}
	return &Watch{w}, nil
}

// Next returns the next event, and waits for it until ctx is done. The error
// is then ctx's, or [ErrWatchClosed]. A watch whose next change was
// compacted by [Cluster.Compact] ends with an Error event that holds a 410 Status, as
// on the wire.
func (w *Watch) Next(ctx context.Context) (watch.Event, error) { return w.watch.Next(ctx) }

// Pending takes the events that are there now and returns them, without waiting:
// [Watch.Next] does not return them again.
func (w *Watch) Pending() []watch.Event { return w.watch.Pending() }

// Interface returns w in the shape that informers take. It starts a goroutine, which
// ends when ctx is done or the result is stopped, and takes the events from then on:
// don't call Next or Pending any more.
func (w *Watch) Interface(ctx context.Context) watch.Interface { return w.watch.Interface(ctx) }

// Stop ends the watch.
func (w *Watch) Stop() { w.watch.Stop() }

// Compact forgets the history before now, as etcd does every few minutes: a
// watch or a list from an older resourceVersion gets 410 Gone, and so does a
// List that is continued.
func (c *Cluster) Compact() { c.api().Compact() }

// Bookmark sends a bookmark to every open watch that allows them and has seen
// everything. An API server does that about once a minute.
func (c *Cluster) Bookmark() { c.api().Bookmark() }

// DropWatches closes every open watch, as a restart of the API server does.
func (c *Cluster) DropWatches() { c.api().DropWatches() }

// OpenWatches returns how many watches are open, for tests that look for leaks.
func (c *Cluster) OpenWatches() int { return c.api().OpenWatches() }
