package server

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

// ErrWatchClosed is returned by [Watch.Next] when the watch was stopped or dropped.
var ErrWatchClosed = errors.New("fake: watch closed")

// A Watch delivers the changes of a [Server] one by one, without a goroutine. It is for
// one goroutine, but for Stop.
type Watch struct {
	server  *Server
	stopped chan struct{} // closed by Stop

	// What follows is guarded by server.mu.
	cursor *store.Cursor
	left   int // events until the watch is dropped; negative for never
	closed bool
}

// Watch returns a watch of resource, or of all if it is empty, in namespace, or in all if
// it is empty. Its events belong to the caller.
func (s *Server) Watch(ctx context.Context, resource, namespace string, opts metav1.ListOptions) (*Watch, error) {
	w := &Watch{server: s, stopped: make(chan struct{}), left: -1}
	kind := object.KindNamed(resource)
	switch {
	case resource == object.Events.Resource:
		kind = object.Events
	case resource != "" && kind == nil:
		return nil, apierrors.NewBadRequest(fmt.Sprintf("fake: no resource %q", resource))
	}
	c := &call{Action: Action{Op: fault.Op{Verb: "watch", Resource: resource, Namespace: namespace}}}
	err := s.run(ctx, c, func() (err error) {
		if w.cursor, err = store.NewCursor(&s.state, &s.history, kind, namespace, opts); err != nil {
			return err
		}
		if c.drop != nil {
			w.left = *c.drop
		}
		if s.watches == nil {
			s.watches = map[*Watch]bool{}
		}
		s.watches[w] = true
		return nil
	})
	if err != nil {
		w.Stop() // it may have begun before its answer was lost
		return nil, err
	}
	return w, nil
}

// Next returns the next event, and waits for it until ctx is done. The error is then
// ctx's, or [ErrWatchClosed].
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

// Pending returns the events that are there now, and Next doesn't return them again.
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
	w.server.mu.Lock()
	defer w.server.mu.Unlock()
	w.close()
}

func (w *Watch) close() {
	if !w.closed {
		w.closed = true
		close(w.stopped)
		delete(w.server.watches, w)
	}
}

// poll returns the next event, or a channel that is closed when it is worth
// asking again.
func (w *Watch) poll() (event watch.Event, more <-chan struct{}, closed bool) {
	w.server.mu.Lock()
	defer w.server.mu.Unlock()
	if w.left == 0 {
		w.close()
	}
	if w.closed {
		return watch.Event{}, nil, true
	}
	event, ok := w.cursor.Next(&w.server.history)
	switch {
	case !ok:
		return watch.Event{}, w.server.history.Wait(), false
	case event.Type == watch.Error:
		w.left = 0 // it was the last event
	case w.left > 0:
		w.left--
	}
	return event, nil, false
}

// Compact forgets the history before now.
func (s *Server) Compact() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.history.Compacted = s.history.Last()
	s.history.Wake()
}

// Bookmark sends a bookmark to every open watch that allows them and has seen everything.
func (s *Server) Bookmark() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.watches {
		w.cursor.Bookmark(&s.history)
	}
	s.history.Wake()
}

// DropWatches closes every open watch.
func (s *Server) DropWatches() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.watches {
		w.close()
	}
}

// OpenWatches returns how many watches are open.
func (s *Server) OpenWatches() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.watches)
}
