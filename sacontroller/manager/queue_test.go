package manager

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubesa/serviceaccount/sacontroller"
)

func secretKey(namespace string, i int) sacontroller.Key {
	return sacontroller.Key{Kind: "Secret", Namespace: namespace, Name: fmt.Sprintf("s-%d", i), UID: "1"}
}

// SECURITY C02: 50,000 keys of one namespace that are due hold up a key of another
// by one turn, whatever made them due.
func TestQueueTakesTurns(t *testing.T) {
	for _, failed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			q := newQueueVecs().newQueue("c", 1)
			const n = 50_000
			for i := range n {
				q.add(secretKey("a", i))
			}
			if failed {
				for range n {
					key, _ := q.get()
					q.later(key, time.Second)
				}
				time.Sleep(time.Second)
				synctest.Wait()
			}
			q.add(secretKey("b", 0))
			q.add(secretKey("c", 0))
			turns := map[string]int{}
			for turn := range 6 {
				key, _ := q.get()
				if _, ok := turns[key.Namespace]; !ok {
					turns[key.Namespace] = turn
				}
				q.done(key)
			}
			for _, namespace := range []string{"b", "c"} {
				if turn, ok := turns[namespace]; !ok || turn > 4 {
					t.Errorf("after failures: %v: the turns are %v, want one of %s among the first", failed, turns, namespace)
				}
			}
			q.close()
		})
	}
}

// DESIGN 5: 5,000 keys of one namespace that fail for hours delay no key of
// another by more than a second, neither one that is new nor one that has failed,
// and are tried again ten times a second at most.
func TestQueueOfFailures(t *testing.T) {
	for _, workers := range []int{1, 5} {
		synctest.Test(t, func(t *testing.T) {
			q := newQueueVecs().newQueue("c", workers)
			const n, hours = 5000, 4
			for i := range n {
				q.add(secretKey("a", i))
			}
			var mu sync.Mutex
			attempts, began := 0, map[sacontroller.Key][]time.Time{}
			var wg sync.WaitGroup
			for range workers {
				wg.Go(func() {
					for {
						key, ok := q.get()
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
							q.fail(key)
						} else {
							q.done(key)
						}
					}
				})
			}
			for hour := range hours {
				key := secretKey(fmt.Sprintf("b-%d", hour), 0)
				start := time.Now()
				q.add(key)
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
			q.close()
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
		q := newQueueVecs().newQueue("c", 5)
		for i := range 100 {
			q.add(secretKey("a", i))
		}
		hung, got := make(chan struct{}), make(chan sacontroller.Key, 100)
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				for {
					key, ok := q.get()
					if !ok {
						return
					}
					got <- key
					if key.Namespace == "a" {
						<-hung
					}
					q.done(key)
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
		q.add(secretKey("b", 0))
		synctest.Wait()
		if len(got) != 1 || (<-got).Namespace != "b" {
			t.Error("the key of another namespace waits, want it worked on at once")
		}
		close(hung)
		synctest.Wait()
		if len(got) != 97 {
			t.Errorf("%d keys were worked on in the end, want the other 97", len(got))
		}
		q.close()
		wg.Wait()
	})
}

// A key is with one worker at a time, changes meanwhile make it due once more, and
// nothing is remembered of one that is done.
func TestQueueOfOneKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueueVecs().newQueue("c", 2)
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
		q.add(key)
		q.add(key)
		if !due() || due() {
			t.Fatal("want the key due once")
		}
		q.add(key)
		q.add(key)
		if due() {
			t.Error("the key is due while it is worked on")
		}
		if got := q.fail(key); got != 1 {
			t.Errorf("fail() = %d, want 1", got)
		}
		if !due() {
			t.Error("the change during the work is forgotten")
		}
		q.fail(key)
		time.Sleep(9 * time.Millisecond)
		if synctest.Wait(); due() {
			t.Error("the second retry comes after less than 10 ms")
		}
		time.Sleep(time.Millisecond)
		if synctest.Wait(); !due() {
			t.Error("the second retry doesn't come after 10 ms")
		}
		q.later(key, time.Hour)
		q.add(key) // a change, before that
		if !due() {
			t.Error("a key that was put off isn't due by a change")
		}
		q.done(key)
		time.Sleep(2 * time.Hour)
		if synctest.Wait(); due() || len(q.items) > 0 || len(q.tenants) > 0 {
			t.Errorf("a key that is done is remembered: %d items of %d tenants", len(q.items), len(q.tenants))
		}
		q.close()
		q.add(key)
		if _, ok := q.get(); ok {
			t.Error("get() of a closed queue = true")
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

func TestIsTerminal(t *testing.T) {
	terminal, other := error(&sacontroller.TerminalError{Err: errors.New("immutable")}), errors.New("busy")
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{nil, false}, {other, false}, {terminal, true}, {fmt.Errorf("x: %w", terminal), true}, {fmt.Errorf("x: %v", terminal), false},
		{errors.Join(terminal, terminal), true}, {errors.Join(terminal, other), false}, {fmt.Errorf("%w, %w", other, terminal), false},
	} {
		if got := isTerminal(tt.err); got != tt.want {
			t.Errorf("isTerminal(%v) = %v, want %v", tt.err, got, tt.want)
		}
	}
}
