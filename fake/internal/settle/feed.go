package settle

import (
	"math/rand/v2"

	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount/fake/internal/object"
	"github.com/kubesa/serviceaccount/fake/internal/store"
	"github.com/kubesa/serviceaccount/sacontroller"
)

// news returns what the controller has not been told yet. The objects are
// copies: a controller that changes one fools only itself.
func (d *driver) news(s *Settler, w World) (events []sacontroller.Change) {
	w.Look(func(state *store.Store, history *store.History) {
		if !d.started {
			d.started, d.resync = true, false
			d.seen = history.Last()
			events = everything(state)
			return
		}
		news, seen := s.disturber.disturb(history.Changes, d.seen)
		d.seen = seen
		events = make([]sacontroller.Change, 0, len(news))
		for _, ch := range news {
			events = append(events, eventOf(ch))
		}
		if d.resync {
			d.resync = false
			events = append(events, everything(state)...)
		}
	})
	return events
}

// everything returns an Added event for every object.
func everything(state *store.Store) []sacontroller.Change {
	var events []sacontroller.Change
	for _, k := range object.Kinds {
		for _, o := range state.List(k, "") {
			events = append(events, sacontroller.Change{Type: watch.Added, Object: object.CopyOf(o)})
		}
	}
	return events
}

func eventOf(ch *store.Change) sacontroller.Change {
	event := sacontroller.Change{Type: ch.EventType(), Object: object.CopyOf(ch.Object)}
	if event.Type == watch.Modified {
		event.Old = object.CopyOf(ch.Old)
	}
	return event
}

// A disturber delivers changes as informers do on a bad day. A nil disturber
// delivers them as they are.
type disturber struct{ random *rand.Rand }

// disturb returns what is told of the changes after revision seen, and up to
// which revision that is.
func (d *disturber) disturb(changes []*store.Change, seen uint64) ([]*store.Change, uint64) {
	last := uint64(len(changes))
	news := changes[seen:]
	if d == nil || len(news) == 0 {
		return news, last
	}
	switch d.random.IntN(6) {
	case 0:
		n := d.random.IntN(len(news) + 1)
		return news[:n], seen + uint64(n)
	case 1:
		return relist(news), last
	case 2:
		return d.repeat(news), last
	case 3:
		return d.reorder(news), last
	}
	return news, last
}

// relist returns the net effect of changes on each object, in the order of the
// first change.
func relist(changes []*store.Change) []*store.Change {
	var order []store.Ref
	net := map[store.Ref]*store.Change{}
	for _, ch := range changes {
		r := store.RefOf(ch.Kind, ch.Object)
		sum := net[r]
		if sum == nil {
			order = append(order, r)
			sum = &store.Change{Kind: ch.Kind, Old: ch.Old}
			net[r] = sum
		}
		sum.Object, sum.Deleted = ch.Object, ch.Deleted
	}
	var sums []*store.Change
	for _, r := range order {
		sum := net[r]
		if sum.Deleted && sum.Old == nil { // it came and went unseen
			continue
		}
		if sum.Deleted {
			sum.Object = sum.Old
		}
		sums = append(sums, sum)
	}
	return sums
}

func (d *disturber) repeat(changes []*store.Change) []*store.Change {
	var told []*store.Change
	for _, ch := range changes {
		told = append(told, ch)
		if d.random.IntN(3) == 0 {
			told = append(told, ch)
		}
	}
	return told
}

// reorder mixes the changes of different objects, and keeps those of each in
// order.
func (d *disturber) reorder(changes []*store.Change) []*store.Change {
	var objects []store.Ref
	queues := map[store.Ref][]*store.Change{}
	for _, ch := range changes {
		r := store.RefOf(ch.Kind, ch.Object)
		if queues[r] == nil {
			objects = append(objects, r)
		}
		queues[r] = append(queues[r], ch)
	}
	told := make([]*store.Change, 0, len(changes))
	for len(objects) > 0 {
		i := d.random.IntN(len(objects))
		r := objects[i]
		told = append(told, queues[r][0])
		if queues[r] = queues[r][1:]; len(queues[r]) == 0 {
			objects = append(objects[:i], objects[i+1:]...)
		}
	}
	return told
}
