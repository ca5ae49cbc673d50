package fairqueue

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubesa/serviceaccount/sacontroller"
)

// sums adds up what a queue tells its metrics.
type sums struct {
	sync.Mutex
	adds, retries, depth, waits, works float64
}

type sum struct {
	*sums
	value *float64
}

func (s sum) add(n float64) { s.Lock(); defer s.Unlock(); *s.value += n }

func (s sum) Inc()              { s.add(1) }
func (s sum) Dec()              { s.add(-1) }
func (s sum) Observe(float64)   { s.add(1) }
func (s sum) Set(value float64) { s.Lock(); defer s.Unlock(); *s.value = value }

func (s *sums) metrics() Metrics {
	return Metrics{Adds: sum{s, &s.adds}, Retries: sum{s, &s.retries}, Depth: sum{s, &s.depth}, Wait: sum{s, &s.waits}, Work: sum{s, &s.works}}
}

func newTestQueue(workers int) *Queue { return New(workers, new(sums).metrics()) }

func secretKey(namespace string, i int) sacontroller.Key {
	return sacontroller.Key{Kind: "Secret", Namespace: namespace, Name: fmt.Sprintf("s-%d", i), UID: "1"}
}

// SECURITY C02: 50,000 keys of one namespace that are due hold up a key of another
// by one turn, whatever made them due.
func TestQueueTakesTurns(t *testing.T) {
	for _, failed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			q := newTestQueue(1)
			const n = 50_000
			for i := range n {
				q.Add(secretKey("a", i))
			}
			if failed {
				for range n {
					key, _ := q.Get()
					q.Later(key, time.Second)
				}
				time.Sleep(time.Second)
				synctest.Wait()
			}
			q.Add(secretKey("b", 0))
			q.Add(secretKey("c", 0))
			turns := map[string]int{}
			for turn := range 6 {
				key, _ := q.Get()
				if _, ok := turns[key.Namespace]; !ok {
					turns[key.Namespace] = turn
				}
				q.Done(key)
			}
			for _, namespace := range []string{"b", "c"} {
				if turn, ok := turns[namespace]; !ok || turn > 4 {
					t.Errorf("after failures: %v: the turns are %v, want one of %s among the first", failed, turns, namespace)
				}
			}
			q.Close()
		})
	}
}

// DESIGN 5: 5,000 keys of one namespace that fail for hours delay no key of
// another by more than a second, neither one that is new nor one that has failed,
// and are tried again ten times a second at most.
func TestQueueOfFailures(t *testing.T) {
	for _, workers := range []int{1, 5} {
		synctest.Test(t, func(t *testing.T) {
			q := newTestQueue(workers)
			const n, hours = 5000, 2
			for i := range n {
				q.Add(secretKey("a", i))
			}
			var mu sync.Mutex
			attempts, began := 0, map[sacontroller.Key][]time.Time{}
			var wg sync.WaitGroup
			for range workers {
				wg.Go(func() {
					for {
						key, ok := q.Get()
						if !ok {
							return
						}
						mu.Lock()
						if key.Namespace == "a" {
							attempts++
						} else {
							began[key] = append(began[key], time.Now())
						}
						tries := len(began[key])
						mu.Unlock()
						time.Sleep(10 * time.Millisecond)
						if key.Namespace == "a" || tries < 5 {
							q.Fail(key)
						} else {
							q.Done(key)
						}
					}
				})
			}
			for hour := range hours {
				key := secretKey(fmt.Sprintf("b-%d", hour), 0)
				start := time.Now()
				q.Add(key)
				time.Sleep(time.Hour)
				mu.Lock()
				times := began[key]
				mu.Unlock()
				if len(times) != 5 {
					t.Fatalf("%d workers: %d attempts at a key of another namespace, want 5", workers, len(times))
				}
				for i, at := range times {
					due := start
					if i > 0 {
						due = times[i-1].Add(10*time.Millisecond + backOff(i))
					}
					if late := at.Sub(due); late > time.Second {
						t.Errorf("%d workers, hour %d: attempt %d was %v late, want a second at most", workers, hour, i+1, late)
					}
				}
			}
			q.Close()
			wg.Wait()
			if most := n + retriesAtOnce + hours*3600*10; attempts < n || attempts > most {
				t.Errorf("%d workers: %d attempts at keys that fail, want %d at most", workers, attempts, most)
			}
		})
	}
}

