package election

import (
	"bytes"
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

func newTestLease(identity string, s *server) (*lease, *wire) {
	cfg := Config{Namespace: "kube-system", Name: "l", Identity: identity}.WithDefaults()
	w := &wire{server: s}
	return newLease(&cfg, w), w
}

// recordOf is what the elector of a process stores.
func recordOf(identity string) resourcelock.LeaderElectionRecord {
	return resourcelock.LeaderElectionRecord{HolderIdentity: identity, LeaseDurationSeconds: 15, AcquireTime: metav1.Now()}
}

// newHeldLease returns the lease of a process a that has just created it, and its work.
func newHeldLease(t *testing.T, s *server) (*lease, *wire, context.Context, resourcelock.LeaderElectionRecord) {
	t.Helper()
	l, w := newTestLease("a", s)
	work, record := l.hold(t.Context()), recordOf("a")
	if err := l.Create(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	return l, w, work, record
}

// C14: work ends RenewDeadline after the last renewal was sent, for good, and what
// is left is never more.
func TestLeaseRunsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		waiting, _ := newTestLease("b", &server{})
		if left := waiting.remaining(); left > 0 {
			t.Errorf("%v are left of a lease that isn't held", left)
		}
		s := &server{}
		l, w, work, record := newHeldLease(t, s)
		for range 5 {
			time.Sleep(9 * time.Second)
			if left := l.remaining(); left != time.Second || work.Err() != nil {
				t.Fatalf("%v are left after 9 s, %v; want 1 s", left, work.Err())
			}
			if err := l.Update(t.Context(), record); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if left := l.remaining(); left > 0 || work.Err() == nil {
			t.Errorf("%v are left after 10 s, %v; want the work canceled", left, work.Err())
		}
		sent := len(w.contexts)
		if err := l.Update(t.Context(), record); !errors.Is(err, errOver) || len(w.contexts) != sent {
			t.Errorf("Update() of a lease that was lost = %v, want an error and nothing sent", err)
		}
		if err := l.release(t.Context()); err != nil || len(w.contexts) != sent {
			t.Errorf("release() of a lease that was lost = %v, want nothing sent", err)
		}
		time.Sleep(25*time.Second - 1)
		if err := errors.Join(l.healthy(), waiting.healthy()); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Nanosecond)
		if err := l.healthy(); err == nil || !strings.Contains(err.Error(), "the lease kube-system/l was not renewed") {
			t.Errorf("healthy() = %v 35 s after the last renewal, want an error", err)
		}
		w.ended(t)
	})
}

// C14: a renewal counts from when it was sent, and one without an answer not at all.
func TestRenewal(t *testing.T) {
	late := func(d time.Duration) fault {
		return func(context.Context, string) error { time.Sleep(d); return nil }
	}
	tests := []struct {
		name          string
		before, after fault
		takes         time.Duration
		want          error
		left          time.Duration // then
	}{
		{name: "slow request", before: late(3 * time.Second), takes: 3 * time.Second, left: 7 * time.Second},
		{name: "slow answer", after: late(3 * time.Second), takes: 3 * time.Second, left: 7 * time.Second},
		{name: "answer after the end", after: late(11 * time.Second), takes: 11 * time.Second, want: errOver},
		{name: "lost", before: hangs, takes: 5 * time.Second, want: context.DeadlineExceeded, left: time.Second},
		{name: "answer lost", after: hangs, takes: 5 * time.Second, want: context.DeadlineExceeded, left: time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, w, work, record := newHeldLease(t, &server{})
				time.Sleep(4 * time.Second)
				w.break_(tt.before, tt.after)
				start := time.Now()
				if err := l.Update(t.Context(), record); !errors.Is(err, tt.want) || time.Since(start) != tt.takes {
					t.Errorf("Update() = %v after %v, want %v after %v", err, time.Since(start), tt.want, tt.takes)
				}
				if left := l.remaining(); left != tt.left {
					t.Errorf("%v are left, want %v", left, tt.left)
				}
				if tt.left > 0 {
					time.Sleep(tt.left - 1)
					synctest.Wait()
					if work.Err() != nil {
						t.Error("the work was canceled too early")
					}
					time.Sleep(time.Nanosecond)
				}
				synctest.Wait()
				if work.Err() == nil {
					t.Error("the work goes on")
				}
			})
		})
	}
}

// hangs is a request, or an answer, that doesn't arrive.
func hangs(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }

// C14: of a first renewal, too, the answer may be late.
func TestLateStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, w := newTestLease("a", &server{})
		work := l.hold(t.Context())
		w.break_(nil, func(context.Context, string) error { time.Sleep(4 * time.Second); return nil })
		if err := l.Create(t.Context(), recordOf("a")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if work.Err() == nil {
			t.Error("the work goes on 10 s after the renewal was sent")
		}
	})
}

