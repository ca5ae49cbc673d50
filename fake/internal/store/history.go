package store

import (
	"strconv"

	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount/fake/internal/object"
)

// Change is one step from one state of the cluster to the next. Its revision is
// the resourceVersion of object.
type Change struct {
	Kind *object.Kind
	// Object is the object after the change; the last state if it was deleted.
	Object object.Object
	// Old is the object before the change, nil if it was created.
	Old     object.Object
	Deleted bool
}

func (ch *Change) EventType() watch.EventType {
	switch {
	case ch.Deleted:
		return watch.Deleted
	case ch.Old == nil:
		return watch.Added
	}
	return watch.Modified
}

// History is every change so far. The change with revision r is at r-1.
type History struct {
	Changes   []*Change
	Compacted uint64        // changes up to this revision can't be watched any more
	grown     chan struct{} // closed at the next wake; nil if nobody waits
}

func (h *History) Next() uint64 { return uint64(len(h.Changes)) + 1 }
func (h *History) Last() uint64 { return uint64(len(h.Changes)) }

func (h *History) Append(ch *Change) {
	h.Changes = append(h.Changes, ch)
	h.Wake()
}

// Wake makes those who wait look again.
func (h *History) Wake() {
	if h.grown != nil {
		close(h.grown)
		h.grown = nil
	}
}

// Wait returns a channel that is closed when there is something to look at.
func (h *History) Wait() <-chan struct{} {
	if h.grown == nil {
		h.grown = make(chan struct{})
	}
	return h.grown
}

// FormatRevision returns a revision as a resourceVersion.
func FormatRevision(n uint64) string { return strconv.FormatUint(n, 10) }
