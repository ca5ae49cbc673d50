package flight_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubesa/serviceaccount/internal/flight"
	"github.com/kubesa/serviceaccount/tenant"
)

func TestDo(t *testing.T) {
	g := flight.NewGuard("the signer", 1)
	for range 3 { // a slot is free again after each
		got, err := flight.Do(t.Context(), g, func(context.Context) (string, error) { return "signed", nil })
		if got != "signed" || err != nil {
			t.Fatalf("Do() = %q, %v, want what the function returns", got, err)
		}
		own := errors.New("own")
		if _, err := flight.Do(t.Context(), g, func(context.Context) (string, error) { return "", own }); err != own {
			t.Fatalf("Do() = %v, want the error of the function", err)
		}
		_, err = flight.Do(t.Context(), g, func(context.Context) (string, error) { panic("hunter2") })
		checkPanic(t, err, "the signer panicked", "hunter2")
		_, err = flight.Do(t.Context(), g, func(context.Context) (string, error) { runtime.Goexit(); return "", nil })
		checkPanic(t, err, "the signer panicked", nil)
	}
}

func TestDoContextDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := flight.Do(ctx, flight.NewGuard("the signer", 1), func(context.Context) (string, error) {
			t.Error("the function was called")
			return "", nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Do() = %v, want the error of the context", err)
		}
		synctest.Wait()
	})
}

// A thousand calls that hang leave no more goroutines than the limit, the others
// fail at once, and a call that returns late makes room.
func TestDoBoundsHungCalls(t *testing.T) {
	const limit = 4
	for name, each := range map[string]func(func()){
		"one after the other": func(f func()) { f() },
		"at once":             func(f func()) { go f() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := flight.NewGuard("the signer", limit)
				release := make(chan struct{})
				var inside, hung atomic.Int64
				before := runtime.NumGoroutine()
				var wg sync.WaitGroup
				for range 1000 {
					wg.Add(1)
					each(func() {
						defer wg.Done()
						ctx, cancel := context.WithTimeout(t.Context(), time.Second)
						defer cancel()
						_, err := flight.Do(ctx, g, func(context.Context) (int, error) {
							inside.Add(1)
							<-release
							return 0, nil
						})
						if e, ok := errors.AsType[*flight.HungError](err); ok {
							hung.Add(1)
							if want := "the signer hangs: 4 calls have not returned"; e.Error() != want {
								t.Errorf("Do() = %q, want %q", e, want)
							}
						} else if !errors.Is(err, context.DeadlineExceeded) {
							t.Errorf("Do() = %v, want DeadlineExceeded or a HungError", err)
						}
					})
				}
				wg.Wait()
				synctest.Wait()
				if got := inside.Load(); got != limit {
					t.Errorf("%d calls were made, want %d", got, limit)
				}
				if got := runtime.NumGoroutine() - before; got > limit+slack {
					t.Errorf("%d goroutines were left, want at most %d", got, limit)
				}
				start := time.Now()
				_, err := flight.Do(t.Context(), g, func(context.Context) (int, error) { return 0, nil })
				if _, ok := errors.AsType[*flight.HungError](err); !ok || time.Since(start) > 0 {
					t.Errorf("Do() = %v after %v, want a HungError at once", err, time.Since(start))
				}
				release <- struct{}{}
				synctest.Wait()
				if got, err := flight.Do(t.Context(), g, func(context.Context) (int, error) { return 7, nil }); got != 7 || err != nil {
					t.Errorf("after a call has returned late, Do() = %d, %v, want its slot", got, err)
				}
				close(release)
			})
		})
	}
}

// Calls over the limit wait while the others only take long, and fail as soon as
// these hang.
func TestDoWaitsForSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := flight.NewGuard("the getter", 1)
		release := make(chan struct{})
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		slow := func(context.Context) (int, error) { <-release; return 1, nil }
		go flight.Do(short, g, slow)
		synctest.Wait()

		impatient, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		if _, err := flight.Do(impatient, g, slow); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Do() = %v, want the error of its own context", err)
		}
		start := time.Now()
		_, err := flight.Do(context.Background(), g, slow)
		if _, ok := errors.AsType[*flight.HungError](err); !ok || time.Since(start) != time.Second/2 {
			t.Errorf("Do() = %v after %v, want a HungError when the first caller leaves", err, time.Since(start))
		}
		close(release)
		synctest.Wait()
		for range 2 {
			if got, err := flight.Do(context.Background(), g, slow); got != 1 || err != nil {
				t.Errorf("Do() = %d, %v, want the slot", got, err)
			}
		}
		// What has hung and returned doesn't count: the next calls wait for each other again.
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if _, err := flight.Do(t.Context(), g, func(context.Context) (int, error) { time.Sleep(time.Second); return 1, nil }); err != nil {
					t.Errorf("Do() = %v, want it to wait", err)
				}
			})
		}
		wg.Wait()
	})
}