// A holder whose clock stands still writes the same record again and again: the
// others see renewals all the same.
func TestLeaseOfAStoppedClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{}
		a, _, _, record := newHeldLease(t, s)
		b, _ := newTestLease("b", s)
		_, first, err := b.Get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, again, err := b.Get(t.Context()); err != nil || !bytes.Equal(first, again) {
			t.Errorf("Get() without a renewal = %s, %v, want what it was", again, err)
		}
		if err := a.Update(t.Context(), record); err != nil {
			t.Fatal(err)
		}
		if _, second, err := b.Get(t.Context()); err != nil || bytes.Equal(first, second) {
			t.Errorf("Get() after a renewal = %s, %v, want another record than before", second, err)
		}
	})
}

// C14: what a process reads that holds a lease, or waits for it: only what it has
// written itself is its own, and only what was released is free.
func TestGet(t *testing.T) {
	const other = "a process other than a"
	tests := []struct {
		name    string
		edit    func(*coordinationv1.LeaseSpec)
		holder  string
		seconds int
	}{
		{name: "unchanged", edit: func(*coordinationv1.LeaseSpec) {}, holder: "a", seconds: 15},
		{name: "another's", edit: func(l *coordinationv1.LeaseSpec) { l.HolderIdentity = new("b") }, holder: "b", seconds: 15},
		{name: "for a second", edit: func(l *coordinationv1.LeaseSpec) {
			l.HolderIdentity, l.LeaseDurationSeconds = new("b"), new(int32(1))
		}, holder: "b", seconds: 15},
		{name: "for a minute", edit: func(l *coordinationv1.LeaseSpec) {
			l.HolderIdentity, l.LeaseDurationSeconds = new("b"), new(int32(60))
		}, holder: "b", seconds: 60},
		{name: "released", edit: give, holder: "", seconds: 1},
		{name: "nobody's", edit: func(l *coordinationv1.LeaseSpec) { l.HolderIdentity = new("") }, holder: other, seconds: 15},
		{name: "empty", edit: func(l *coordinationv1.LeaseSpec) { *l = coordinationv1.LeaseSpec{} }, holder: other, seconds: 15},
		{name: "of the same name", edit: func(l *coordinationv1.LeaseSpec) { l.AcquireTime = new(metav1.NowMicro()) }, holder: other, seconds: 15},
		{name: "of the same name, without a time", edit: func(l *coordinationv1.LeaseSpec) { l.AcquireTime = nil }, holder: other, seconds: 15},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &server{}
				l, _, work, _ := newHeldLease(t, s)
				// A later process of the same name owns nothing at all.
				second, _ := newTestLease("a", s)
				time.Sleep(time.Second)
				s.edit(tt.edit)
				record, _, err := l.Get(t.Context())
				if err != nil || record.HolderIdentity != tt.holder || record.LeaseDurationSeconds != tt.seconds {
					t.Errorf("Get() = %v, %v, want %q for %d s", record, err, tt.holder, tt.seconds)
				}
				if lost := work.Err() != nil; lost != (tt.holder != "a") || lost != (l.remaining() <= 0) {
					t.Errorf("the work was canceled: %v, want it if the lease isn't its own", lost)
				}
				holder := tt.holder
				if holder == "a" {
					holder = other
				}
				if record, _, err := second.Get(t.Context()); err != nil || record.HolderIdentity != holder || record.LeaseDurationSeconds != tt.seconds {
					t.Errorf("Get() of another process = %v, %v, want %q for %d s", record, err, holder, tt.seconds)
				}
			})
		})
	}
}

// C14: a Lease that doesn't exist may have a holder that doesn't know: a process that
// waits finds it another's until none was found for a whole LeaseDuration.
func TestGetNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{}
		l, w := newTestLease("a", s)
		var first []byte
		taken := func() {
			t.Helper()
			record, raw, err := l.Get(t.Context())
			if err != nil || record.HolderIdentity != "a process other than a" || record.LeaseDurationSeconds != 15 {
				t.Errorf("Get() = %v, %v, want another process's for 15 s", record, err)
			}
			if first == nil {
				first = raw
			}
			if !bytes.Equal(raw, first) {
				t.Errorf("Get() = %s, want what it was, %s", raw, first)
			}
		}
		again := func(interrupt func()) {
			t.Helper()
			first = nil
			taken()
			time.Sleep(15*time.Second - 1)
			taken()
			interrupt()
		}
		again(func() {
			w.break_(func(context.Context, string) error { return errors.New("connection refused") }, nil)
			if record, _, err := l.Get(t.Context()); err == nil || apierrors.IsNotFound(err) {
				t.Errorf("Get() without an answer = %v, %v, want an error", record, err)
			}
			w.break_(nil, nil)
		})
		again(func() {
			w.break_(hangs, nil)
			start := time.Now()
			if _, _, err := l.Get(t.Context()); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 5*time.Second {
				t.Errorf("Get() without an answer = %v after %v, want an error after 5 s", err, time.Since(start))
			}
			w.break_(nil, nil)
		})
		again(func() {
			s.edit(give) // and somebody takes it, and it is deleted, before the next look
			if _, _, err := l.Get(t.Context()); err != nil {
				t.Error(err)
			}
			s.edit(nil)
		})
		again(func() { time.Sleep(time.Nanosecond) })
		if record, _, err := l.Get(t.Context()); !apierrors.IsNotFound(err) {
			t.Errorf("Get() after 15 s without a Lease = %v, %v, want NotFound", record, err)
		}
		w.ended(t)
	})
}

