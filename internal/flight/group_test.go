package flight_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubesa/serviceaccount/internal/flight"
)

// slow returns a function that takes a second and counts its calls.
func slow(calls *int) func(context.Context) (int, error) {
	return func(context.Context) (int, error) {
		*calls++
		n := *calls
		time.Sleep(time.Second)
		return n, nil
	}
}

func TestGroupSharesCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g flight.Group[string, int]
		var calls int
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if got, err := g.Do(t.Context(), "a", slow(&calls)); got != 1 || err != nil {
					t.Errorf("Do() = %d, %v, want the answer of one call for all", got, err)
				}
			})
		}
		wg.Go(func() {
			var others int
			if got, err := g.Do(t.Context(), "b", slow(&others)); got != 1 || err != nil || others != 1 {
				t.Errorf("Do() = %d, %v, want a call for another key", got, err)
			}
		})
		wg.Wait()
		if got, _ := g.Do(t.Context(), "a", slow(&calls)); got != 2 {
			t.Errorf("after the call has returned, Do() = %d, want another call", got)
		}
	})
}

// Each waits on its own context; the call goes on with the values of the first.
func TestGroupWaitersLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type tenant struct{}
		var g flight.Group[string, string]
		read := func(ctx context.Context) (string, error) {
			time.Sleep(time.Second)
			return ctx.Value(tenant{}).(string), ctx.Err()
		}
		first, cancel := context.WithCancel(context.WithValue(t.Context(), tenant{}, "red"))
		call := g.Start(first, "a", read)
		second, cancelSecond := context.WithTimeout(t.Context(), time.Second/2)
		defer cancelSecond()
		cancel()
		if _, err := call.Wait(first); !errors.Is(err, context.Canceled) {
			t.Errorf("Wait() of the first = %v, want Canceled", err)
		}
		if _, err := g.Do(second, "a", read); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Do() of the second = %v, want DeadlineExceeded", err)
		}
		if got, err := g.Do(t.Context(), "a", read); got != "red" || err != nil {
			t.Errorf("Do() of the third = %q, %v, want the answer of the first call", got, err)
		}
		if got, err := call.Wait(first); got != "red" || err != nil {
			t.Errorf("Wait() after the call has returned = %q, %v, want its answer whatever the context", got, err)
		}
	})
}

// A caller that asks late gets no answer of a call that began long ago.
func TestGroupJoinWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := flight.Group[string, time.Time]{JoinWithin: 10 * time.Second}
		start := time.Now()
		read := func(context.Context) (time.Time, error) {
			now := time.Now()
			time.Sleep(15 * time.Second)
			return now, nil
		}
		old := g.Start(t.Context(), "a", read)
		time.Sleep(10*time.Second - 1)
		if joined := g.Start(t.Context(), "a", read); joined != old || g.Running("a") != old || !joined.Began().Equal(start) {
			t.Errorf("within the time, Start() returned another call, want that of %v", start)
		}
		time.Sleep(time.Nanosecond)
		if g.Running("a") != nil {
			t.Error("Running() returned a call that Start doesn't join")
		}
		fresh := g.Start(t.Context(), "a", read)
		if fresh == old || !fresh.Began().Equal(start.Add(10*time.Second)) {
			t.Errorf("after the time, Start() returned a call of %v, want a new one", fresh.Began())
		}
		if got, err := old.Wait(t.Context()); !got.Equal(start) || err != nil {
			t.Errorf("Wait() of the old call = %v, %v, want its own answer", got, err)
		}
		if g.Running("a") != fresh {
			t.Error("the old call has taken the new one out of the Group")
		}
		if got, err := fresh.Wait(t.Context()); !got.Equal(fresh.Began()) || err != nil {
			t.Errorf("Wait() of the new call = %v, %v, want its own answer", got, err)
		}
		if g.Running("a") != nil {
			t.Error("a call that has returned is still in the Group")
		}
	})
}

func TestGroupPanic(t *testing.T) {
	var g flight.Group[string, int]
	call := g.Start(t.Context(), "a", func(context.Context) (int, error) { panic("hunter2") })
	for range 2 {
		_, err := call.Wait(t.Context())
		checkPanic(t, err, "the call panicked", "hunter2")
	}
	if got, err := g.Do(t.Context(), "a", func(context.Context) (int, error) { return 7, nil }); got != 7 || err != nil {
		t.Errorf("Do() after a panic = %d, %v, want another call", got, err)
	}
}
