package fake

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount/fake/internal/object"
)

// maxWatch bounds timeoutSeconds.
const maxWatch = 24 * time.Hour

// watch streams events until the client goes, the time is over or the watch is
// dropped.
func (c *apiCall) watch(t apiTarget, opts metav1.ListOptions) error {
	ctx := c.ctx
	if s := opts.TimeoutSeconds; s != nil && *s > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(min(*s, int64(maxWatch/time.Second)))*time.Second)
		defer cancel()
	}
	stream := &apiStream{call: c, kind: t.kind}
	w, err := c.openWatch(ctx, t, opts)
	if apierrors.IsResourceExpired(err) {
		// Clients expect that in the stream, because the API server finds it
		// out when it has begun.
		status := statusOf(err)
		c.beginStream()
		stream.send(watch.Event{Type: watch.Error, Object: &status})
		return nil
	}
	if err != nil {
		return err
	}
	defer w.Stop()
	c.beginStream()
	for {
		event, err := w.Next(ctx)
		if err != nil || !stream.send(event) {
			return nil
		}
	}
}

func (c *apiCall) openWatch(ctx context.Context, t apiTarget, opts metav1.ListOptions) (*Watch, error) {
	if t.kind == nil {
		return c.cluster.watchNothing(), nil
	}
	return c.cluster.Watch(ctx, t.resource, t.namespace, opts)
}

// watchNothing returns a watch of what never changes.
func (c *Cluster) watchNothing() *Watch {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := &Watch{
		cluster: c, kind: new(object.Kind), labels: labels.Everything(), fields: fields.Everything(),
		stopped: make(chan struct{}), left: -1, seen: c.history.Last(),
	}
	if c.watches == nil {
		c.watches = map[*Watch]bool{}
	}
	c.watches[w] = true
	return w
}

func (c *apiCall) beginStream() {
	header := c.answer.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-cache, private")
	c.answer.WriteHeader(http.StatusOK)
	c.flush()
}

// flush sends what was written; a writer that can't has sent it already.
func (c *apiCall) flush() { _ = http.NewResponseController(c.answer).Flush() }

// apiStream writes the events of a watch.
type apiStream struct {
	call  *apiCall
	kind  *object.Kind
	begun bool // the columns of a table were sent
}

// send writes one event, and reports whether the client got it.
func (s *apiStream) send(event watch.Event) bool {
	data, err := json.Marshal(metav1.WatchEvent{Type: string(event.Type), Object: runtime.RawExtension{Object: s.form(event)}})
	if err != nil {
		return false
	}
	if _, err := s.call.answer.Write(append(data, '\n')); err != nil {
		return false
	}
	s.call.flush()
	return true
}

// form returns the object of event as the client wants it. It is a copy
// already.
func (s *apiStream) form(event watch.Event) runtime.Object {
	o, ok := event.Object.(object.Object)
	if !ok {
		if status, ok := event.Object.(*metav1.Status); ok {
			status.Kind, status.APIVersion = "Status", "v1"
		}
		return event.Object
	}
	if !s.call.view.table {
		return s.call.view.form(s.kind, o)
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
