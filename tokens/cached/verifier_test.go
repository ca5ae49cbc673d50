package cached_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubesa/serviceaccount/tenant"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/cached"
)

// A verifier takes a time for each answer.
type verifier struct {
	took  time.Duration
	err   error
	calls atomic.Int32
	seen  func(ctx context.Context, token string, audiences []string) (*tokens.Identity, error)
}

func (v *verifier) Authenticate(ctx context.Context, token string, audiences ...string) (*tokens.Identity, error) {
	v.calls.Add(1)
	time.Sleep(v.took)
	if v.seen != nil {
		return v.seen(ctx, token, audiences)
	}
	if v.err != nil {
		return nil, v.err
	}
	return &tokens.Identity{Name: token, Audiences: append([]string(nil), audiences...)}, nil
}

func newCached(t *testing.T, v tokens.Verifier, change func(*cached.Config)) *cached.Verifier {
	t.Helper()
	cfg := cached.Config{Verifier: v, TTL: 10 * time.Second}
	if change != nil {
		change(&cfg)
	}
	c, err := cached.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// until returns a token that nobody signed, with an expiry.
func until(expiry time.Time) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"ES256","kid":"k"}`)) + "." + encode(fmt.Appendf(nil, `{"exp":%d}`, expiry.Unix())) + "." + encode(make([]byte, 64))
}

// TRC-26, TRC-41
func TestTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &verifier{took: 3 * time.Second}
		c := newCached(t, v, nil)
		ask := func(when, token string, calls int32) {
			t.Helper()
			id, err := c.Authenticate(t.Context(), token, "a")
			if err != nil || id.Name != token || id.Audiences[0] != "a" || v.calls.Load() != calls {
				t.Errorf("%s: Authenticate() = %v, %v after %d calls, want %d", when, id, err, v.calls.Load(), calls)
			}
			id.Audiences[0], id.Name = "changed", "changed"
		}
		ask("at first", "x", 1) // counts from its beginning, 3 s ago
		ask("again", "x", 1)
		time.Sleep(7*time.Second - 1)
		ask("just before", "x", 1)
		time.Sleep(time.Nanosecond)
		ask("after TTL", "x", 2)
		ask("another token", "y", 3)

		v.took = 0
		short := until(time.Now().Add(5 * time.Second))
		ask("a token that lives 5 s", short, 4)
		time.Sleep(4 * time.Second)
		ask("before its end", short, 4)
		time.Sleep(time.Second)
		ask("at its end, as the Verifier says", short, 5)
		ask("an expired token isn't remembered", short, 6)
	})
}

// TRC-23, TRC-29: an answer is for the tenant, the token, and the audiences in their
// order.
func TestKeys(t *testing.T) {
	v := &verifier{}
	c := newCached(t, v, nil)
	questions := []struct {
		tenant, token string
		audiences     []string
	}{
		{"", "x", nil}, {"", "x", []string{"a"}}, {"", "x", []string{"a", "b"}}, {"", "x", []string{"b", "a"}}, {"", "x", []string{"ab"}}, {"", "x", []string{"a", "b", ""}},
		{"red", "x", nil}, {"x", "", nil}, {"", "xa", nil}, {"r", "edx", nil},
	}
	for range 2 {
		for _, q := range questions {
			id, err := c.Authenticate(tenant.NewContext(t.Context(), q.tenant), q.token, q.audiences...)
			if err != nil || id.Name != q.token || strings.Join(id.Audiences, ",") != strings.Join(q.audiences, ",") {
				t.Errorf("%v: Authenticate() = %v, %v", q, id, err)
			}
		}
		if got := int(v.calls.Load()); got != len(questions) {
			t.Errorf("%d calls for %d questions", got, len(questions))
		}
	}
}

// TRC-24, TRC-25, TRC-44
func TestErrors(t *testing.T) {
	invalid, foreign := &tokens.InvalidError{Reason: tokens.ReasonRefused}, &tokens.NotRecognizedError{Reason: tokens.ReasonMalformed}
	down := &tokens.UnavailableError{Subject: "TokenReview", Err: errors.New("down")}
	for _, tt := range []struct {
		name       string
		err        error
		remembered bool
	}{{"rejected", invalid, true}, {"not recognized", foreign, true}, {"unavailable", down, false}, {"another error", errors.New("x"), false}} {
		for _, ttl := range []time.Duration{0, time.Second} {
			synctest.Test(t, func(t *testing.T) {
				v := &verifier{err: tt.err}
				c := newCached(t, v, func(cfg *cached.Config) { cfg.NegativeTTL = ttl })
				for range 2 {
					id, err := c.Authenticate(t.Context(), "x")
					if !errors.Is(err, tt.err) || id != nil {
						t.Errorf("%s: Authenticate() = %v, %v", tt.name, id, err)
					}
					if err != tt.err && tt.name != "another error" {
						t.Errorf("%s: Authenticate() = %v, want the error of the Verifier as it is", tt.name, err)
					}
				}
				want := int32(2)
				if tt.remembered && ttl > 0 {
					want = 1
				}
				if got := v.calls.Load(); got != want {
					t.Errorf("%s, NegativeTTL %v: %d calls, want %d", tt.name, ttl, got, want)
				}
				time.Sleep(ttl)
				v.err = nil
				if _, err := c.Authenticate(t.Context(), "x"); err != nil {
					t.Errorf("%s: after NegativeTTL, Authenticate() = %v", tt.name, err)
				}
			})
		}
	}
}

// TRC-30
func TestFaults(t *testing.T) {
	for name, seen := range map[string]func(context.Context, string, []string) (*tokens.Identity, error){
		"nothing": func(context.Context, string, []string) (*tokens.Identity, error) { return nil, nil },
		"both": func(context.Context, string, []string) (*tokens.Identity, error) {
			return &tokens.Identity{}, errors.New("x")
		},
		"panic": func(context.Context, string, []string) (*tokens.Identity, error) { panic("hunter2") },
	} {
		var event cached.Event
		c := newCached(t, &verifier{seen: seen}, func(cfg *cached.Config) { cfg.Observe = func(_ context.Context, e cached.Event) { event = e } })
		id, err := c.Authenticate(t.Context(), "x")
		if _, ok := errors.AsType[*tokens.UnavailableError](err); !ok || id != nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: Authenticate() = %v, %v, want an UnavailableError", name, id, err)
		}
		if event.Err != err || (event.Panic != nil) != (name == "panic") || event.Hit {
			t.Errorf("%s: Observe got %+v", name, event)
		}
	}
}

// TRC-28: one call for many; one that gives up doesn't end it.
func TestSharedCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hits, misses, fetches atomic.Int32
		v := &verifier{took: 2 * time.Second, seen: func(ctx context.Context, _ string, _ []string) (*tokens.Identity, error) {
			return &tokens.Identity{}, ctx.Err()
		}}
		c := newCached(t, v, func(cfg *cached.Config) {
			cfg.Observe = func(_ context.Context, e cached.Event) {
				switch {
				case e.Hit:
					hits.Add(1)
				case e.Asked:
					fetches.Add(1)
					fallthrough
				default:
					misses.Add(1)
				}
			}
		})
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := c.Authenticate(impatient, "x"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Authenticate() = %v, want DeadlineExceeded", err)
			}
		})
		time.Sleep(time.Millisecond)
		for range 50 {
			wg.Go(func() {
				if _, err := c.Authenticate(t.Context(), "x"); err != nil {
					t.Errorf("Authenticate() = %v", err)
				}
			})
		}
		wg.Wait()
		if _, err := c.Authenticate(t.Context(), "x"); err != nil {
			t.Error(err)
		}
		if v.calls.Load() != 1 || hits.Load() != 1 || misses.Load() != 51 {
			t.Errorf("%d calls, %d hits, %d misses, want 1, 1, 51", v.calls.Load(), hits.Load(), misses.Load())
		}
		if fetches.Load() != 1 {
			t.Errorf("%d calls say that they asked, want 1", fetches.Load())
		}
		gone, cancelGone := context.WithCancel(t.Context())
		cancelGone()
		if _, err := c.Authenticate(gone, "x"); !errors.Is(err, context.Canceled) {
			t.Errorf("with a context that is done, Authenticate() = %v", err)
		}
		if fetches.Load() != 1 {
			t.Error("a call whose context is done says that it asked")
		}
	})
}

// An answer that took longer than TTL counts for those who asked at its beginning only.
func TestSlowCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var revoked atomic.Bool
		v := &verifier{}
		v.seen = func(context.Context, string, []string) (*tokens.Identity, error) {
			accepted := !revoked.Load()
			time.Sleep(15 * time.Second)
			if !accepted {
				return nil, &tokens.InvalidError{Reason: tokens.ReasonRefused}
			}
			return &tokens.Identity{}, nil
		}
		c := newCached(t, v, nil)
		var wg sync.WaitGroup
		wg.Go(func() { c.Authenticate(t.Context(), "x") })
		time.Sleep(time.Second)
		revoked.Store(true)
		if _, err := c.Authenticate(t.Context(), "x"); err == nil {
			t.Error("a token that was revoked 29 s ago was accepted")
		}
		wg.Wait()
		if _, err := c.Authenticate(t.Context(), "x"); err == nil {
			t.Error("it was accepted afterwards")
		}
	})
}

// A rejection counts for those who asked before it was decided on only, and then for
// NegativeTTL: a token may have become valid since.
func TestSlowRejections(t *testing.T) {
	for _, tt := range []struct {
		negativeTTL, took time.Duration
		calls             int32
	}{
		{0, 5 * time.Second, 2},
		{4 * time.Second, 5 * time.Second, 2},
		{6 * time.Second, 5 * time.Second, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			v := &verifier{took: tt.took, err: &tokens.InvalidError{Reason: tokens.ReasonRefused}}
			c := newCached(t, v, func(cfg *cached.Config) { cfg.NegativeTTL = tt.negativeTTL })
			var wg sync.WaitGroup
			wg.Go(func() { c.Authenticate(t.Context(), "x") })
			time.Sleep(time.Second)
			for range 100 {
				wg.Go(func() {
					if _, err := c.Authenticate(t.Context(), "x"); err == nil {
						t.Error("the token was accepted")
					}
				})
			}
			wg.Wait()
			if got := v.calls.Load(); got != tt.calls {
				t.Errorf("NegativeTTL %v: %d calls, want %d", tt.negativeTTL, got, tt.calls)
			}
		})
	}
}

// An outage is one for all who wait for the same call: none of them asks again.
func TestSharedOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &verifier{took: 5 * time.Second, err: errors.New("down")}
		c := newCached(t, v, nil)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if _, err := c.Authenticate(t.Context(), "x"); !errors.Is(err, v.err) {
					t.Errorf("Authenticate() = %v, want the outage", err)
				}
			})
			time.Sleep(100 * time.Millisecond)
		}
		wg.Wait()
		if got := v.calls.Load(); got != 1 {
			t.Errorf("%d calls, want 1", got)
		}
	})
}

// Whoever asks TTL after a call that hangs doesn't wait for it, and what it says at last
// replaces no newer answer. Without a Timeout it ends after 30 s.
func TestHangingCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &verifier{}
		v.seen = func(ctx context.Context, _ string, _ []string) (*tokens.Identity, error) {
			if v.calls.Load() == 1 {
				<-ctx.Done()
				return nil, &tokens.InvalidError{Reason: tokens.ReasonRefused}
			}
			return &tokens.Identity{}, nil
		}
		c := newCached(t, v, func(cfg *cached.Config) { cfg.NegativeTTL = time.Minute })
		var wg sync.WaitGroup
		wg.Go(func() {
			start := time.Now()
			if _, err := c.Authenticate(t.Context(), "x"); err == nil || time.Since(start) != 30*time.Second {
				t.Errorf("Authenticate() = %v after %v, want an error after 30 s", err, time.Since(start))
			}
		})
		time.Sleep(25 * time.Second)
		start := time.Now()
		if _, err := c.Authenticate(t.Context(), "x"); err != nil || time.Since(start) != 0 {
			t.Errorf("Authenticate() = %v after %v, want the answer of another call at once", err, time.Since(start))
		}
		wg.Wait()
		if _, err := c.Authenticate(t.Context(), "x"); err != nil || v.calls.Load() != 2 {
			t.Errorf("Authenticate() = %v after %d calls, want the newer answer", err, v.calls.Load())
		}
	})
}

// What is remembered is the Identity as it was returned, for as long as it says, and the
// context of the Verifier ends with its call.
func TestIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := &tokens.Identity{Name: "builder", Expiry: time.Now().Add(3 * time.Second), Audiences: []string{"a"}}
		var asking context.Context
		v := &verifier{took: time.Second, seen: func(ctx context.Context, _ string, _ []string) (*tokens.Identity, error) {
			asking = ctx
			return shared, nil
		}}
		var event cached.Event
		c := newCached(t, v, func(cfg *cached.Config) { cfg.Observe = func(_ context.Context, e cached.Event) { event = e } })
		token := until(time.Now().Add(8 * time.Second))
		for range 2 {
			id, err := c.Authenticate(t.Context(), token)
			if err != nil || id.Name != "builder" || id.Audiences[0] != "a" {
				t.Errorf("Authenticate() = %v, %v, want what the Verifier returned", id, err)
			}
			if event.Identity != id || event.Took != time.Second && !event.Hit {
				t.Errorf("Observe got %+v, want the Identity after a second", event)
			}
			if asking.Err() == nil {
				t.Error("the context of the Verifier goes on after its call")
			}
			shared.Name, shared.Audiences[0] = "changed", "changed"
		}
		time.Sleep(2 * time.Second)
		shared.Name = "builder"
		if _, _ = c.Authenticate(t.Context(), token); v.calls.Load() != 2 {
			t.Errorf("%d calls at the expiry that the Verifier said, want another", v.calls.Load())
		}
	})
}

// A hanging Verifier ends with Timeout, whatever the callers do.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCached(t, &verifier{took: time.Hour}, func(cfg *cached.Config) { cfg.Timeout = time.Second })
		start := time.Now()
		_, err := c.Authenticate(t.Context(), "x")
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != time.Second {
			t.Errorf("Authenticate() = %v after %v, want DeadlineExceeded after a second", err, took)
		}
		time.Sleep(2 * time.Hour)
	})
}

// TRC-27: a flood of bad tokens evicts no good one, and both are bounded in bytes.
func TestFlood(t *testing.T) {
	bad := &tokens.InvalidError{Reason: tokens.ReasonRefused}
	v := &verifier{seen: func(_ context.Context, token string, audiences []string) (*tokens.Identity, error) {
		if strings.HasPrefix(token, "bad") {
			return nil, bad
		}
		return &tokens.Identity{Name: token, Audiences: audiences}, nil
	}}
	c := newCached(t, v, func(cfg *cached.Config) { cfg.MaxBytes, cfg.TTL, cfg.NegativeTTL = 1<<20, time.Hour, time.Hour })
	for i := range 100 {
		c.Authenticate(t.Context(), fmt.Sprint("good", i))
	}
	for i := range 20000 {
		c.Authenticate(t.Context(), fmt.Sprint("bad", i), strings.Repeat("a", i%500))
	}
	before := v.calls.Load()
	for i := range 100 {
		c.Authenticate(t.Context(), fmt.Sprint("good", i))
	}
	if after := v.calls.Load(); after != before {
		t.Errorf("%d good tokens were evicted by bad ones", after-before)
	}
	c = newCached(t, v, func(cfg *cached.Config) { cfg.MaxBytes = 64 << 10 })
	before = v.calls.Load()
	for i := range 1000 {
		c.Authenticate(t.Context(), fmt.Sprint("good", min(i, 999-i))) // each twice, the newest first
	}
	if remembered := 1000 - (v.calls.Load() - before); remembered > 64<<10/200 || remembered < 10 {
		t.Errorf("%d tokens are remembered in 64 KiB", remembered)
	}
}

func TestNew(t *testing.T) {
	_, err := cached.New(cached.Config{Verifier: (*verifier)(nil), NegativeTTL: -1, MaxBytes: -1, Timeout: -1})
	const want = `cached: Config.Verifier is required, want a tokens.Verifier
