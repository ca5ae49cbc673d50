package discovery_test

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/discovery"
	"github.com/kubesa/serviceaccount/keys/internal/keystest"
)

// A BearerToken that ignores its context delays those who wait by Timeout, leaves a
// bounded number of goroutines, and is called again once it has returned. Each
// waits as long as its own context allows.
func TestRemoteHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key, id := keystest.KeyAndID(t)
		release := make(chan struct{})
		r := newRemote(t, discovery.RemoteConfig{
			JWKSURL: "https://issuer.example/openid/v1/jwks", Transport: &publisher{handler: publish(t, key.Public())},
			BearerToken: func(context.Context) (string, error) { <-release; return "secret", nil },
			Timeout:     time.Second, CoolDown: time.Second,
		})
		impatient, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		if _, err := r.PublicKeys(impatient, id); err != context.DeadlineExceeded {
			t.Errorf("PublicKeys() = %v, want the error of its own context", err)
		}
		start, before := time.Now(), runtime.NumGoroutine()
		if _, err := r.PublicKeys(t.Context(), id); !errors.Is(err, keys.ErrUnavailable) || time.Since(start) != time.Second/2 {
			t.Errorf("PublicKeys() = %v after %v, want ErrUnavailable at the end of the fetch", err, time.Since(start))
		}
		for range 1000 {
			time.Sleep(time.Second)
			keystest.WantUnavailable(t, r, id, "keys")
		}
		synctest.Wait()
		if left := runtime.NumGoroutine() - before; left > 4 {
			t.Errorf("1,000 fetches that hang left %d goroutines, want at most 4", left)
		}
		if want := "the transport or the bearer token hangs: 4 calls have not returned"; !strings.Contains(r.Err().Error(), want) {
			t.Errorf("Err() = %v, want %q", r.Err(), want)
		}
		close(release)
		time.Sleep(time.Second)
		keystest.WantKnown(t, r, id, true)
	})
}

// The Event of a fetch that panicked has the value and the stack; what PublicKeys
// returns shows neither.
func TestEventPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := make(chan keys.Event, 2)
		observe := func(_ context.Context, e keys.Event) { events <- e }
		r := newRemote(t, discovery.RemoteConfig{JWKSURL: "https://issuer.example/jwks", Transport: &publisher{}, Observe: observe,
			BearerToken: func(context.Context) (string, error) { panic("hunter2") }})
		_, fetching := r.PublicKeys(t.Context(), "")
		p := keystest.Must(discovery.NewPublisher(discovery.PublisherConfig{Issuer: issuer, ExternalAddress: "h", Keys: panickingSource{}, Observe: observe}))
		publishing := p.Refresh(t.Context())
		for _, err := range []error{fetching, publishing} {
			e := <-events
			if err == nil || strings.Contains(err.Error(), "hunter2") || e.Panic != "hunter2" || !bytes.Contains(e.Stack, []byte("discovery_test")) {
				t.Errorf("%v with the panic %v and a stack of %d bytes, want both, and nothing of them in the text", err, e.Panic, len(e.Stack))
			}
		}
	})
}

type panickingSource struct{}

func (panickingSource) PublicKeys(context.Context, string) ([]keys.PublicKey, error) {
	panic("hunter2")
}
