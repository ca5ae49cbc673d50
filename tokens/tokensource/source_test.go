package tokensource_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/tokensource"
)

// A mill mints tokens called token-1, token-2 and so on, which live for life.
type mill struct {
	life time.Duration
	took time.Duration // how long a call takes

	mu     sync.Mutex
	calls  int
	failed error // what the next calls return
}

func (m *mill) mint(ctx context.Context) (*tokens.Token, error) {
	select {
	case <-time.After(m.took):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	if m.failed != nil {
		return nil, m.failed
	}
	token := &tokens.Token{Value: fmt.Sprintf("token-%d", m.calls), ID: fmt.Sprint(m.calls), IssuedAt: time.Now()}
	if m.life > 0 {
		token.Expiry = time.Now().Add(m.life)
	}
	return token, nil
}

func (m *mill) fail(err error) { m.mu.Lock(); m.failed = err; m.mu.Unlock() }

func newSource(t *testing.T, cfg tokensource.Config) *tokensource.Source {
	t.Helper()
	s, err := tokensource.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// wantToken checks which token s returns.
func wantToken(t *testing.T, s *tokensource.Source, want string) {
	t.Helper()
	token, err := s.Token(t.Context())
	if err != nil {
		t.Fatalf("got %v, want %s", err, want)
	}
	if token.Value != want {
		t.Fatalf("got %s, want %s", token.Value, want)
	}
}

// afterBackground asks for a token and lets what that has begun end.
func afterBackground(t *testing.T, s *tokensource.Source) {
	t.Helper()
	if _, err := s.Token(t.Context()); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

// A clock that is set back neither keeps an old token in use nor delays the next call
// of Mint.
func TestSourceClockSetBack(t *testing.T) {
	synctest.Test(t, testSourceClockSetBack)
}

func testSourceClockSetBack(t *testing.T) {
	clock, calls := now, 0
	var fails error
	s := must(tokensource.New(tokensource.Config{Now: func() time.Time { return clock }, Mint: func(context.Context) (*tokens.Token, error) {
		calls++
		return &tokens.Token{Value: fmt.Sprint("token ", calls), Expiry: clock.Add(time.Hour)}, fails
	}}))
	minted := func(when string, want int) {
		t.Helper()
		for range 3 { // renewals are in the background
			_, _ = s.Token(t.Context())
			synctest.Wait()
		}
		if calls != want {
			t.Errorf("%s: %d calls of Mint, want %d", when, calls, want)
		}
	}
	minted("no token yet", 1)
	clock = clock.Add(-2 * time.Hour)
	minted("set back", 2)
	clock, fails = clock.Add(time.Hour), errors.New("down")
	minted("expired and down", 3)
	clock = clock.Add(-2 * time.Hour)
	minted("set back during the back-off", 4)
	clock, fails = clock.Add(-time.Hour), nil
	minted("up again", 5)
	s.Discard("token 5")
	clock = clock.Add(-time.Hour)
	s.Discard("token 5")
	if !strings.Contains(s.String(), "no token") {
		t.Errorf("a token discarded after the clock was set back is kept: %v", s)
	}
}

// Nor does a clock that jumps make a call of Token wait for more than one of Mint.
func TestSourceClockJumps(t *testing.T) {
	for _, fails := range []error{nil, errors.New("down")} {
		clock, calls := now, 0
		s := must(tokensource.New(tokensource.Config{
			Now: func() time.Time { clock = clock.Add(time.Hour); return clock },
			Mint: func(context.Context) (*tokens.Token, error) {
				if calls++; calls > 1 {
					return nil, errors.New("another call")
				}
				return &tokens.Token{Value: "token", Expiry: clock.Add(90 * time.Minute)}, fails
			},
		}))
		if _, err := s.Token(t.Context()); !errors.Is(err, fails) || calls != 1 {
			t.Errorf("Token() = %v after %d calls of Mint, want %v after one", err, calls, fails)
		}
	}
}

// KUB-3, KUB-4
func TestSourceRenews(t *testing.T) {
	tests := []struct {
		name          string
		life          time.Duration
		early, latest time.Duration // between these two it gets the next one
	}{
		{"four fifths of its life", time.Hour, 43 * time.Minute, 48 * time.Minute},
		{"a day", 30 * 24 * time.Hour, 21*time.Hour + 30*time.Minute, 24 * time.Hour},
		{"no expiry", 0, 21*time.Hour + 30*time.Minute, 24 * time.Hour},
		{"the shortest that can be requested", 10 * time.Minute, 430 * time.Second, 8 * time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &mill{life: tt.life}
				s := newSource(t, tokensource.Config{Mint: m.mint})
				wantToken(t, s, "token-1")
				time.Sleep(tt.early)
				afterBackground(t, s)
				wantToken(t, s, "token-1")
				time.Sleep(tt.latest - tt.early)
				wantToken(t, s, "token-1") // at once; the next one comes in the background
				synctest.Wait()
				wantToken(t, s, "token-2")
			})
		})
	}
}

