package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubesa/serviceaccount/sacontroller"
)

// A script is a controller that answers as it is told to, and notes when it was asked.
type script struct {
	mu      sync.Mutex
	asked   map[string][]time.Duration
	start   time.Time
	answers func(key sacontroller.Key, attempt int) (sacontroller.Result, error)
}

func (*script) Name() string                               { return "script" }
func (*script) Due(sacontroller.Change) []sacontroller.Key { return nil }

func (s *script) Reconcile(_ context.Context, key sacontroller.Key) (sacontroller.Result, error) {
	s.mu.Lock()
	s.asked[key.Name] = append(s.asked[key.Name], time.Since(s.start))
	attempt := len(s.asked[key.Name])
	s.mu.Unlock()
	return s.answers(key, attempt)
}

// times returns when key was looked at.
func (s *script) times(key string) []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked[key])
}

func scripted(t *testing.T, answers func(key sacontroller.Key, attempt int) (sacontroller.Result, error)) (*script, *loop) {
	t.Helper()
	s := &script{asked: map[string][]time.Duration{}, start: time.Now(), answers: answers}
	l := &loop{Controller: s, wake: make(chan struct{}, 1), due: map[sacontroller.Key]bool{}}
	ctx, cancel := context.WithCancel(t.Context())
	var working sync.WaitGroup
	working.Go(func() { l.run(ctx) })
	t.Cleanup(func() { cancel(); working.Wait() })
	return s, l
}

// A key that fails is tried again for ever, later and later, until it succeeds. Then it
// starts afresh.
func TestLoopBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := scripted(t, func(_ sacontroller.Key, attempt int) (sacontroller.Result, error) {
			if attempt < 17 || attempt == 18 {
				return sacontroller.Result{}, errors.New("not yet")
			}
			return sacontroller.Result{}, nil
		})
		l.add(sacontroller.Key{Name: "a"})
		time.Sleep(24 * time.Hour)
		var waits []time.Duration
		for i, at := range s.times("a")[1:] {
			waits = append(waits, at-s.times("a")[i])
		}
		want := []time.Duration{5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120, 10240, 20480, 40960, 60000, 60000}
		for i := range want {
			want[i] *= time.Millisecond
		}
		if !slices.Equal(waits, want) {
			t.Errorf("it waits %v, want %v", waits, want)
		}
		l.add(sacontroller.Key{Name: "a"})
		time.Sleep(time.Hour)
		if n := len(s.times("a")); n != 19 || s.times("a")[18]-s.times("a")[17] != 5*time.Millisecond {
			t.Errorf("%d attempts, at %v; want 19 that begin again with 5 ms", n, s.times("a"))
		}
	})
}

// A key that fails doesn't hold up another, and one that is to be looked at again is.
func TestLoopRequeues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := scripted(t, func(key sacontroller.Key, attempt int) (sacontroller.Result, error) {
			switch {
			case key.Name == "broken":
				return sacontroller.Result{RequeueAfter: time.Nanosecond}, errors.New("for ever")
			case attempt < 3:
				return sacontroller.Result{RequeueAfter: 10 * time.Second}, nil
			}
			return sacontroller.Result{}, nil
		})
		l.add(sacontroller.Key{Name: "broken"}, sacontroller.Key{Name: "good"})
		time.Sleep(time.Minute)
		if got, want := s.times("good"), []time.Duration{0, 10 * time.Second, 20 * time.Second}; !slices.Equal(got, want) {
			t.Errorf("looked at %v, want %v", got, want)
		}
	})
}

// A key that is added many times while it waits is done once; one that is added while it
// is worked on is done once more.
func TestLoopAddsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := scripted(t, func(key sacontroller.Key, _ int) (sacontroller.Result, error) {
			if key.Name == "slow" {
				time.Sleep(time.Second)
			}
			return sacontroller.Result{}, nil
		})
		l.add(sacontroller.Key{Name: "slow"})
		synctest.Wait()
		for range 100 {
			l.add(sacontroller.Key{Name: "slow"}, sacontroller.Key{Name: "other"}, sacontroller.Key{Name: "other"})
		}
		time.Sleep(time.Minute)
		if slow, other := len(s.times("slow")), len(s.times("other")); slow != 2 || other != 1 {
			t.Errorf("the slow key was done %d times and the other %d times, want 2 and 1", slow, other)
		}
	})
}
