// Package fairqueue is the queue of a controller: tenants and namespaces take turns.
package fairqueue

import (
	"sync"
	"time"

	"github.com/kubesa/serviceaccount/sacontroller"
)

// The back-off of a key that fails: it doubles from first to last, and all keys of a
// namespace together are tried again no faster than retryEvery, after the first
// retriesAtOnce (CST-22 as we differ: there it is all keys of a controller).
const (
	firstRetry    = 5 * time.Millisecond
	lastRetry     = 1000 * time.Second
	retryEvery    = time.Second / 10
	retriesAtOnce = 100
)

// A Queue holds the keys of one controller. Tenants take turns, and the namespaces of
// each do, so that no number of keys of one holds up a key of another; keys that are due
// by a change take turns with those that are due once more; and a tenant, and a
// namespace, has no more workers than it leaves free, so that calls that hang don't take
// all. Those of a tenant that are found to hang don't even count. A key is worked on once
// at a time. A Queue is safe for concurrent use.
type Queue struct {
	workers int // keys to work on at a time, besides those of tenants whose calls hang
	metrics Metrics
	// Hung, if not nil, is called when calls of a tenant begin to hang. It must not be
	// changed once the Queue is used.
	Hung func(tenant string)

	mu      sync.Mutex
	woken   sync.Cond // something may be due, or the queue is closed
	items   map[sacontroller.Key]*item
	tenants map[string]*tenantKeys
	left    map[string]chan struct{} // tenants that leave; closed when no key is worked on
	turns   [lanes][]*tenantKeys     // those with keys in that lane
	lane    lane                     // whose turn it is
	running int                      // that count
	closed  bool
}

// A lane is why a key is due.
type lane int

const (
	changed   lane = iota // by a change of an object
	again                 // it failed, or the controller put it off
	unchanged             // its object was listed
	lanes
)

// An item is a key that waits, is worked on, or is to be tried again.
type item struct {
	key       sacontroller.Key
	namespace *namespace
	since     time.Time // when it became due, or when work on it began
	queued    bool
	lane      lane // if queued
	running   bool
	counts    bool // in Queue.running
	hangs     bool // work on it has taken too long
	redo      bool // became due while it was worked on
	failures  int  // in a row
	timer     *time.Timer
	patience  *time.Timer // until work on it has taken too long
}

// Metrics are what a [Queue] counts and measures, in seconds. All are required.
type Metrics struct {
	Adds, Retries interface{ Inc() }
	Depth         interface {
		Inc()
		Dec()
		Set(float64)
	}
	Wait, Work interface{ Observe(float64) }
}

// New returns a Queue for so many workers. It starts nothing.
func New(workers int, metrics Metrics) *Queue {
	q := &Queue{workers: workers, metrics: metrics, items: map[sacontroller.Key]*item{}, tenants: map[string]*tenantKeys{}, left: map[string]chan struct{}{}}
	q.woken.L = &q.mu
	return q
}

// Add makes key due because of a change.
func (q *Queue) Add(key sacontroller.Key) { q.add(key, changed) }

// AddUnchanged makes key due although its object may not have changed, such as for the
// first list. Changes overtake it, but not for ever: they take turns.
func (q *Queue) AddUnchanged(key sacontroller.Key) { q.add(key, unchanged) }

func (q *Queue) add(key sacontroller.Key, l lane) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || q.left[key.Tenant] != nil {
		return
	}
	q.push(q.item(key), l)
}

// Get waits for a key that is due. It returns false once the queue is closed. The
// caller calls Done, Fail or Later in the end.
func (q *Queue) Get() (sacontroller.Key, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closed {
		if it := q.next(); it != nil {
			q.begin(it)
			return it.key, true
		}
		q.woken.Wait()
	}
	return sacontroller.Key{}, false
}

// Done ends the work on key.
func (q *Queue) Done(key sacontroller.Key) { q.end(key, func(it *item) { it.failures = 0 }) }