// KUB-7, KUB-8
func TestSourceKeepsServing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mill{life: time.Hour}
		s := newSource(t, tokensource.Config{Mint: m.mint})
		wantToken(t, s, "token-1")
		down := errors.New("the API server is down")
		m.fail(down)
		for range 59 {
			time.Sleep(time.Minute)
			wantToken(t, s, "token-1")
			synctest.Wait()
		}
		if !errors.Is(s.Err(), down) {
			t.Errorf("Err is %v, want the error of Mint", s.Err())
		}
		// 48 minutes at the latest until the first attempt, then one a minute.
		if m.calls < 1+11 || m.calls > 1+17 {
			t.Errorf("Mint was called %d times, want 12 to 18", m.calls)
		}
		time.Sleep(time.Minute)
		if token, err := s.Token(t.Context()); !errors.Is(err, down) {
			t.Fatalf("got %v, %v after the token expired, want the error of Mint", token, err)
		}
		m.fail(nil)
		time.Sleep(time.Minute)
		afterBackground(t, s)
		if s.Err() != nil {
			t.Errorf("Err is %v after a success, want nil", s.Err())
		}
	})
}

func TestSourcePauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mill{}
		m.fail(errors.New("down"))
		s := newSource(t, tokensource.Config{Mint: m.mint})
		var at []time.Duration // of the calls of Mint
		start := time.Now()
		for calls := 0; time.Since(start) < 5*time.Minute; time.Sleep(100 * time.Millisecond) {
			if _, err := s.Token(t.Context()); err == nil {
				t.Fatal("got a token from a mill that is down")
			}
			if m.calls > calls {
				calls = m.calls
				at = append(at, time.Since(start))
			}
		}
		want := "[0s 1s 3s 7s 15s 31s 1m3s 2m3s 3m3s 4m3s]"
		if got := fmt.Sprint(at); got != want {
			t.Errorf("Mint was called at %s, want %s", got, want)
		}
		// After a success it begins with a second again.
		m.fail(nil)
		time.Sleep(time.Minute)
		wantToken(t, s, "token-11")
		m.fail(errors.New("down"))
		time.Sleep(time.Second)
		s.Discard("token-11")
		for range 2 {
			if _, err := s.Token(t.Context()); err == nil {
				t.Fatal("got a token that was discarded")
			}
			time.Sleep(time.Second)
		}
		if m.calls != 13 {
			t.Errorf("Mint was called %d times, want another time a second after the first failure", m.calls)
		}
	})
}

