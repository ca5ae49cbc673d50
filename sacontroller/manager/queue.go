package manager

import (
	"slices"
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

// A queue holds the keys of one controller. Tenants take turns, and the namespaces of
// each do, so that no number of keys of one holds up a key of another; keys that are due
// by a change take turns with those that are due once more; and a tenant, and a
// namespace, has no more workers than it leaves free, so that calls that hang don't take
// all. Those of a tenant that are found to hang don't even count. A key is worked on once
// at a time. A queue is safe for concurrent use.
type queue struct {
	workers int // keys to work on at a time, besides those of tenants whose calls hang
	metrics queueMetrics
	hung    func(tenant string) // if not nil, is called when calls of one begin to hang

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
	changed lane = iota // by a change of an object
	again               // it failed, or the controller put it off
	lanes
)

// An item is a key that waits, is worked on, or is to be tried again.
type item struct {
	key       sacontroller.Key
	namespace *namespace
	since     time.Time // when it became due, or when work on it began
	queued    bool
	running   bool
	counts    bool // in queue.running
	hangs     bool // work on it has taken too long
	redo      bool // became due while it was worked on
	failures  int  // in a row
	timer     *time.Timer
	patience  *time.Timer // until work on it has taken too long
}

func newQueue(workers int, metrics queueMetrics) *queue {
	q := &queue{workers: workers, metrics: metrics, items: map[sacontroller.Key]*item{}, tenants: map[string]*tenantKeys{}, left: map[string]chan struct{}{}}
	q.woken.L = &q.mu
	return q
}

// add makes key due because of a change.
func (q *queue) add(key sacontroller.Key) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || q.left[key.Tenant] != nil {
		return
	}
	q.push(q.item(key), changed)
}

// get waits for a key that is due. It returns false once the queue is closed. The
// caller calls done, fail or later in the end.
func (q *queue) get() (sacontroller.Key, bool) {
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

// done ends the work on key.
func (q *queue) done(key sacontroller.Key) { q.end(key, func(it *item) { it.failures = 0 }) }

// fail ends the work on key, which is due again after a pause, and returns how often
// it has failed in a row.
func (q *queue) fail(key sacontroller.Key) (failures int) {
	q.end(key, func(it *item) {
		it.failures++
		failures = it.failures
		q.metrics.retries.Inc()
		q.schedule(it, max(backOff(failures), it.namespace.pace(time.Now())))
	})
	return failures
}

// later ends the work on key, which is due again after pause.
func (q *queue) later(key sacontroller.Key, pause time.Duration) {
	q.end(key, func(it *item) {
		it.failures = 0
		q.schedule(it, pause)
	})
}

// close drops all keys that wait.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for _, it := range q.items {
		it.cancel()
	}
	q.metrics.depth.Set(0)
	q.woken.Broadcast()
}

// backOff returns the pause after that many failures in a row.
func backOff(failures int) time.Duration {
	const doublings = 18 // 5 ms doubled more often is over 1000 s
	return min(firstRetry<<min(failures-1, doublings), lastRetry)
}

// item returns the item of key, a new one if there is none. The mutex must be held,
// here and below.
func (q *queue) item(key sacontroller.Key) *item {
	if it := q.items[key]; it != nil {
		return it
	}
	name := key.Namespace
	if name == "" && key.Kind == "Namespace" {
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
func (q *queue) push(it *item, l lane) {
	if it.queued || q.closed {
		return
	}
	if it.running {
		it.redo = true
		return
	}
	it.queued, it.since = true, time.Now()
	if it.namespace.push(it, l) {
		q.turns[l] = append(q.turns[l], it.namespace.tenant)
	}
	q.metrics.adds.Inc()
	q.metrics.depth.Inc()
	q.woken.Signal()
}

// next takes the item whose turn it is out of its lane, or returns nil.
func (q *queue) next() *item {
	for i := range lanes {
		l := (q.lane + i) % lanes
		for at, t := range q.turns[l] {
			it := t.take(l, q.room(t))
			if it == nil {
				continue
			}
			q.turns[l] = without(q.turns[l], at)
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
// one begins. One that leaves others free, but not for long, is taken for one that hangs.
func (q *queue) room(t *tenantKeys) int {
	free := q.workers - q.running
	switch {
	case t.name == "":
		return free
	case t.hanging():
		return hungTenantWorkers - t.running
	case t.running >= free:
		return 0
	}
	return free - t.running
}

// begin gives it to a worker. Whatever it was to be tried again for is tried now.
func (q *queue) begin(it *item) {
	it.cancel()
	now := time.Now()
	q.metrics.depth.Dec()
	q.metrics.wait.Observe(now.Sub(it.since).Seconds())
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
func (q *queue) watch(it *item) {
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
		if first && q.hung != nil {
			q.hung(t.name)
		}
	})
	it.patience = patience
}

// end takes key back from its worker; then says what comes next.
func (q *queue) end(key sacontroller.Key, then func(*item)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	it := q.items[key]
	q.metrics.work.Observe(time.Since(it.since).Seconds())
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
	it.running, it.counts, it.hangs = false, false, false
	it.namespace.running--
	t.running--
	if left := q.left[t.name]; left != nil {
		if t.running == 0 {
			close(left)
		}
	} else {
		then(it)
		if it.redo {
			it.cancel()
			q.push(it, changed)
		}
	}
	it.redo = false
	q.forget(it)
	q.woken.Broadcast() // the namespace may have another worker now
}

// leave drops the keys of tenant, now and until [queue.forgive]. It returns a channel
// that is closed once none of them is worked on.
func (q *queue) leave(tenant string) <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	left := make(chan struct{})
	q.left[tenant] = left
	t := q.tenants[tenant]
	if t == nil {
		close(left)
		return left
	}
	for l := range lanes {
		if at := slices.Index(q.turns[l], t); at >= 0 {
			q.turns[l] = without(q.turns[l], at)
		}
	}
	for _, it := range q.items {
		if it.key.Tenant != tenant {
			continue
		}
		it.cancel()
		if it.queued {
			it.queued = false
			if !q.closed {
				q.metrics.depth.Dec()
			}
		}
		q.forget(it)
	}
	if t.running == 0 {
		close(left)
	}
	return left
}

// forgive lets keys of tenant, which has left, come again.
func (q *queue) forgive(tenant string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.left, tenant)
}

// schedule makes it due after pause.
func (q *queue) schedule(it *item, pause time.Duration) {
	if q.closed {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(pause, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if it.timer == timer {
			it.timer = nil
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
func (q *queue) forget(it *item) {
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

// longest returns for how long the oldest work has been going on.
func (q *queue) longest() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	var longest time.Duration
	if q.running > 0 {
		for _, it := range q.items {
			if it.running {
				longest = max(longest, time.Since(it.since))
			}
		}
	}
	return longest
}

// hanging reports whether work on keys of tenant hangs, or did a moment ago.
func (q *queue) hanging(tenant string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	t := q.tenants[tenant]
	return t != nil && t.hanging()
}