// C14: a holder creates its lease again that somebody has deleted, unless it was
// suspended, and the lease another's meanwhile.
func TestGetNothingOfAHolder(t *testing.T) {
	for _, suspended := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := &server{}
			l, _, _, _ := newHeldLease(t, s)
			s.edit(nil)
			if suspended {
				l.renewed = l.renewed.Round(0).Add(-10 * time.Second)
			}
			if record, _, err := l.Get(t.Context()); apierrors.IsNotFound(err) == suspended || (record == nil) == suspended {
				t.Errorf("suspended: %v, Get() = %v, %v", suspended, record, err)
			}
		})
	}
}

// A lease that is another's, by whatever means, ends the work at once.
func TestLeaseIsAnothers(t *testing.T) {
	s := &server{}
	a, _, work, _ := newHeldLease(t, s)
	b, _ := newTestLease("b", s)
	b.hold(t.Context())
	if err := b.Update(t.Context(), recordOf("b")); err == nil {
		t.Error("Update() of what wasn't read = nil, want an error")
	}
	if _, _, err := b.Get(t.Context()); err != nil {
		t.Fatal(err)
	}
	many := recordOf("b")
	many.LeaderTransitions = math.MaxInt32 + 1
	if err := b.Update(t.Context(), many); err != nil {
		t.Fatal(err)
	}
	if n := *s.spec().LeaseTransitions; n != math.MaxInt32 {
		t.Errorf("the Lease had %d holders, want as many as can be", n)
	}
	if work.Err() != nil {
		t.Fatal("the work ended before the process knew")
	}
	if _, _, err := a.Get(t.Context()); err != nil {
		t.Fatal(err)
	}
	if work.Err() == nil {
		t.Error("the work goes on although the lease is another's")
	}
	if err := a.release(t.Context()); err != nil || s.holder() != "b" {
		t.Errorf("the lease is %q's, %v; want it left alone", s.holder(), err)
	}
}

// C14: the release waits for an answer as long as a renewal does, and ends the work
// whatever comes of it. It works after a renewal whose answer was lost, too.
func TestRelease(t *testing.T) {
	for _, lost := range []string{"", "get", "update"} {
		synctest.Test(t, func(t *testing.T) {
			s := &server{}
			l, w, work, record := newHeldLease(t, s)
			w.break_(nil, func(context.Context, string) error { return errors.New("connection reset") })
			if err := l.Update(t.Context(), record); err == nil {
				t.Error("Update() = nil, want the error")
			}
			w.break_(func(ctx context.Context, verb string) error {
				if verb == lost {
					return hangs(ctx, verb)
				}
				return nil
			}, nil)
			start := time.Now()
			err := l.release(t.Context())
			if want := lost != ""; errors.Is(err, context.DeadlineExceeded) != want || !want && err != nil || want != (time.Since(start) == 5*time.Second) || want != (s.holder() == "a") {
				t.Errorf("%s lost: release() = %v after %v, the holder is %q", lost, err, time.Since(start), s.holder())
			}
			if work.Err() == nil || l.remaining() > 0 {
				t.Error("the work goes on")
			}
			w.ended(t)
		})
	}
	l, w := newTestLease("a", &server{})
	if err := l.release(t.Context()); err != nil || len(w.contexts) > 0 {
		t.Errorf("release() of what was never held = %v, want nothing sent", err)
	}
}

// A machine that was suspended has a monotonic clock that stood still, and one whose
// clock was set back has only that: the longer time counts.
func TestElapsed(t *testing.T) {
	since := time.Now()
	wall := since.Round(0)
	for _, tt := range []struct {
		name string
		now  time.Time
		want time.Duration
	}{
		{"both clocks", since.Add(5 * time.Second), 5 * time.Second},
		{"suspended", wall.Add(time.Hour), time.Hour},
	} {
		if got := elapsed(since, tt.now); got != tt.want {
			t.Errorf("%s: elapsed() = %v, want %v", tt.name, got, tt.want)
		}
	}
}