// KUB-10, KUB-14
func TestSourceCallsMintOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mill{life: time.Hour, took: time.Second}
		s := newSource(t, tokensource.Config{Mint: m.mint})
		impatient, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		var group sync.WaitGroup
		group.Go(func() {
			if _, err := s.Token(impatient); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want the end of the context", err)
			}
		})
		for range 50 {
			group.Go(func() {
				if token, err := s.Token(t.Context()); err != nil || token.Value != "token-1" {
					t.Errorf("got %v, %v", token, err)
				}
			})
		}
		group.Wait()
		if m.calls != 1 {
			t.Errorf("Mint was called %d times, want once, whoever has given up", m.calls)
		}
	})
}

// KUB-13
func TestSourceNewUID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		uid := types.UID("first")
		change := func(to types.UID) { mu.Lock(); uid = to; mu.Unlock() }
		m := &mill{life: time.Hour, took: 10 * time.Second}
		s := newSource(t, tokensource.Config{Mint: m.mint, UID: func() types.UID { mu.Lock(); defer mu.Unlock(); return uid }})
		wantToken(t, s, "token-1")
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Token(cancelled); err != context.Canceled {
			t.Errorf("Token() = %v with a token that works, want the error of the context", err)
		}
		change("second")
		go func() { time.Sleep(5 * time.Second); change("third") }()
		wantToken(t, s, "token-3") // the second was asked for when the object was another
		m.fail(errors.New("down"))
		change("fourth")
		if token, err := s.Token(t.Context()); err == nil {
			t.Errorf("got %s, which is of an object that is gone", token.Value)
		}
	})
}

func TestSourceDiscard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mill{life: time.Hour}
		s := newSource(t, tokensource.Config{Mint: m.mint})
		s.Discard("")
		wantToken(t, s, "token-1")
		s.Discard("token-1")
		wantToken(t, s, "token-1") // it is too new for that
		time.Sleep(time.Second)
		s.Discard("token-0")
		wantToken(t, s, "token-1")
		s.Discard("token-1")
		wantToken(t, s, "token-2")
	})
}

func TestSourceBadMints(t *testing.T) {
	tests := []struct {
		name string
		mint func(context.Context) (*tokens.Token, error)
		want string
	}{
		{"neither", func(context.Context) (*tokens.Token, error) { return nil, nil }, "tokensource: getting a new token: Mint returned neither a token nor an error"},
		{"no value", func(context.Context) (*tokens.Token, error) { return &tokens.Token{}, nil }, "tokensource: getting a new token: Mint returned neither a token nor an error"},
		{"expired", func(context.Context) (*tokens.Token, error) {
			return &tokens.Token{Value: "secret", Expiry: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)}, nil
		}, "tokensource: getting a new token: the one that Mint returned expired at 1999-01-01T00:00:00Z"},
		{"panic", func(context.Context) (*tokens.Token, error) { panic("secret") }, "tokensource: getting a new token: the function Mint panicked"},
		{"a deadline of its own", func(context.Context) (*tokens.Token, error) { return nil, context.DeadlineExceeded }, "tokensource: getting a new token: context deadline exceeded"},
		{"too slow", func(ctx context.Context) (*tokens.Token, error) { <-ctx.Done(); return nil, errors.New("given up") }, "tokensource: getting a new token: "},
		{"deaf", func(ctx context.Context) (*tokens.Token, error) {
			time.Sleep(time.Hour)
			return &tokens.Token{Value: "secret"}, nil
		}, "tokensource: getting a new token: the function Mint took longer than 2s: context deadline exceeded"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				minting := make(chan context.Context, 1)
				s := newSource(t, tokensource.Config{MintTimeout: 2 * time.Second, Mint: func(ctx context.Context) (*tokens.Token, error) {
					minting <- ctx
					return tt.mint(ctx)
				}})
				start := time.Now()
				_, err := s.Token(t.Context())
				if err == nil || !strings.HasPrefix(err.Error(), tt.want) || strings.Contains(err.Error(), "secret") {
					t.Errorf("got %v, want %s", err, tt.want)
				}
				if took := time.Since(start); took > 2*time.Second {
					t.Errorf("took %v, want at most MintTimeout", took)
				}
				if (<-minting).Err() == nil {
					t.Error("the context of Mint goes on after it")
				}
				time.Sleep(time.Hour) // the deaf one ends too
			})
		})
	}
}