// Calls for one namespace that hang leave workers for the others.
func TestQueueOfHungCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newTestQueue(5)
		for i := range 100 {
			q.Add(secretKey("a", i))
		}
		hung, got := make(chan struct{}), make(chan sacontroller.Key, 100)
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				for {
					key, ok := q.Get()
					if !ok {
						return
					}
					got <- key
					if key.Namespace == "a" {
						<-hung
					}
					q.Done(key)
				}
			})
		}
		synctest.Wait()
		if len(got) != 3 {
			t.Errorf("%d of 5 workers are with one namespace, want 3", len(got))
		}
		for len(got) > 0 {
			<-got
		}
		q.Add(secretKey("b", 0))
		synctest.Wait()
		if len(got) != 1 || (<-got).Namespace != "b" {
			t.Error("the key of another namespace waits, want it worked on at once")
		}
		close(hung)
		synctest.Wait()
		if len(got) != 97 {
			t.Errorf("%d keys were worked on in the end, want the other 97", len(got))
		}
		q.Close()
		wg.Wait()
	})
}

// A key is with one worker at a time, changes meanwhile make it due once more, and
// nothing is remembered of one that is done.
func TestQueueOfOneKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newTestQueue(2)
		key := secretKey("a", 1)
		due := func() bool {
			q.mu.Lock()
			defer q.mu.Unlock()
			it := q.next()
			if it != nil {
				q.begin(it)
			}
			return it != nil
		}
		q.Add(key)
		q.Add(key)
		if !due() || due() {
			t.Fatal("want the key due once")
		}
		q.Add(key)
		q.Add(key)
		if due() {
			t.Error("the key is due while it is worked on")
		}
		if got := q.Fail(key); got != 1 {
			t.Errorf("fail() = %d, want 1", got)
		}
		if !due() {
			t.Error("the change during the work is forgotten")
		}
		q.Fail(key)
		time.Sleep(9 * time.Millisecond)
		if synctest.Wait(); due() {
			t.Error("the second retry comes after less than 10 ms")
		}
		time.Sleep(time.Millisecond)
		if synctest.Wait(); !due() {
			t.Error("the second retry doesn't come after 10 ms")
		}
		q.Later(key, time.Hour)
		q.Add(key) // a change, before that
		if !due() {
			t.Error("a key that was put off isn't due by a change")
		}
		q.Done(key)
		time.Sleep(2 * time.Hour)
		if synctest.Wait(); due() || len(q.items) > 0 || len(q.tenants) > 0 {
			t.Errorf("a key that is done is remembered: %d items of %d tenants", len(q.items), len(q.tenants))
		}
		q.Add(key)
		due()
		q.Fail(key)
		due()
		q.Add(key)
		q.Done(key) // and is due again
		if got := q.Failures(key); got != 0 {
			t.Errorf("%d failures in a row after a success", got)
		}
		due()
		q.Done(key)
		q.Close()
		q.Add(key)
		if _, ok := q.Get(); ok || len(q.items) > 0 {
			t.Errorf("get() of a closed queue = %t, and %d items", ok, len(q.items))
		}
	})
}

func TestBackOff(t *testing.T) {
	for failures, want := range map[int]time.Duration{
		1: 5 * time.Millisecond, 2: 10 * time.Millisecond, 10: 2560 * time.Millisecond, 18: 655360 * time.Millisecond, 19: 1000 * time.Second, 1 << 40: 1000 * time.Second,
	} {
		if got := backOff(failures); got != want {
			t.Errorf("backOff(%d) = %v, want %v", failures, got, want)
		}
	}
}

