package discovery_test

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
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
		if left := runtime.NumGoroutine() - before; left > 4+slack {
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

// A slow source holds up nobody for longer than his context allows. Refresh asks again
// if an earlier call, which may have missed a change, is under way.
func TestPublisherHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := keystest.Must(keys.NewSet(keystest.P256Key()))
		release := make(chan struct{})
		var calls atomic.Int32
		p := keystest.Must(discovery.NewPublisher(discovery.PublisherConfig{Issuer: issuer, ExternalAddress: "h", Keys: sourceFunc(func() ([]keys.PublicKey, error) {
			calls.Add(1)
			<-release
			return set.PublicKeys(context.Background(), "")
		})}))
		go p.Refresh(t.Context())
		synctest.Wait()
		start := time.Now()
		if resp, _ := get(t, p, "GET", discovery.JWKSPath, nil); resp.StatusCode != 503 || time.Since(start) != 5*time.Second {
			t.Errorf("status %d after %v, want 503 after 5s", resp.StatusCode, time.Since(start))
		}
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.Refresh(impatient); err != context.DeadlineExceeded || calls.Load() != 1 {
			t.Errorf("Refresh() = %v after %d calls, want the error of its own context", err, calls.Load())
		}
		refreshed := make(chan error)
		go func() { refreshed <- p.Refresh(t.Context()) }()
		synctest.Wait()
		close(release)
		if err := <-refreshed; err != nil || calls.Load() != 2 {
			t.Errorf("Refresh() = %v after %d calls, want a call of its own", err, calls.Load())
		}

		release = make(chan struct{})
		before := runtime.NumGoroutine()
		var err error
		for range 100 {
			err = p.Refresh(t.Context())
		}
		synctest.Wait()
		if left := runtime.NumGoroutine() - before; left > 4+slack || calls.Load() != 6 {
			t.Errorf("100 calls that hang left %d goroutines after %d calls, want 4", left, calls.Load()-2)
		}
		if want := "discovery: asking for the keys to publish: the source of the keys hangs: 4 calls have not returned"; err == nil || err.Error() != want {
			t.Errorf("Refresh() = %v, want %q", err, want)
		}
		close(release)
	})
}

// A sourceFunc returns the same keys for every id.
type sourceFunc func() ([]keys.PublicKey, error)

func (f sourceFunc) PublicKeys(context.Context, string) ([]keys.PublicKey, error) { return f() }

// slack is for goroutines that are ending.
const slack = 4
