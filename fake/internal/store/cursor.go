package store

import (
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount/fake/internal/object"
)

// A Cursor is how far a watch has come in a History.
type Cursor struct {
	kind      *object.Kind // nil means all
	namespace string
	labels    labels.Selector
	fields    fields.Selector
	bookmarks bool

	seen    uint64        // the revision of the last change that was looked at
	waiting []watch.Event // what comes before the next change
}

// NewCursor returns a Cursor for what opts selects of kind, or of all kinds if that is
// nil, in namespace. It starts after the revision that opts says, or with everything that
// is there. The error is a status.
func NewCursor(state *Store, h *History, kind *object.Kind, namespace string, opts metav1.ListOptions) (*Cursor, error) {
	c := &Cursor{kind: kind, namespace: namespace, bookmarks: opts.AllowWatchBookmarks, labels: labels.Everything(), fields: fields.Everything()}
	var err error
	if kind != nil && kind != object.Events {
		if c.labels, c.fields, err = ParseSelectors(kind, opts); err != nil {
			return nil, err
		}
	}
	from, err := ParseRevision(opts.ResourceVersion)
	if err != nil {
		return nil, err
	}
	stream := opts.SendInitialEvents != nil && *opts.SendInitialEvents
	switch {
	case from > h.Last():
		return nil, TooLarge(from, h.Last())
	case from == 0 && opts.SendInitialEvents != nil && !stream:
		c.seen = h.Last()
	case from == 0 || stream:
		c.seen = h.Last()
		c.waiting = c.existing(state)
		if stream && c.bookmarks {
			end := c.bookmark()
			end.Object.(metav1.Object).SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
			c.waiting = append(c.waiting, end)
		}
	case from < h.Compacted:
		return nil, tooOld(from, h)
	default:
		c.seen = from
	}
	return c, nil
}

func tooOld(revision uint64, h *History) *apierrors.StatusError {
	return apierrors.NewResourceExpired(fmt.Sprintf("too old resource version: %d (%d)", revision, h.Compacted))
}

// existing returns an Added event for everything that is there.
func (c *Cursor) existing(state *Store) []watch.Event {
	var events []watch.Event
	for _, k := range object.Kinds {
		if c.kind != nil && c.kind != k {
			continue
		}
		namespace := c.namespace
		if !k.Namespaced {
			namespace = ""
		}
		for _, o := range state.List(k, namespace) {
			if Selects(k, c.labels, c.fields, o) {
				events = append(events, watch.Event{Type: watch.Added, Object: o})
			}
		}
	}
	return events
}

// bookmark returns an event that says only how far the watch has come.
func (c *Cursor) bookmark() watch.Event {
	k := c.kind
	if k == nil {
		k = object.Namespaces
	}
	o := k.New()
	o.SetResourceVersion(FormatRevision(c.seen))
	return watch.Event{Type: watch.Bookmark, Object: o}
}

// Bookmark adds a bookmark, if the watch allows them and has seen everything.
func (c *Cursor) Bookmark(h *History) {
	if c.bookmarks && c.seen == h.Last() && len(c.waiting) == 0 {
		c.waiting = append(c.waiting, c.bookmark())
	}
}

// Next returns the next event, if there is one. Its object belongs to the caller. If what
// comes next was compacted, it is an Error, the last event.
func (c *Cursor) Next(h *History) (event watch.Event, ok bool) {
	if len(c.waiting) > 0 {
		event := c.waiting[0]
		c.waiting = c.waiting[1:]
		event.Object = event.Object.DeepCopyObject()
		return event, true
	}
	if c.seen < h.Compacted {
		status := tooOld(c.seen, h).Status()
		return watch.Event{Type: watch.Error, Object: &status}, true
	}
	for c.seen < h.Last() {
		ch := h.Changes[c.seen]
		c.seen++
		if event, ok := c.see(ch); ok {
			return event, true
		}
	}
	return watch.Event{}, false
}

// see returns the event that a change is to this watch: an object that starts
// or stops matching the selectors looks like one that comes or goes.
func (c *Cursor) see(ch *Change) (watch.Event, bool) {
	if c.kind != nil && c.kind != ch.Kind || ch.Kind.Namespaced && c.namespace != "" && c.namespace != ch.Object.GetNamespace() {
		return watch.Event{}, false
	}
	now := !ch.Deleted && Selects(ch.Kind, c.labels, c.fields, ch.Object)
	before := ch.Old != nil && Selects(ch.Kind, c.labels, c.fields, ch.Old)
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