// A change overtakes the keys of a list, its own key included, and a list that is long
// isn't held up for ever by changes.
func TestQueueOfUnchanged(t *testing.T) {
	q, counted := newTestQueue(1), new(sums)
	q.metrics = counted.metrics()
	const n = 1000
	for i := range n {
		q.AddUnchanged(secretKey("a", i))
	}
	q.Add(secretKey("a", n-1))
	q.Add(secretKey("a", n-1))
	q.AddUnchanged(secretKey("a", n-1))
	if counted.adds != n || counted.depth != n {
		t.Errorf("%v adds and %v in the queue, want %d of each", counted.adds, counted.depth, n)
	}
	first, _ := q.Get()
	q.Done(first)
	if first != secretKey("a", n-1) {
		t.Errorf("the first key is %s, want the one that changed", first)
	}
	served := map[sacontroller.Key]int{first: 1}
	for turn := range 2 * (n - 1) {
		if turn < n {
			q.Add(secretKey("b", turn))
		}
		key, _ := q.Get()
		q.Done(key)
		served[key]++
	}
	for i := range n {
		if got := served[secretKey("a", i)]; got != 1 {
			t.Fatalf("key %d of the list was served %d times", i, got)
		}
	}
	key, _ := q.Get() // the last change
	q.Done(key)
	q.AddUnchanged(secretKey("c", 0))
	key, _ = q.Get()
	q.Done(key)
	if len(q.items) > 0 || len(q.tenants) > 0 || len(q.turns[unchanged]) > 0 || counted.depth != 0 {
		t.Errorf("remembered in the end: %d items, %d tenants, %d turns, depth %v", len(q.items), len(q.tenants), len(q.turns[unchanged]), counted.depth)
	}
}

// A key that is due is in one lane, once, however often it becomes due; and a change while
// it is worked on makes it due again, whatever made it due before.
func TestQueueOfOneKeyInLanes(t *testing.T) {
	q, counted := newTestQueue(1), new(sums)
	q.metrics = counted.metrics()
	key := secretKey("a", 1)
	for range 3 {
		q.AddUnchanged(key)
	}
	n := q.items[key].namespace
	if len(n.queued[unchanged]) != 1 || q.Len() != 1 || counted.depth != 1 {
		t.Errorf("a key of a list is there %d times, %d are due, depth %v", len(n.queued[unchanged]), q.Len(), counted.depth)
	}
	q.Get()
	q.Add(key)
	q.Done(key)
	if got := q.Len(); got != 1 {
		t.Errorf("%d keys are due after a change, want the one", got)
	}
	q.AddUnchanged(key)
	q.Add(key)
	if it := q.items[key]; it.lane != changed || len(n.queued[changed]) != 1 || len(n.queued[unchanged]) != 0 || counted.depth != 1 {
		t.Errorf("a key that changed is in lane %d, there %d and %d times, depth %v", it.lane, len(n.queued[changed]), len(n.queued[unchanged]), counted.depth)
	}
	q.Get()
	q.Done(key)
	if q.Len() != 0 || counted.depth != 0 || counted.adds != 2 || counted.waits != 2 || counted.works != 2 {
		t.Errorf("in the end %d are due, and counted were %+v", q.Len(), counted)
	}
}

// What a namespace's keys share is theirs together, from the first to the last, and that of
// the Namespace too.
func TestQueueOfNamespaces(t *testing.T) {
	q := newTestQueue(5)
	one, two, three := secretKey("a", 1), secretKey("a", 2), secretKey("a", 3)
	q.Add(one)
	q.Add(two)
	q.Get()
	q.Get()
	shared := q.items[one].namespace
	q.Done(one)
	q.Add(three)
	if q.items[three].namespace != shared || q.items[two].namespace != shared || shared.running != 1 {
		t.Errorf("the keys of one namespace don't share it: %d are worked on", shared.running)
	}
	for want, key := range map[string]sacontroller.Key{
		"a": {Kind: "Namespace", Name: "a"}, "": {Kind: "ClusterTrustBundle", Name: "a"}, "b": {Kind: "ConfigMap", Namespace: "b", Name: "a"},
	} {
		if got := q.item(key).namespace; got.name != want || (got == shared) != (want == "a") {
			t.Errorf("%+v is one of the namespace %q, want %q", key, got.name, want)
		}
	}
}