// A quarter of the limit is one tenant's, and one call at least; what another limit keeps a
// call from doesn't count.
func TestTenantShare(t *testing.T) {
	for limit, share := range map[int]int{1: 1, 2: 1, 7: 1, 8: 2} {
		synctest.Test(t, func(t *testing.T) {
			g := flight.NewGuard("the signer", limit)
			releases := map[string]chan struct{}{"red": make(chan struct{}), "": make(chan struct{})}
			call := func(name string, hangs bool) error {
				ctx, cancel := context.WithTimeout(tenant.NewContext(t.Context(), name), time.Second)
				defer cancel()
				_, err := flight.Do(ctx, g, func(context.Context) (int, error) {
					if hangs {
						<-releases[name]
					}
					return 0, nil
				})
				return err
			}
			for i := range share + 1 {
				if e, ok := errors.AsType[*flight.HungError](call("red", true)); ok != (i == share) || ok && e.Calls != share {
					t.Errorf("limit %d: call %d of a tenant: %v", limit, i+1, e)
				}
			}
			releases["red"] <- struct{}{}
			synctest.Wait()
			for range 3 {
				if err := call("red", false); err != nil {
					t.Errorf("limit %d: after one has returned, Do() = %v", limit, err)
				}
			}
			for range limit - share + 1 {
				call("", true) //nolint:errcheck // it hangs
			}
			for range 3 {
				if e, ok := errors.AsType[*flight.HungError](call("red", false)); !ok || e.Calls != limit {
					t.Errorf("limit %d: Do() = %v, want that all of them hang", limit, e)
				}
			}
			releases[""] <- struct{}{}
			synctest.Wait()
			if err := call("red", false); err != nil {
				t.Errorf("limit %d: after one of all has returned, Do() = %v", limit, err)
			}
			close(releases["red"])
			close(releases[""])
		})
	}
}

// slack is for goroutines that are ending.
const slack = 4

// Calls of one tenant that hang leave three quarters of the limit to the others, and
// nothing is remembered of a tenant without calls.
func TestDoBoundsTenants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 8
		g := flight.NewGuard("the signer", limit)
		release := make(chan struct{})
		call := func(name string, f func(context.Context) (int, error)) error {
			ctx, cancel := context.WithTimeout(tenant.NewContext(t.Context(), name), time.Second)
			defer cancel()
			_, err := flight.Do(ctx, g, f)
			return err
		}
		var inside atomic.Int64
		hang := func(context.Context) (int, error) { inside.Add(1); <-release; return 0, nil }
		answer := func(context.Context) (int, error) { return 0, nil }
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if err := call("red", hang); err == nil {
					t.Error("a call that hangs has an answer")
				}
			})
		}
		synctest.Wait()
		if inside.Load() != limit/4 {
			t.Errorf("%d calls of one tenant run, want %d", inside.Load(), limit/4)
		}
		for _, name := range []string{"blue", ""} {
			if err := call(name, answer); err != nil {
				t.Errorf("another tenant gets %v", err)
			}
		}
		wg.Wait()
		if e, ok := errors.AsType[*flight.HungError](call("red", answer)); !ok || e.Calls != limit/4 {
			t.Errorf("Do() = %v, want a HungError of %d calls", e, limit/4)
		}
		for range limit - limit/4 { // those that name no tenant may take the rest
			wg.Go(func() { call("", hang) }) //nolint:errcheck // it hangs
		}
		wg.Wait()
		if e, ok := errors.AsType[*flight.HungError](call("blue", answer)); !ok || e.Calls != limit {
			t.Errorf("Do() = %v, want a HungError of %d calls", e, limit)
		}
		close(release)
		synctest.Wait()
		for _, name := range []string{"red", "blue", ""} {
			if err := call(name, answer); err != nil {
				t.Errorf("%q, after its calls have returned: %v", name, err)
			}
		}
		if n := g.Tenants(); n != 0 {
			t.Errorf("%d tenants are remembered, want none", n)
		}
	})
}
