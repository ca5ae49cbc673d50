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

// A queue holds the keys of one controller. Namespaces take turns, so that no number
// of keys of one holds up a key of another; keys that are due by a change take turns
// with those that are due once more; and a namespace has no more workers than it
// leaves free, so that calls that hang don't take all. A key is with one worker at a
// time. A queue is safe for concurrent use.
type queue struct {
	workers int
	metrics queueMetrics

	mu         sync.Mutex
	woken      sync.Cond // something may be due, or the queue is closed
	items      map[sacontroller.Key]*item
	namespaces map[string]*namespace
	turns      [lanes][]*namespace // those with keys in that lane
	lane       lane                // whose turn it is
	running    int
	closed     bool
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
	redo      bool // became due while it was worked on
	failures  int  // in a row
	timer     *time.Timer
}

// A namespace is what the keys of one namespace share.
type namespace struct {
	name    string
	items   int
	running int
	queued  [lanes][]*item
	paced   time.Time // when the retries that were granted so far are used up
}

func newQueue(workers int, metrics queueMetrics) *queue {
	q := &queue{workers: workers, metrics: metrics, items: map[sacontroller.Key]*item{}, namespaces: map[string]*namespace{}}
	q.woken.L = &q.mu
	return q
}

// add makes key due because of a change.
func (q *queue) add(key sacontroller.Key) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.push(q.item(key), changed)
	}
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

// pace returns how long the next retry must wait for those that were granted to the
// namespace before.
func (n *namespace) pace(now time.Time) time.Duration {
	if n.paced.Before(now) {
		n.paced = now
	}
	wait := n.paced.Sub(now) - (retriesAtOnce-1)*retryEvery
	n.paced = n.paced.Add(retryEvery)
	return wait
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
	n := q.namespaces[name]
	if n == nil {
		n = &namespace{name: name}
		q.namespaces[name] = n
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
	n := it.namespace
	n.queued[l] = append(n.queued[l], it)
	if len(n.queued[l]) == 1 {
		q.turns[l] = append(q.turns[l], n)
	}
	q.metrics.adds.Inc()
	q.metrics.depth.Inc()
	q.woken.Signal()
}

// next takes the item whose turn it is out of its lane, or returns nil.
func (q *queue) next() *item {
	free := q.workers - q.running
	for i := range lanes {
		l := (q.lane + i) % lanes
		at := slices.IndexFunc(q.turns[l], func(n *namespace) bool { return n.running < free })
		if at < 0 {
			continue
		}
		n := q.turns[l][at]
		if at == 0 {
			q.turns[l] = q.turns[l][1:]
		} else {
			q.turns[l] = slices.Delete(q.turns[l], at, at+1)
		}
		it := n.queued[l][0]
		n.queued[l][0] = nil
		if n.queued[l] = n.queued[l][1:]; len(n.queued[l]) > 0 {
			q.turns[l] = append(q.turns[l], n)
		}
		q.lane = (l + 1) % lanes
		return it
	}
	return nil
}

// begin gives it to a worker. Whatever it was to be tried again for is tried now.
func (q *queue) begin(it *item) {
	it.cancel()
	now := time.Now()
	q.metrics.depth.Dec()
	q.metrics.wait.Observe(now.Sub(it.since).Seconds())
	it.queued, it.running, it.since = false, true, now
	it.namespace.running++
	q.running++
}

// end takes key back from its worker; then says what comes next.
func (q *queue) end(key sacontroller.Key, then func(*item)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	it := q.items[key]
	q.metrics.work.Observe(time.Since(it.since).Seconds())
	it.running = false
	it.namespace.running--
	q.running--
	then(it)
	if it.redo {
		it.redo = false
		it.cancel()
		q.push(it, changed)
	}
	q.forget(it)
	q.woken.Broadcast() // the namespace may have another worker now
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

// forget drops it if there is nothing to know of it, and its namespace with the last
// item.
func (q *queue) forget(it *item) {
	if it.queued || it.running || it.timer != nil {
		return
	}
	delete(q.items, it.key)
	if it.namespace.items--; it.namespace.items == 0 {
		delete(q.namespaces, it.namespace.name)
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