// A closed queue has no timers, and nothing waits in it; work ends as before.
func TestQueueClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, counted := newTestQueue(3), new(sums)
		q.metrics = counted.metrics()
		failed, later, due, worked := secretKey("a", 1), secretKey("b", 2), secretKey("c", 3), secretKey("d", 4)
		for _, key := range []sacontroller.Key{failed, later, worked} {
			q.Add(key)
			q.Get()
		}
		q.Fail(failed)
		if got := q.Fail(worked); got != 1 || q.Failures(worked) != 1 || q.Failures(due) != 0 || q.Len() != 0 {
			t.Errorf("Fail() = %d, Failures() = %d and %d, want 1, 1 and 0; %d keys are due", got, q.Failures(worked), q.Failures(due), q.Len())
		}
		q.Later(later, time.Minute)
		q.Add(worked)
		q.Get()
		q.Later(worked, 0) // which is no failure
		time.Sleep(time.Millisecond)
		synctest.Wait()
		q.Get()
		if got := q.Fail(worked); got != 1 || counted.retries != 3 {
			t.Errorf("Fail() = %d after Later(), and %v retries, want 1 and 3", got, counted.retries)
		}
		q.Add(worked)
		q.Get()
		q.Add(worked)
		q.Add(due)
		q.Close()
		for key, it := range q.items {
			if it.timer != nil {
				t.Errorf("%s is to be tried again", key)
			}
		}
		q.Fail(worked)
		if q.items[worked] != nil || q.Len() != 0 {
			t.Errorf("%d keys are due, and one that failed is remembered", q.Len())
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if counted.depth != 0 || counted.adds != 7 {
			t.Errorf("depth %v after %v adds, want 0 after 7", counted.depth, counted.adds)
		}
	})
}

// The lanes take turns: changes, what is tried again, and what was listed.
func TestQueueLanesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newTestQueue(1)
		for i := range 2 {
			q.Add(secretKey("a", i))
			key, _ := q.Get()
			q.Later(key, time.Duration(i)*time.Millisecond)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		for i := range 2 {
			q.AddUnchanged(secretKey("a", 10+i))
			q.Add(secretKey("a", 20+i))
		}
		q.lane = changed
		var got []string
		for range 6 {
			key, _ := q.Get()
			q.Done(key)
			got = append(got, key.Name)
		}
		if want := []string{"s-20", "s-0", "s-10", "s-21", "s-1", "s-11"}; !slices.Equal(got, want) {
			t.Errorf("the keys come as %v, want %v", got, want)
		}
	})
}

// Whoever waits for a key gets one as soon as a worker is free for it, and Working says for
// how long they have been at work.
func TestQueueWorking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newTestQueue(2)
		one, two, three := secretKey("a", 1), secretKey("a", 2), secretKey("b", 3)
		if all, longest := q.Working(); all != 0 || longest != 0 {
			t.Errorf("Working() of nothing = %v, %v", all, longest)
		}
		q.Add(one)
		q.Get()
		q.Add(two)
		got := make(chan sacontroller.Key)
		go func() { key, _ := q.Get(); got <- key }()
		synctest.Wait()
		time.Sleep(time.Minute)
		if all, longest := q.Working(); all != time.Minute || longest != time.Minute {
			t.Errorf("Working() = %v, %v, want a minute for the one", all, longest)
		}
		q.Done(one)
		if key := <-got; key != two {
			t.Errorf("Get() = %v, want the other key", key)
		}
		time.Sleep(time.Second)
		q.Add(three)
		q.Get()
		time.Sleep(time.Second)
		if all, longest := q.Working(); all != 3*time.Second || longest != 2*time.Second {
			t.Errorf("Working() = %v, %v, want 3s and 2s", all, longest)
		}
		q.Close()
	})
}

// A namespace has a hundred retries at once, and then one every tenth of a second.
func TestPace(t *testing.T) {
	now := time.Unix(1000, 0)
	var n namespace
	for _, round := range []time.Duration{0, 10100 * time.Millisecond, time.Hour} {
		now = now.Add(round)
		for i := range 101 {
			want := time.Duration(i-99) * 100 * time.Millisecond
			if got := n.pace(now); got != want {
				t.Fatalf("retry %d after %v waits %v, want %v", i+1, round, got, want)
			}
		}
	}
	if got := n.pace(now.Add(time.Second)); got != -800*time.Millisecond {
		t.Errorf("a second later a retry waits %v, want none", got)
	}
}