// Without a MintTimeout, a call of Mint may take 30 seconds.
func TestSourceDefaultMintTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(t, tokensource.Config{Mint: func(ctx context.Context) (*tokens.Token, error) { <-ctx.Done(); return nil, ctx.Err() }})
		start := time.Now()
		if _, err := s.Token(t.Context()); err == nil || time.Since(start) != 30*time.Second {
			t.Errorf("Token() = %v after %v, want an error after 30s", err, time.Since(start))
		}
	})
}

// Observe gets each call of Mint, with what is there after it.
func TestSourceObserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events []tokensource.Event
		m := &mill{life: time.Hour, took: time.Second}
		s := newSource(t, tokensource.Config{Mint: m.mint, Observe: func(_ context.Context, e tokensource.Event) { events = append(events, e) }})
		m.fail(errors.New("down"))
		if _, err := s.Token(t.Context()); err == nil {
			t.Fatal("there is a token")
		}
		m.fail(nil)
		time.Sleep(time.Minute)
		expiry := time.Now().Add(time.Second + time.Hour)
		wantToken(t, s, "token-2")
		m.fail(errors.New("down"))
		time.Sleep(50 * time.Minute)
		afterBackground(t, s)
		time.Sleep(time.Second)
		synctest.Wait()
		if len(events) != 3 {
			t.Fatalf("Observe got %+v, want three Events", events)
		}
		for i, want := range []tokensource.Event{{Took: time.Second}, {Took: time.Second, Expiry: expiry, CredentialID: "JTI=2"}, {Took: time.Second, Expiry: expiry}} {
			if e := events[i]; e.Took != want.Took || !e.Expiry.Equal(want.Expiry) || e.CredentialID != want.CredentialID || (e.Err == nil) != (i == 1) {
				t.Errorf("Observe got %+v, want %+v", e, want)
			}
		}
	})
}

func TestNewSourceRefuses(t *testing.T) {
	_, err := tokensource.New(tokensource.Config{MintTimeout: -1})
	if err == nil || !strings.Contains(err.Error(), "Config.Mint is required") || !strings.Contains(err.Error(), "Config.MintTimeout is -1ns") {
		t.Errorf("got %v, want both mistakes", err)
	}
}

func TestSourcePrintsNoToken(t *testing.T) {
	s := newSource(t, tokensource.Config{Mint: func(context.Context) (*tokens.Token, error) {
		return &tokens.Token{Value: "very-secret", ID: "7"}, nil
	}})
	for _, want := range []string{"tokensource.Source(no token)", "tokensource.Source(tokens.Token(JTI=7, "} {
		text := fmt.Sprintf("%v %+v %#v %s %q %x", s, s, s, s, s, s) + string(must(json.Marshal(s)))
		if strings.Contains(text, "very-secret") || strings.Count(text, want) != 7 {
			t.Errorf("it prints as %s, want %s", text, want)
		}
		wantToken(t, s, "very-secret")
	}
}

func TestTokenOf(t *testing.T) {
	expiry := metav1.NewTime(now)
	for _, tr := range []*authenticationv1.TokenRequest{
		nil, {},
		{Status: authenticationv1.TokenRequestStatus{ExpirationTimestamp: expiry}},
		{Status: authenticationv1.TokenRequestStatus{Token: "secret"}},
	} {
		if token, err := tokensource.TokenOf(tr); token != nil || err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v: got %v, %v, want an error without the token", tr, token, err)
		}
	}
	token, err := tokensource.TokenOf(&authenticationv1.TokenRequest{Status: authenticationv1.TokenRequestStatus{Token: "secret", ExpirationTimestamp: expiry}})
	if err != nil || token.Value != "secret" || !token.Expiry.Equal(now) {
		t.Errorf("got %v, %v", token, err)
	}
}