// Fail ends the work on key, which is due again after a pause, and returns how often
// it has failed in a row.
func (q *Queue) Fail(key sacontroller.Key) (failures int) {
	q.end(key, func(it *item) {
		it.failures++
		failures = it.failures
		q.metrics.Retries.Inc()
		q.schedule(it, max(backOff(failures), it.namespace.pace(time.Now())))
	})
	return failures
}

// Later ends the work on key, which is due again after pause.
func (q *Queue) Later(key sacontroller.Key, pause time.Duration) {
	q.end(key, func(it *item) {
		it.failures = 0
		q.schedule(it, pause)
	})
}

// Close drops all keys that wait.
func (q *Queue) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for _, it := range q.items {
		it.cancel()
		it.queued = false
	}
	q.metrics.Depth.Set(0)
	q.woken.Broadcast()
}

// backOff returns the pause after that many failures in a row.
func backOff(failures int) time.Duration {
	const doublings = 18 // 5 ms doubled more often is over 1000 s
	return min(firstRetry<<min(failures-1, doublings), lastRetry)
}

// item returns the item of key, a new one if there is none. The mutex must be held,
// here and below.
func (q *Queue) item(key sacontroller.Key) *item {
	if it := q.items[key]; it != nil {
		return it
	}
	name := key.Namespace
	if key.Kind == "Namespace" {
		name = key.Name
	}
	t := q.tenants[key.Tenant]
	if t == nil {
		t = &tenantKeys{name: key.Tenant, namespaces: map[string]*namespace{}}
		q.tenants[key.Tenant] = t
	}
	n := t.namespaces[name]
	if n == nil {
		n = &namespace{tenant: t, name: name}
		t.namespaces[name] = n
	}
	n.items++
	it := &item{key: key, namespace: n}
	q.items[key] = it
	return it
}

// push makes it due.
func (q *Queue) push(it *item, l lane) {
	if it.queued && l == changed && it.lane == unchanged { // where it stays, for next to skip
		it.lane = l
		q.append(it)
	}
	if it.queued || q.closed {
		return
	}
	if it.running {
		it.redo = true
		return
	}
	it.queued, it.lane, it.since = true, l, time.Now()
	q.append(it)
	q.metrics.Adds.Inc()
	q.metrics.Depth.Inc()
}

// append lines it up in its lane.
func (q *Queue) append(it *item) {
	l := it.lane
	if it.namespace.push(it, l) {
		q.turns[l] = append(q.turns[l], it.namespace.tenant)
	}
	q.woken.Signal()
}

// next takes the item whose turn it is out of its lane, or returns nil.
func (q *Queue) next() *item {
	for i := range lanes {
		l := (q.lane + i) % lanes
		for at := 0; at < len(q.turns[l]); {
			t := q.turns[l][at]
			it := t.take(l, q.room(t))
			if it == nil && len(t.turns[l]) > 0 {
				at++
				continue
			}
			q.turns[l] = without(q.turns[l], at)
			if it == nil {
				continue
			}
			if len(t.turns[l]) > 0 {
				q.turns[l] = append(q.turns[l], t)
			}
			q.lane = (l + 1) % lanes
			return it
		}
	}
	return nil
}

// room returns more than how many keys of a namespace of t may be worked on when another
// one begins: less than one is none. One that leaves others free, but not for long, is taken for one that hangs.
func (q *Queue) room(t *tenantKeys) int {
	free := q.workers - q.running
	switch {
	case t.name == "":
		return free
	case t.hanging():
		return hungTenantWorkers - t.running
	}
	return free - t.running
}

// begin gives it to a worker. Whatever it was to be tried again for is tried now.
func (q *Queue) begin(it *item) {
	it.cancel()
	now := time.Now()
	q.metrics.Depth.Dec()
	q.metrics.Wait.Observe(now.Sub(it.since).Seconds())
	it.queued, it.running, it.since = false, true, now
	n := it.namespace
	it.counts = !n.tenant.hanging()
	n.running++
	n.tenant.running++
	if it.counts {
		q.running++
	}
	if n.tenant.name != "" {
		q.watch(it)
	}
}

