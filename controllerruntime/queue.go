package saruntime

import (
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"

	"github.com/kubesa/serviceaccount/internal/fairqueue"
	"github.com/kubesa/serviceaccount/sacontroller"
)

// A fairQueue is the queue of package fairqueue as controller-runtime calls it, which
// says what comes next for a key while work on it still goes on.
type fairQueue struct {
	queue   *fairqueue.Queue
	metrics queueMetrics

	mu     sync.Mutex
	ends   map[sacontroller.Key]func() // of the keys that are worked on
	closed chan struct{}
}

var _ priorityqueue.PriorityQueue[sacontroller.Key] = (*fairQueue)(nil)

// newFairQueue returns a constructor of queues for so many workers. The goroutine that
// measures one ends when it is shut down.
func newFairQueue(workers int) func(string, workqueue.TypedRateLimiter[sacontroller.Key]) workqueue.TypedRateLimitingInterface[sacontroller.Key] {
	return func(name string, _ workqueue.TypedRateLimiter[sacontroller.Key]) workqueue.TypedRateLimitingInterface[sacontroller.Key] {
		m := newQueueMetrics(name)
		q := &fairQueue{queue: fairqueue.New(workers, m.Metrics), metrics: m, ends: map[sacontroller.Key]func(){}, closed: make(chan struct{})}
		go m.measure(q)
		return q
	}
}

// AddWithOpts implements [priorityqueue.PriorityQueue]. controller-runtime calls it
// with RateLimited or After for a key that is worked on, and for no other.
func (q *fairQueue) AddWithOpts(o priorityqueue.AddOpts, keys ...sacontroller.Key) {
	for _, key := range keys {
		switch {
		case o.RateLimited:
			q.then(key, func() { q.queue.Fail(key) })
		case o.After > 0:
			q.metrics.Retries.Inc() // which Fail does too
			q.then(key, func() { q.queue.Later(key, o.After) })
		case o.Priority != nil && *o.Priority < 0:
			q.queue.AddUnchanged(key)
		default:
			q.queue.Add(key)
		}
	}
}

// then makes end what comes after the work on key. A key that nobody works on is due
// now.
func (q *fairQueue) then(key sacontroller.Key, end func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ends[key] == nil {
		q.queue.Add(key)
	} else {
		q.ends[key] = end
	}
}

// GetWithPriority implements [priorityqueue.PriorityQueue].
func (q *fairQueue) GetWithPriority() (key sacontroller.Key, priority int, shutdown bool) {
	key, ok := q.queue.Get()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ends[key] = func() { q.queue.Done(key) } // of no key, once the queue is closed
	return key, 0, !ok
}

// Done implements [workqueue.TypedInterface].
func (q *fairQueue) Done(key sacontroller.Key) {
	q.mu.Lock()
	end := q.ends[key]
	delete(q.ends, key)
	q.mu.Unlock()
	if end != nil {
		end()
	}
}

// Forget implements [workqueue.TypedRateLimitingInterface]: Done forgets the failures
// of a key that didn't fail again.
func (q *fairQueue) Forget(sacontroller.Key) {}

// The rest is said in the terms of the above.

func (q *fairQueue) Add(key sacontroller.Key) { q.queue.Add(key) }

func (q *fairQueue) AddAfter(key sacontroller.Key, pause time.Duration) {
	q.AddWithOpts(priorityqueue.AddOpts{After: pause}, key)
}

func (q *fairQueue) AddRateLimited(key sacontroller.Key) {
	q.AddWithOpts(priorityqueue.AddOpts{RateLimited: true}, key)
}

func (q *fairQueue) Get() (key sacontroller.Key, shutdown bool) {
	key, _, shutdown = q.GetWithPriority()
	return key, shutdown
}

func (q *fairQueue) Len() int { return q.queue.Len() }

func (q *fairQueue) NumRequeues(key sacontroller.Key) int { return q.queue.Failures(key) }

// ShutDown implements [workqueue.TypedInterface]. Keys that wait are dropped.
func (q *fairQueue) ShutDown() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.ShuttingDown() {
		close(q.closed)
		q.queue.Close()
	}
}

func (q *fairQueue) ShutDownWithDrain() { q.ShutDown() }

func (q *fairQueue) ShuttingDown() bool {
	select {
	case <-q.closed:
		return true
	default:
		return false
	}
}
