package fake

import (
	"k8s.io/apimachinery/pkg/watch"
)

// change is one step from one state of the cluster to the next. Its revision is
// the resourceVersion of object.
type change struct {
	kind *kind
	// object is the object after the change; the last state if it was deleted.
	object object
	// old is the object before the change, nil if it was created.
	old     object
	deleted bool
}

func (ch *change) eventType() watch.EventType {
	switch {
	case ch.deleted:
		return watch.Deleted
	case ch.old == nil:
		return watch.Added
	}
	return watch.Modified
}

// history is every change so far. The change with revision r is at r-1.
type history struct {
	changes   []*change
	compacted uint64        // changes up to this revision can't be watched any more
	grown     chan struct{} // closed at the next wake; nil if nobody waits
}

func (h *history) next() uint64 { return uint64(len(h.changes)) + 1 }
func (h *history) last() uint64 { return uint64(len(h.changes)) }

func (h *history) append(ch *change) {
	h.changes = append(h.changes, ch)
	h.wake()
}

// wake makes those who wait look again.
func (h *history) wake() {
	if h.grown != nil {
		close(h.grown)
		h.grown = nil
	}
}

// wait returns a channel that is closed when there is something to look at.
func (h *history) wait() <-chan struct{} {
	if h.grown == nil {
		h.grown = make(chan struct{})
	}
	return h.grown
}