// watch takes work on it out of the count once it has taken too long: from then on, its
// tenant has workers of its own, and no others.
func (q *Queue) watch(it *item) {
	var patience *time.Timer
	patience = time.AfterFunc(patienceWithTenants, func() {
		q.mu.Lock()
		if it.patience != patience { // the work has ended
			q.mu.Unlock()
			return
		}
		t := it.namespace.tenant
		first := !t.hanging()
		it.patience, it.hangs = nil, true
		t.hung++
		t.hungAt = time.Now()
		if it.counts {
			it.counts = false
			q.running--
		}
		q.woken.Broadcast()
		q.mu.Unlock()
		if first && q.Hung != nil {
			q.Hung(t.name)
		}
	})
	it.patience = patience
}

// end takes key back from its worker; then says what comes next.
func (q *Queue) end(key sacontroller.Key, then func(*item)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	it := q.items[key]
	q.metrics.Work.Observe(time.Since(it.since).Seconds())
	t := it.namespace.tenant
	if it.patience != nil {
		it.patience.Stop()
		it.patience = nil
	}
	if it.counts {
		q.running--
	}
	if it.hangs {
		t.hung--
	}
	it.running, it.hangs = false, false
	it.namespace.running--
	t.running--
	if left := q.left[t.name]; left != nil {
		if t.running == 0 {
			close(left)
		}
	} else {
		then(it)
		if it.redo {
			q.push(it, changed)
		}
	}
	it.redo = false
	q.forget(it)
	q.woken.Broadcast() // the namespace may have another worker now
}

// Leave drops the keys of tenant, now and until [Queue.Forgive]. It returns a channel
// that is closed once none of them is worked on.
func (q *Queue) Leave(tenant string) <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	left := make(chan struct{})
	q.left[tenant] = left
	t := q.tenants[tenant]
	if t == nil {
		close(left)
		return left
	}
	for _, it := range q.items {
		if it.key.Tenant != tenant {
			continue
		}
		it.cancel()
		if it.queued {
			it.queued = false // for next to skip
			q.metrics.Depth.Dec()
		}
		q.forget(it)
	}
	if t.running == 0 {
		close(left)
	}
	return left
}

// Forgive lets keys of tenant, which has left, come again.
func (q *Queue) Forgive(tenant string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.left, tenant)
}

// schedule makes it due after pause.
func (q *Queue) schedule(it *item, pause time.Duration) {
	if q.closed {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(pause, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if it.timer == timer {
			q.push(it, again)
		}
	})
	it.timer = timer
}

func (it *item) cancel() {
	if it.timer != nil {
		it.timer.Stop()
		it.timer = nil
	}
}

// forget drops it if there is nothing to know of it, its namespace with the last item,
// and its tenant with the last namespace.
func (q *Queue) forget(it *item) {
	if it.queued || it.running || it.timer != nil {
		return
	}
	delete(q.items, it.key)
	n := it.namespace
	if n.items--; n.items > 0 {
		return
	}
	delete(n.tenant.namespaces, n.name)
	if len(n.tenant.namespaces) == 0 {
		delete(q.tenants, n.tenant.name)
	}
}

// Working returns for how long work has been going on: all of it together, and the
// oldest.
func (q *Queue) Working() (all, longest time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, it := range q.items { // those that wait too
		if it.running {
			since := time.Since(it.since)
			all += since
			longest = max(longest, since)
		}
	}
	return all, longest
}

// Len returns how many keys are due and wait for a worker.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	due := 0
	for _, it := range q.items {
		if it.queued {
			due++
		}
	}
	return due
}

// Failures returns how often key has failed in a row.
func (q *Queue) Failures(key sacontroller.Key) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if it := q.items[key]; it != nil {
		return it.failures
	}
	return 0
}

// Hanging reports whether work on keys of tenant hangs, or did a moment ago.
func (q *Queue) Hanging(tenant string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	t := q.tenants[tenant]
	return t != nil && t.hanging()
}
