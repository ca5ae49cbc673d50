package keeper_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubesa/serviceaccount/tokens/keeper"
)

func TestFolder(t *testing.T) {
	dir := memDir(t)
	now, calls, value := noon, 0, "one"
	var down error
	var events []keeper.Event
	folder, err := keeper.NewFolder(keeper.FolderConfig{
		Dir: dir, Now: func() time.Time { return now },
		Fill: func(context.Context) (map[string]keeper.File, time.Time, error) {
			calls++
			return map[string]keeper.File{"token": {Data: []byte(value)}}, now.Add(time.Hour), down
		},
		Observe: func(_ context.Context, e keeper.Event) { events = append(events, e) },
	})
	if err != nil {
		t.Fatal(err)
	}
	sync := func(when string, wantCalls int, want string) time.Time {
		t.Helper()
		next, _ := folder.Sync(t.Context())
		if calls != wantCalls || read(t, dir)["token"] != want+" 600" {
			t.Errorf("%s: %d calls of Fill, content %v, want %d and %s", when, calls, read(t, dir), wantCalls, want)
		}
		return next
	}
	due := sync("at first", 1, "one")
	if wait := due.Sub(now); wait < 43*time.Minute || wait > 48*time.Minute {
		t.Errorf("to be renewed in %v, want 80 %% of an hour less up to a tenth", wait)
	}
	value, now = "two", due.Add(-1)
	sync("just before", 1, "one")
	now, down = due, errors.New("down")
	next := sync("it fails", 2, "one")
	if next.Sub(now) != time.Second {
		t.Errorf("to be retried in %v, want a second", next.Sub(now))
	}
	sync("too early", 2, "one")
	now = next
	if next = sync("it fails again", 3, "one"); next.Sub(now) != 2*time.Second {
		t.Errorf("to be retried in %v, want two seconds", next.Sub(now))
	}
	now, down = next, nil
	sync("it is up", 4, "two")
	if len(events) != 4 || events[0].Err != nil || events[1].Err == nil || events[3].Expiry.IsZero() || events[3].Name != dir {
		t.Errorf("Observe got %+v", events)
	}
}

func TestFolderFails(t *testing.T) {
	for name, fill := range map[string]func(context.Context) (map[string]keeper.File, time.Time, error){
		"expired": func(context.Context) (map[string]keeper.File, time.Time, error) {
			return map[string]keeper.File{"token": {}}, noon, nil
		},
		"a bad path": func(context.Context) (map[string]keeper.File, time.Time, error) {
			return map[string]keeper.File{"../token": {}}, time.Time{}, nil
		},
		"nothing": func(context.Context) (map[string]keeper.File, time.Time, error) { return nil, time.Time{}, nil },
		"panic":   func(context.Context) (map[string]keeper.File, time.Time, error) { panic("hunter2") },
	} {
		dir := memDir(t)
		var event keeper.Event
		folder, err := keeper.NewFolder(keeper.FolderConfig{Dir: dir, Fill: fill, Now: func() time.Time { return noon }, Observe: func(_ context.Context, e keeper.Event) { event = e }})
		if err != nil {
			t.Fatal(err)
		}
		next, err := folder.Sync(t.Context())
		if err == nil || !next.Equal(noon.Add(time.Second)) || (event.Panic != nil) != (name == "panic") {
			t.Errorf("%s: Sync() = %v, %v, Event %+v", name, next, err, event)
		}
		if entries, _ := os.ReadDir(dir); len(entries) > 0 {
			t.Errorf("%s: something was written", name)
		}
	}
	_, err := keeper.NewFolder(keeper.FolderConfig{})
	if _, ok := errors.AsType[*keeper.ConfigError](err); !ok || err.Error() != "keeper: FolderConfig.Dir is empty, want a folder\nkeeper: FolderConfig.Fill is required, want a function that returns the files" {
		t.Errorf("NewFolder() = %v, want ConfigErrors", err)
	}
}

