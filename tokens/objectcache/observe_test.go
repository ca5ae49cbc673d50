package objectcache_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/tokens/internal/tokentest"
	"github.com/kubesa/serviceaccount/tokens/objectcache"
)

// Observe gets each call: whose lookup it was, how long it took, and a panic.
func TestObserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var events []objectcache.Event
		observe := func(_ context.Context, e objectcache.Event) {
			mu.Lock()
			defer mu.Unlock()
			events = append(events, e)
		}
		var broken bool
		get := ofAccounts(tokentest.AccountFunc(func(context.Context) (*corev1.ServiceAccount, error) {
			time.Sleep(time.Second)
			if broken {
				panic("hunter2")
			}
			return account(), nil
		}), objectcache.Config{TTL: time.Minute, Observe: observe})
		other := make(chan error)
		go func() { other <- get(t.Context()) }()
		synctest.Wait()
		if err := errors.Join(get(t.Context()), <-other, get(t.Context())); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		broken = true
		err := get(t.Context())

		if len(events) != 4 {
			t.Fatalf("Observe got %+v, want four Events", events)
		}
		for _, e := range events {
			if e.Kind != "ServiceAccount" || e.Namespace != "ci" || e.Name != "builder" {
				t.Errorf("Observe got %+v, want one of the account", e)
			}
		}
		first, second, hit, last := events[0], events[1], events[2], events[3]
		if first.Joined == second.Joined || first.Took != time.Second || second.Took != time.Second || first.Hit || second.Hit {
			t.Errorf("Observe got %+v and %+v, want one lookup that another call joined", first, second)
		}
		if !hit.Hit || hit.Joined || hit.Took != 0 {
			t.Errorf("Observe got %+v, want a hit", hit)
		}
		if last.Hit || last.Err == nil || last.Err != err || last.Panic != "hunter2" || len(last.Stack) == 0 {
			t.Errorf("Observe got %+v, want the panic", last)
		}
	})
}