cached: Config.TTL is 0s, want more than 0
cached: Config.NegativeTTL is -1ns, want 0 for the default or a positive value
cached: Config.MaxBytes is -1, want 0 for the default or a positive value
cached: Config.Timeout is -1ns, want 0 for the default or a positive value`
	if _, ok := errors.AsType[*cached.ConfigError](err); !ok || err.Error() != want {
		t.Errorf("New() =\n%v\nwant\n%s", err, want)
	}
}

// Ask an API server, or any other Verifier, about each token once in ten seconds.
func ExampleNew() {
	client := &verifier{} // a *tokenreview.Client
	verifier, err := cached.New(cached.Config{Verifier: client, TTL: 10 * time.Second})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 3 {
		id, err := verifier.Authenticate(context.Background(), "token", "vault")
		fmt.Println(id.Audiences, err)
	}
	fmt.Println("asked", client.calls.Load(), "time")

	// Output:
	// [vault] <nil>
	// [vault] <nil>
	// [vault] <nil>
	// asked 1 time
}

// What a hit costs beside the Verifier itself.
func BenchmarkHit(b *testing.B) {
	v := &verifier{}
	c, err := cached.New(cached.Config{Verifier: v, TTL: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	token := until(time.Now().Add(time.Hour))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Authenticate(b.Context(), token, "vault"); err != nil {
			b.Fatal(err)
		}
	}
}
