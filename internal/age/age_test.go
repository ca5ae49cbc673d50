package age_test

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubesa/serviceaccount/internal/age"
)

// What was never asked for is old, whatever time the clock of a test shows.
func TestSinceNever(t *testing.T) {
	clock := age.Clock(func() time.Time { return time.Time{}.Add(time.Second) })
	if got := clock.Now().Since(age.Time{}); got != math.MaxInt64 {
		t.Errorf("Since(zero) = %v, want for ever", got)
	}
}

func TestOf(t *testing.T) {
	const forever = math.MaxInt64
	for _, tt := range []struct {
		name       string
		clock      time.Duration // by which the clock of the config goes on
		real, want time.Duration
	}{
		{"both", time.Minute, time.Minute, time.Minute},
		{"nothing", 0, 0, 0},
		{"moved by hand", time.Hour, time.Second, time.Hour},
		{"set back a little", time.Second, time.Hour, time.Hour},
		{"stopped", 0, time.Hour, time.Hour},
		{"set back", -1, time.Second, forever},
		{"set back a year", -365 * 24 * time.Hour, 0, forever},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				now := time.Now().Round(0) // no monotonic reading
				clock := age.Clock(func() time.Time { return now })
				then := clock.Now()
				now = now.Add(tt.clock)
				time.Sleep(tt.real)
				if got := clock.Now().Of(then); got != tt.want {
					t.Errorf("Of() = %v, want %v", got, tt.want)
				}
				if got := clock.Now().Of(age.Time{}); got != forever {
					t.Errorf("Of(zero) = %v, want for ever", got)
				}
				since := tt.clock
				if since < 0 {
					since = forever
				}
				if got := clock.Now().Since(then); got != since {
					t.Errorf("Since() = %v, want %v by the clock", got, since)
				}
				if then.IsZero() || !(age.Time{}).IsZero() {
					t.Error("IsZero() is wrong")
				}
			})
		})
	}
}

func TestSpan(t *testing.T) {
	from := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	span := age.Span{From: from, Until: from.Add(time.Minute)}
	for after, want := range map[time.Duration]bool{-1: false, 0: true, time.Minute - 1: true, time.Minute: false} {
		if got := span.Holds(from.Add(after)); got != want {
			t.Errorf("Holds(%v later) = %v, want %v", after, got, want)
		}
	}
	if (age.Span{}).Holds(from) {
		t.Error("no time is in the zero Span")
	}
}
