package apiserver

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount/fake/internal/object"
)

// maxWatch bounds timeoutSeconds.
const maxWatch = 24 * time.Hour

// watch streams events until the client goes, the time is over or the watch is
// dropped.
func (c *call) watch(t target, opts metav1.ListOptions) error {
	ctx := c.ctx
	if s := opts.TimeoutSeconds; s != nil && *s > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(min(*s, int64(maxWatch/time.Second)))*time.Second)
		defer cancel()
	}
	out := &stream{call: c, kind: t.kind}
	w, err := c.cluster.Watch(ctx, t.resource, t.namespace, opts)
	if apierrors.IsResourceExpired(err) {
		// Clients expect that in the stream, because the API server finds it
		// out when it has begun.
		status := statusOf(err)
		c.beginStream()
		out.send(watch.Event{Type: watch.Error, Object: &status})
		return nil
	}
	if err != nil {
		return err
	}
	defer w.Stop()
	c.beginStream()
	for {
		event, err := w.Next(ctx)
		if err != nil || !out.send(event) {
			return nil
		}
	}
}

func (c *call) beginStream() {
	header := c.answer.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-cache, private")
	c.answer.WriteHeader(http.StatusOK)
	c.flush()
}

// flush sends what was written; a writer that can't has sent it already.
func (c *call) flush() { _ = http.NewResponseController(c.answer).Flush() }

// stream writes the events of a watch.
type stream struct {
	call  *call
	kind  *object.Kind
	begun bool // the columns of a table were sent
}

// send writes one event, and reports whether the client got it.
func (s *stream) send(event watch.Event) bool {
	if s.call.view.OfList { // which no event has; the API server ends the stream, too
		return false
	}
	data, err := json.Marshal(metav1.WatchEvent{Type: string(event.Type), Object: runtime.RawExtension{Object: s.form(event)}})
	if err != nil {
		return false
	}
	s.call.limitWrite()
	if _, err := s.call.answer.Write(append(data, '\n')); err != nil {
		return false
	}
	s.call.flush()
	return true
}

// form returns the object of event as the client wants it. It is a copy
// already.
func (s *stream) form(event watch.Event) runtime.Object {
	o, ok := event.Object.(object.Object)
	if !ok {
		if status, ok := event.Object.(*metav1.Status); ok {
			status.Kind, status.APIVersion = "Status", "v1"
		}
		return event.Object
	}
	if !s.call.view.Table {
		return s.call.view.Of(s.kind, o)
	}
	items := []object.Object{o}
	if event.Type == watch.Bookmark {
		items = nil
	}
	table := s.call.tableOf(s.kind, items, metav1.ListMeta{ResourceVersion: o.GetResourceVersion()})
	if s.begun {
		table.ColumnDefinitions = nil
	}
	s.begun = true
	return table
}
