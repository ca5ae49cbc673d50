package external_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubesa/serviceaccount/internal/flight"
	"github.com/kubesa/serviceaccount/keys/external"
)

// A stuck service ignores its context once it has a channel to wait for.
type stuck struct {
	*service
	release chan struct{}
}

func (s *stuck) Sign(ctx context.Context, claims string) (string, string, error) {
	<-s.release
	return s.service.Sign(ctx, claims)
}

func (s *stuck) MaxTokenLifetime(ctx context.Context) (time.Duration, error) {
	<-s.release
	return s.service.MaxTokenLifetime(ctx)
}

// A service that ignores its context costs a bounded number of goroutines; each call
// returns when its own context is done.
func TestSignerHangs(t *testing.T) {
	for name, call := range map[string]func(context.Context, *external.Signer) error{
		"Sign": func(ctx context.Context, s *external.Signer) error { _, err := s.Sign(ctx, []byte(`{}`)); return err },
		"Lifetimes": func(ctx context.Context, s *external.Signer) error {
			_, _, err := s.Lifetimes(ctx, 0, time.Hour)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				svc, _ := newService(t)
				release := make(chan struct{})
				s := newSigner(t, external.SignerConfig{Service: &stuck{svc, release}})
				before := runtime.NumGoroutine()
				for i := range 1000 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					err := call(ctx, s)
					cancel()
					if hung, ok := errors.AsType[*flight.HungError](err); i < 64 && !errors.Is(err, context.DeadlineExceeded) || i >= 64 && (!ok || hung.Calls != 64) {
						t.Fatalf("call %d: %v, want DeadlineExceeded for 64 calls and then a HungError", i, err)
					}
				}
				if left := runtime.NumGoroutine() - before; left > 64 {
					t.Errorf("1,000 calls that hang left %d goroutines, want at most 64", left)
				}
				close(release)
				synctest.Wait()
				if err := call(t.Context(), s); err != nil {
					t.Errorf("after the calls have returned: %v", err)
				}
			})
		})
	}
}

// The error of a panic has the value and the stack for those who look for them.
func TestSignerPanicStack(t *testing.T) {
	_, err := newSigner(t, external.SignerConfig{Service: panicking{keysOf(t)}}).Sign(t.Context(), []byte(`{}`))
	value, stack := flight.PanicOf(err)
	if err == nil || strings.Contains(err.Error(), "secret") || value != "secret" || !strings.Contains(string(stack), "panicking") {
		t.Errorf("Sign() = %v with the panic %v and a stack of %d bytes, want both, and nothing of them in the text", err, value, len(stack))
	}
}

func keysOf(t *testing.T) *external.Keys {
	svc, _ := newService(t)
	return &svc.answer
}
