package settle

import (
	"cmp"
	"context"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/kubesa/serviceaccount/fake/internal/store"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/tenant"
)

// A driver remembers how far one controller has come.
type driver struct {
	controller sacontroller.Controller
	started    bool
	resync     bool   // it asked to be told of everything again
	seen       uint64 // the revision of the last change that it was told
	queue      []sacontroller.Key
	queued     map[sacontroller.Key]bool
	attempts   map[sacontroller.Key]int   // failures in a row
	failed     []Failed                   // given up on in this Settle
	terminal   map[sacontroller.Key]error // not retried until an object changes
	waiting    []wait
}

// A wait is a key with a RequeueAfter.
type wait struct {
	key      sacontroller.Key
	at       time.Time
	revision uint64 // when it was reconciled
}

// same compares controllers by identity, or by name if their type has none.
func same(a, b sacontroller.Controller) bool {
	if ta, tb := reflect.TypeOf(a), reflect.TypeOf(b); ta != tb {
		return false
	} else if ta.Comparable() {
		return a == b
	}
	return a.Name() == b.Name()
}

// retry puts back what the last Settle gave up on, or had no time for.
func (d *driver) retry() {
	for _, f := range d.unsettled() {
		d.add(f.Key)
	}
	d.failed = nil
	clear(d.terminal)
	clear(d.attempts)
}

// unsettled returns the keys that didn't succeed: those given up on, then those
// that can't succeed until an object changes.
func (d *driver) unsettled() []Failed {
	keys := slices.SortedFunc(maps.Keys(d.terminal), func(a, b sacontroller.Key) int {
		return cmp.Or(cmp.Compare(a.String(), b.String()), cmp.Compare(a.UID, b.UID),
			cmp.Compare(a.ServiceAccountName, b.ServiceAccountName), cmp.Compare(a.ServiceAccountUID, b.ServiceAccountUID))
	})
	all := slices.Clone(d.failed)
	for _, key := range keys {
		all = append(all, Failed{d.controller.Name(), key, d.terminal[key]})
	}
	return all
}

func (d *driver) add(key sacontroller.Key) {
	if !d.queued[key] {
		d.queued[key] = true
		d.queue = append(d.queue, key)
	}
}

// hear tells the controller what changed since the last time, in the tenant of ctx.
func (d *driver) hear(ctx context.Context, s *Settler, w World) {
	for _, event := range d.news(s, w) {
		event.Tenant = tenant.Of(ctx)
		for _, key := range d.controller.Due(event) {
			d.add(key)
		}
	}
}

// busy reports whether there is something to hear or to do.
func (d *driver) busy(w World) bool {
	if r, ok := d.controller.(sacontroller.Resyncer); ok {
		select {
		case <-r.Resync():
			d.resync = true
		default:
		}
	}
	return !d.started || d.resync || len(d.queue) > 0 || d.seen < last(w)
}

// step reconciles one key, and reports whether that succeeded.
func (d *driver) step(ctx context.Context, s *Settler, w World) bool {
	i := s.shuffler.pick(len(d.queue))
	key := d.queue[i]
	if i == 0 { // the usual case; to move the others would make long queues quadratic
		d.queue[0], d.queue = sacontroller.Key{}, d.queue[1:]
	} else {
		d.queue = slices.Delete(d.queue, i, i+1)
	}
	delete(d.queued, key)
	s.mu.Lock()
	d.waiting = slices.DeleteFunc(d.waiting, func(w wait) bool { return w.key == key })
	s.mu.Unlock()

	delete(d.terminal, key)
	result, err := d.controller.Reconcile(w.WithActor(ctx, d.controller.Name()), key)
	if sacontroller.IsTerminal(err) {
		d.terminal[key] = err
		delete(d.attempts, key)
		return true
	}
	switch {
	case err != nil:
		d.attempts[key]++
		if d.attempts[key]%patience == 0 {
			w.CatchUp()
		}
		if d.attempts[key] < MaxFailures || ctx.Err() != nil {
			d.add(key)
			return false
		}
		delete(d.attempts, key)
		d.failed = append(d.failed, Failed{d.controller.Name(), key, err})
		return false
	case result.RequeueAfter == sacontroller.Yield:
		d.add(key)
	case result.RequeueAfter > 0:
		next := wait{key: key, at: w.Now().Add(result.RequeueAfter), revision: last(w)}
		s.mu.Lock()
		d.waiting = append(d.waiting, next)
		s.mu.Unlock()
	}
	delete(d.attempts, key)
	return true
}

// wake makes due what waits, if there is a reason to look again: something
// changed since, a cache caught up, or the time has come.
func (d *driver) wake(s *Settler, w World, caughtUp bool) bool {
	last, now := last(w), w.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	woken := false
	d.waiting = slices.DeleteFunc(d.waiting, func(w wait) bool {
		due := caughtUp || w.revision < last || !now.Before(w.at)
		if due {
			d.add(w.key)
			woken = true
		}
		return due
	})
	return woken
}

// last returns the revision of the last change.
func last(w World) (revision uint64) {
	w.Look(func(_ *store.Store, h *store.History) { revision = h.Last() })
	return revision
}
