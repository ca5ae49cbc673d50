package fake

import (
	"cmp"
	"context"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/tenant"
)

// driver remembers how far one controller has come.
type driver struct {
	controller sacontroller.Controller
	started    bool
	resync     bool   // it asked to be told of everything again
	seen       uint64 // the revision of the last change that it was told
	queue      []sacontroller.Key
	queued     map[sacontroller.Key]bool
	attempts   map[sacontroller.Key]int   // failures in a row
	failed     []FailedKey                // given up on in this Settle
	terminal   map[sacontroller.Key]error // not retried until an object changes
	waiting    []wait
}

// Wait is a key with a RequeueAfter.
type wait struct {
	key      sacontroller.Key
	at       time.Time
	revision uint64 // when it was reconciled
}

// driverOf returns the driver of controller, which is new if the controller
// was not driven before.
func (c *Cluster) driverOf(controller sacontroller.Controller) *driver {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.drivers {
		if same(d.controller, controller) {
			return d
		}
	}
	d := &driver{
		controller: controller,
		queued:     map[sacontroller.Key]bool{},
		attempts:   map[sacontroller.Key]int{},
		terminal:   map[sacontroller.Key]error{},
	}
	c.drivers = append(c.drivers, d)
	return d
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

// Forget makes the next [Cluster.Settle] start controller afresh, as after a
// restart of its process: with an Added event for every object that exists, and
// without memory of failures and of deletions that it has not received.
func (c *Cluster) Forget(controller sacontroller.Controller) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drivers = slices.DeleteFunc(c.drivers, func(d *driver) bool { return same(d.controller, controller) })
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
func (d *driver) unsettled() []FailedKey {
	keys := slices.SortedFunc(maps.Keys(d.terminal), func(a, b sacontroller.Key) int {
		return cmp.Or(cmp.Compare(a.String(), b.String()), cmp.Compare(a.UID, b.UID),
			cmp.Compare(a.ServiceAccountName, b.ServiceAccountName), cmp.Compare(a.ServiceAccountUID, b.ServiceAccountUID))
	})
	all := slices.Clone(d.failed)
	for _, key := range keys {
		all = append(all, FailedKey{d.controller.Name(), key, d.terminal[key]})
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
func (d *driver) hear(ctx context.Context, c *Cluster) {
	for _, event := range d.news(c) {
		event.Tenant = tenant.Of(ctx)
		for _, key := range d.controller.Due(event) {
			d.add(key)
		}
	}
}

// busy reports whether there is something to hear or to do.
func (d *driver) busy(c *Cluster) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r, ok := d.controller.(sacontroller.Resyncer); ok {
		select {
		case <-r.Resync():
			d.resync = true
		default:
		}
	}
	return !d.started || d.resync || len(d.queue) > 0 || d.seen < c.history.Last()
}

// step reconciles one key, and reports whether that succeeded.
func (d *driver) step(ctx context.Context, c *Cluster) bool {
	i := c.shuffler.pick(len(d.queue))
	key := d.queue[i]
	if i == 0 { // the usual case; to move the others would make long queues quadratic
		d.queue[0], d.queue = sacontroller.Key{}, d.queue[1:]
	} else {
		d.queue = slices.Delete(d.queue, i, i+1)
	}
	delete(d.queued, key)
	d.waiting = slices.DeleteFunc(d.waiting, func(w wait) bool { return w.key == key })

	delete(d.terminal, key)
	result, err := d.controller.Reconcile(WithActor(ctx, d.controller.Name()), key)
	if isTerminal(err) {
		d.terminal[key] = err
		delete(d.attempts, key)
		return true
	}
	switch {
	case err != nil:
		d.attempts[key]++
		if d.attempts[key]%patience == 0 {
			c.catchUp()
		}
		if d.attempts[key] < maxFailures || ctx.Err() != nil {
			d.add(key)
			return false
		}
		delete(d.attempts, key)
		d.failed = append(d.failed, FailedKey{d.controller.Name(), key, err})
		return false
	case result.RequeueAfter == sacontroller.Yield:
		d.add(key)
	case result.RequeueAfter > 0:
		c.mu.Lock()
		d.waiting = append(d.waiting, wait{key: key, at: c.now().Add(result.RequeueAfter), revision: c.history.Last()})
		c.mu.Unlock()
	}
	delete(d.attempts, key)
	return true
}

// Wake makes due what waits, if there is a reason to look again: something
// changed since, a cache caught up, or the time has come.
func (d *driver) wake(c *Cluster, caughtUp bool) bool {
	c.mu.Lock()
	last, now := c.history.Last(), c.now().Time
	c.mu.Unlock()
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
