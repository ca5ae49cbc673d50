package tokensource_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubesa/serviceaccount/internal/flight"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/tokensource"
)

// A Mint that ignores its context leaves a bounded number of goroutines, and is called
// again once it has returned. Each waits as long as its own context allows.
func TestSourceMintHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := newSource(t, tokensource.Config{MintTimeout: time.Second, Mint: func(context.Context) (*tokens.Token, error) {
			<-release
			return &tokens.Token{Value: "secret"}, nil
		}})
		impatient, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		if _, err := s.Token(impatient); err != context.DeadlineExceeded {
			t.Errorf("Token() = %v, want the error of its own context", err)
		}
		before := runtime.NumGoroutine()
		for range 1000 {
			time.Sleep(time.Minute) // the pause after a failure
			if _, err := s.Token(t.Context()); err == nil {
				t.Fatal("Token() returned one, want an error")
			}
		}
		synctest.Wait()
		if left := runtime.NumGoroutine() - before; left > 4+slack {
			t.Errorf("1,000 calls that hang left %d goroutines, want at most 4", left)
		}
		if want := "tokensource: getting a new token: the function Mint hangs: 4 calls have not returned"; s.Err().Error() != want {
			t.Errorf("Err() = %v, want %q", s.Err(), want)
		}
		close(release)
		time.Sleep(time.Minute)
		wantToken(t, s, "secret")
	})
}

// The error of a panic has the value and the stack for those who look for them.
func TestSourceMintPanicStack(t *testing.T) {
	var event tokensource.Event
	s := newSource(t, tokensource.Config{
		Mint:    func(context.Context) (*tokens.Token, error) { panic(errors.New("hunter2")) },
		Observe: func(_ context.Context, e tokensource.Event) { event = e },
	})
	_, err := s.Token(t.Context())
	value, stack := flight.PanicOf(err)
	if err == nil || strings.Contains(err.Error(), "hunter2") || value == nil || !strings.Contains(string(stack), "TestSourceMintPanicStack") {
		t.Errorf("Token() = %v with the panic %v and a stack of %d bytes, want both, and nothing of them in the text", err, value, len(stack))
	}
	if event.Panic != value || string(event.Stack) != string(stack) {
		t.Errorf("Observe got the panic %v, want %v and its stack", event.Panic, value)
	}
}

// slack is for goroutines that are ending.
const slack = 4