// KUB-16, KUB-46: after a day, 80 % of the life, or a minute before the end if half of
// it is over, and up to a tenth earlier.
func TestFolderRenewal(t *testing.T) {
	for _, tt := range []struct{ life, want time.Duration }{
		{100 * time.Hour, 24 * time.Hour},
		{time.Hour, 48 * time.Minute},
		{4 * time.Minute, 3 * time.Minute},
		{2 * time.Minute, time.Minute},
		{90 * time.Second, 45 * time.Second},
		{0, 0}, // nothing expires
	} {
		seen := map[time.Duration]bool{}
		for range 3 {
			calls, expiry := 0, noon.Add(tt.life)
			if tt.life == 0 {
				expiry = time.Time{}
			}
			folder, err := keeper.NewFolder(keeper.FolderConfig{Dir: memDir(t), Now: func() time.Time { return noon }, Fill: func(context.Context) (map[string]keeper.File, time.Time, error) {
				calls++
				return map[string]keeper.File{}, expiry, nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				next, err := folder.Sync(t.Context())
				if err != nil || calls != 1 || next.IsZero() != (tt.life == 0) {
					t.Fatalf("%v: Sync() = %v, %v after %d calls of Fill", tt.life, next, err, calls)
				}
				if wait := next.Sub(noon); tt.life > 0 && (wait > tt.want || wait < tt.want-tt.want/10) {
					t.Errorf("%v: to be renewed in %v, want %v less up to a tenth", tt.life, wait, tt.want)
				}
				seen[next.Sub(noon)] = true
			}
		}
		if tt.life > 0 && len(seen) != 3 {
			t.Errorf("%v: three folders are renewed at %d times, want 3", tt.life, len(seen))
		}
	}
}

// A Fill that fails is called less and less often, a slow one ends, and a success makes
// the next failure the first.
func TestFolderBackOff(t *testing.T) {
	dir := memDir(t)
	synctest.Test(t, func(t *testing.T) {
		var hang, down atomic.Bool // a Fill that was given up may still read them
		hang.Store(true)
		down.Store(true)
		var last keeper.Event
		folder, err := keeper.NewFolder(keeper.FolderConfig{
			Dir: dir, Observe: func(_ context.Context, e keeper.Event) { last = e },
			Fill: func(ctx context.Context) (map[string]keeper.File, time.Time, error) {
				if hang.Load() {
					<-ctx.Done()
				}
				if down.Load() {
					return nil, time.Time{}, errors.New("down")
				}
				return map[string]keeper.File{}, time.Now().Add(time.Minute), nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		fail := func(want time.Duration) {
			t.Helper()
			next, err := folder.Sync(t.Context())
			if err == nil || time.Until(next) != want {
				t.Errorf("Sync() = %v, to be retried in %v, want %v", err, time.Until(next), want)
			}
			time.Sleep(time.Until(next))
		}
		fail(time.Second)
		if last.Took != 30*time.Second {
			t.Errorf("a hanging Fill took %v, want 30s", last.Took)
		}
		hang.Store(false)
		for _, want := range []time.Duration{2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60, 60} {
			fail(want * time.Second)
		}
		down.Store(false)
		next, err := folder.Sync(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		down.Store(true)
		time.Sleep(time.Until(next))
		fail(time.Second)
	})
}

// Without an expiry there is nothing to do but to wait for the end.
func TestFolderRunForEver(t *testing.T) {
	dir := memDir(t)
	synctest.Test(t, func(t *testing.T) {
		calls, looks := 0, 0
		folder, err := keeper.NewFolder(keeper.FolderConfig{Dir: dir, Now: func() time.Time { looks++; return time.Now() }, Fill: func(context.Context) (map[string]keeper.File, time.Time, error) {
			calls++
			return map[string]keeper.File{}, time.Time{}, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Hour)
		defer cancel()
		if err := folder.Run(ctx); !errors.Is(err, context.DeadlineExceeded) || calls != 1 {
			t.Errorf("Run() = %v after %d calls of Fill, want one and the error of the context", err, calls)
		}
		if looks > 10 {
			t.Errorf("in three hours Run looked at the clock %d times", looks)
		}
	})
}

// A clock that is set back neither delays the retry nor the next renewal, and Run sees
// within a minute that one was set forward.
func TestFolderClockSet(t *testing.T) {
	dir := memDir(t)
	synctest.Test(t, func(t *testing.T) {
		var offset atomic.Int64
		var down error
		calls := 0
		folder, err := keeper.NewFolder(keeper.FolderConfig{
			Dir: dir, Now: func() time.Time { return time.Now().Add(time.Duration(offset.Load())) },
			Fill: func(context.Context) (map[string]keeper.File, time.Time, error) {
				calls++
				return map[string]keeper.File{}, time.Now().Add(time.Duration(offset.Load()) + time.Hour), down
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		sync := func(when string, want int) {
			t.Helper()
			for range 2 {
				if _, err := folder.Sync(t.Context()); calls != want {
					t.Errorf("%s: Sync() = %v after %d calls of Fill, want %d", when, err, calls, want)
				}
			}
		}
		sync("at first", 1)
		offset.Store(int64(-2 * time.Hour))
		sync("set back", 2)
		offset.Store(int64(-time.Hour))
		down = errors.New("down")
		sync("set forward, and down", 3)
		offset.Store(int64(-3 * time.Hour))
		sync("set back, and down", 4)
		down = nil
		ctx, cancel := context.WithTimeout(t.Context(), 12*time.Minute)
		defer cancel()
		time.AfterFunc(10*time.Minute+time.Second, func() { offset.Store(int64(time.Hour)) })
		if err := folder.Run(ctx); !errors.Is(err, context.DeadlineExceeded) || calls != 6 {
			t.Errorf("Run() = %v after %d calls of Fill, want one at first and one after the clock was set forward", err, calls)
		}
	})
}

// Whoever waits for another one's Sync does so as long as its own context allows. The
// context of Fill ends with it.
func TestFolderSyncsAtOnce(t *testing.T) {
	dir := memDir(t)
	synctest.Test(t, func(t *testing.T) {
		var filling context.Context
		calls, events := 0, 0
		folder, err := keeper.NewFolder(keeper.FolderConfig{Dir: dir, Observe: func(context.Context, keeper.Event) { events++ }, Fill: func(ctx context.Context) (map[string]keeper.File, time.Time, error) {
			calls++
			filling = ctx
			time.Sleep(10 * time.Second)
			return map[string]keeper.File{}, time.Time{}, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = folder.Sync(t.Context()) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		next, err := folder.Sync(ctx)
		if err != context.DeadlineExceeded || time.Since(start) != time.Second || !next.Equal(start.Add(2*time.Second)) {
			t.Errorf("Sync() = %v, %v after %v, want the error of its context, and another call a second later", next, err, time.Since(start))
		}
		if next, err := folder.Sync(t.Context()); err != nil || !next.IsZero() || time.Since(start) != 10*time.Second || calls != 1 || events != 1 {
			t.Errorf("Sync() = %v, %v after %v and %d calls of Fill, want to have waited for the first", next, err, time.Since(start), calls)
		}
		if filling.Err() == nil {
			t.Error("the context of Fill goes on after it")
		}
	})
}

func TestFolderRun(t *testing.T) {
	dir := memDir(t)
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		folder, err := keeper.NewFolder(keeper.FolderConfig{Dir: dir, Fill: func(context.Context) (map[string]keeper.File, time.Time, error) {
			calls++
			if calls == 2 {
				return nil, time.Time{}, errors.New("down")
			}
			return map[string]keeper.File{"token": {Data: []byte{byte('0' + calls)}}}, time.Now().Add(time.Hour), nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Hour)
		defer cancel()
		if err := folder.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Run() = %v, want the error of the context", err)
		}
		if calls < 5 || calls > 6 { // at 0, each 48 min less up to a tenth, and a retry
			t.Errorf("Fill was called %d times in three hours", calls)
		}
	})
	if _, err := os.Stat(filepath.Join(dir, "token")); err != nil {
		t.Error(err)
	}
}

// A clock that is set back delays neither a renewal nor another attempt.
func TestFolderClockSetBack(t *testing.T) {
	now, calls := noon, 0
	var down error
	folder, err := keeper.NewFolder(keeper.FolderConfig{
		Dir: memDir(t), Now: func() time.Time { return now },
		Fill: func(context.Context) (map[string]keeper.File, time.Time, error) {
			calls++
			return map[string]keeper.File{"token": {Data: []byte("x")}}, now.Add(time.Hour), down
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, step := range []struct {
		after time.Duration
		down  error
		calls int
	}{{0, nil, 1}, {time.Second, nil, 1}, {-time.Hour, errors.New("down"), 2}, {0, nil, 2}, {-time.Hour, nil, 3}, {0, nil, 3}} {
		now, down = now.Add(step.after), step.down
		_, _ = folder.Sync(t.Context())
		if calls != step.calls {
			t.Errorf("step %d: %d calls of Fill, want %d", i, calls, step.calls)
		}
	}
}
