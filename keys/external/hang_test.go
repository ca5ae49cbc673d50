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
	for _, tt := range []struct {
		name string
		most int
		call func(context.Context, *external.Signer) error
	}{
		{"Sign", 64, func(ctx context.Context, s *external.Signer) error { _, err := s.Sign(ctx, []byte(`{}`)); return err }},
		{"Lifetimes", 4, func(ctx context.Context, s *external.Signer) error {
			_, _, err := s.Lifetimes(ctx, 0, time.Hour)
			return err
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				svc, _ := newService(t)
				release := make(chan struct{})
				s := newSigner(t, external.SignerConfig{Service: &stuck{svc, release}})
				before := runtime.NumGoroutine()
				for i := range 1000 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					err := tt.call(ctx, s)
					cancel()
					if hung, ok := errors.AsType[*flight.HungError](err); i < tt.most && !errors.Is(err, context.DeadlineExceeded) || i >= tt.most && (!ok || hung.Calls != tt.most) {
						t.Fatalf("call %d: %v, want DeadlineExceeded for %d calls and then a HungError", i, err, tt.most)
					}
				}
				if left := runtime.NumGoroutine() - before; left > tt.most {
					t.Errorf("1,000 calls that hang left %d goroutines, want at most %d", left, tt.most)
				}
				close(release)
				synctest.Wait()
				if err := tt.call(t.Context(), s); err != nil {
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
