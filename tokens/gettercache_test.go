package tokens_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/internal/tokentest"
)

func allGetters(w *tokentest.World) tokens.Getters {
	return tokens.Getters{ServiceAccounts: w, Secrets: w, Pods: w, Nodes: w, Webhooks: w}
}

// V13, V21, REV-20: with the cache, a deletion takes effect after TTL at most;
// an expired token is refused at once; a failed lookup is not remembered.
func TestGetterCacheRevocation(t *testing.T) {
	for _, d := range dependencies {
		t.Run(d.kind, func(t *testing.T) {
			w := tokentest.NewWorld()
			clock := now
			g := must(tokens.CacheGetters(allGetters(w), tokens.GetterCacheConfig{
				TTL: 10 * time.Second, NegativeTTL: time.Second, Now: func() time.Time { return clock },
			}))
			a := tokentest.NewAuthenticator(t, w, func(cfg *tokens.AuthenticatorConfig) {
				cfg.ServiceAccounts, cfg.Secrets, cfg.Pods, cfg.Nodes, cfg.Webhooks = g.ServiceAccounts, g.Secrets, g.Pods, g.Nodes, g.Webhooks
				cfg.Now = func() time.Time { return clock }
			})
			claims := tokentest.BoundClaims()
			d.bind(claims)
			token := tokentest.Mint(t, ecKey, claims)
			authenticate := func() error {
				_, err := a.Authenticate(t.Context(), token)
				return err
			}

			w.Err = errors.New("down")
			if err := authenticate(); err == nil {
				t.Fatal("accepted although nothing could be looked up")
			}
			w.Err = nil
			if err := authenticate(); err != nil {
				t.Fatalf("a failure was remembered: %v", err)
			}
			looked := w.Lookups
			w.Err = errors.New("down")
			if err := authenticate(); err != nil || w.Lookups != looked {
				t.Fatalf("%v after %d lookups, want none", err, w.Lookups-looked)
			}
			w.Err = nil
			d.remove(w)
			clock = now.Add(10*time.Second - 1)
			if err := authenticate(); err != nil {
				t.Errorf("before TTL: %v", err)
			}
			clock = now.Add(10 * time.Second)
			wantInvalid(t, authenticate(), tokens.ReasonNotFound, d.kind)

			restore(w, d.kind) // NegativeTTL
			wantInvalid(t, authenticate(), tokens.ReasonNotFound, d.kind)
			clock = clock.Add(time.Second)
			if err := authenticate(); err != nil {
				t.Errorf("after NegativeTTL: %v", err)
			}
			clock = now.Add(time.Hour + time.Minute + time.Second)
			wantInvalid(t, authenticate(), tokens.ReasonExpired, "")
		})
	}
}

// restore puts the object back that newWorld has.
func restore(w *tokentest.World, kind string) {
	fresh := tokentest.NewWorld()
	switch kind {
	case "ServiceAccount":
		w.Accounts = fresh.Accounts
	case "Secret":
		w.Secrets = fresh.Secrets
	case "Pod":
		w.Pods = fresh.Pods
	case "Node":
		w.Nodes = fresh.Nodes
	default:
		w.Validating, w.Mutating = fresh.Validating, fresh.Mutating
	}
}

// Of many who ask at once one lookup is made; one who gives up doesn't end it.
func TestGetterCacheSingleFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := tokentest.NewWorld()
		release, calls := make(chan struct{}), 0
		g := must(tokens.CacheGetters(tokens.Getters{ServiceAccounts: tokentest.AccountFunc(func(ctx context.Context) (*corev1.ServiceAccount, error) {
			calls++
			<-release
			return w.Accounts["ci/builder"], ctx.Err()
		})}, tokens.GetterCacheConfig{TTL: time.Second}))

		impatient, cancel := context.WithCancel(t.Context())
		gaveUp := make(chan error)
		go func() {
			_, err := g.ServiceAccounts.GetServiceAccount(impatient, "ci", "builder")
			gaveUp <- err
		}()
		synctest.Wait()
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				account, err := g.ServiceAccounts.GetServiceAccount(t.Context(), "ci", "builder")
				if err != nil || account.Name != "builder" {
					t.Errorf("GetServiceAccount() = %v, %v", account, err)
				}
			})
		}
		synctest.Wait()
		cancel()
		if err := <-gaveUp; !errors.Is(err, context.Canceled) {
			t.Errorf("who gave up got %v", err)
		}
		close(release)
		wg.Wait()
		if calls != 1 {
			t.Errorf("%d lookups, want 1", calls)
		}
		time.Sleep(time.Second) // of the bubble: what was found is as old as the lookup
		if _, err := g.ServiceAccounts.GetServiceAccount(t.Context(), "ci", "builder"); err != nil || calls != 2 {
			t.Errorf("after TTL: %v, %d lookups, want 2", err, calls)
		}
	})
}

// A lookup that hangs ends with its time, and one that panics is an error.
func TestGetterCacheBadGetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, tt := range map[string]struct {
			get  tokentest.AccountFunc
			want string
		}{
			"hangs": {func(ctx context.Context) (*corev1.ServiceAccount, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}, "deadline exceeded"},
			"panics": {func(context.Context) (*corev1.ServiceAccount, error) { panic("s3cr3t") }, "the getter panicked"},
		} {
			g := must(tokens.CacheGetters(tokens.Getters{ServiceAccounts: tt.get}, tokens.GetterCacheConfig{TTL: time.Hour, Timeout: time.Second}))
			for range 2 {
				start := time.Now()
				_, err := g.ServiceAccounts.GetServiceAccount(t.Context(), "ci", "builder")
				if err == nil || !strings.Contains(err.Error(), tt.want) || time.Since(start) > time.Second {
					t.Errorf("%s: %v after %v, want %q", name, err, time.Since(start), tt.want)
				}
			}
		}
	})
	g := must(tokens.CacheGetters(tokens.Getters{ServiceAccounts: tokentest.Nothing{}}, tokens.GetterCacheConfig{TTL: time.Hour}))
	if account, err := g.ServiceAccounts.GetServiceAccount(t.Context(), "ci", "builder"); account != nil || err != nil {
		t.Errorf("GetServiceAccount() = %v, %v", account, err)
	}
}

// It is bounded, and knows kinds, namespaces and names apart.
func TestGetterCacheBounds(t *testing.T) {
	asked := map[string]int{}
	g := must(tokens.CacheGetters(tokens.Getters{Objects: tokentest.AnyObject{}, Secrets: secretFunc(func(namespace, name string) {
		asked[namespace+"/"+name]++
	})}, tokens.GetterCacheConfig{TTL: time.Hour, MaxObjects: 3, Now: func() time.Time { return now }}))
	if g.Pods != nil || g.ServiceAccounts != nil || g.Nodes != nil || g.Webhooks != nil {
		t.Errorf("CacheGetters() = %+v, want only the getters that there were", g)
	}
	get := func(namespace, name string) {
		t.Helper()
		secret, err := g.Secrets.GetSecret(t.Context(), namespace, name)
		if err != nil || secret.Namespace != namespace || secret.Name != name {
			t.Fatalf("GetSecret(%s, %s) = %v, %v", namespace, name, secret, err)
		}
	}
	for range 2 {
		get("a", "x")
		get("b", "x")
		get("a", "y")
	}
	if len(asked) != 3 || asked["a/x"] != 1 {
		t.Errorf("asked %v, want each once", asked)
	}
	for i := range 100 {
		get("a", fmt.Sprint(i))
	}
	remembered := 0
	for i := range 100 {
		name := fmt.Sprint("a/", i)
		delete(asked, name)
		get("a", fmt.Sprint(i))
		if asked[name] == 0 {
			remembered++
		}
	}
	if remembered > 3 {
		t.Errorf("%d Secrets were remembered, want at most 3", remembered)
	}
	for _, kind := range []string{"Job", "CronJob"} {
		object, err := g.Objects.GetObject(t.Context(), tokens.BoundObject{APIVersion: "batch/v1", Kind: kind}.GroupVersionKind(), "ci", "x")
		if err != nil || object.GetName() != "x" {
			t.Errorf("GetObject(%s) = %v, %v", kind, object, err)
		}
	}
}

// secretFunc has every Secret, and tells which was asked for.
type secretFunc func(namespace, name string)

func (f secretFunc) GetSecret(_ context.Context, namespace, name string) (*corev1.Secret, error) {
	f(namespace, name)
	return &corev1.Secret{ObjectMeta: tokentest.Meta(namespace, name)}, nil
}

func TestCacheGettersRefuses(t *testing.T) {
	_, err := tokens.CacheGetters(tokens.Getters{}, tokens.GetterCacheConfig{NegativeTTL: -1})
	if err == nil || !strings.Contains(err.Error(), "TTL is 0s") || !strings.Contains(err.Error(), "NegativeTTL is -1ns") {
		t.Errorf("CacheGetters() = %v, want both faults", err)
	}
}

// Remember objects for ten seconds, for getters that ask a server.
func ExampleCacheGetters() {
	getter := accounts{"ci/builder": &corev1.ServiceAccount{ObjectMeta: tokentest.Meta("ci", "builder")}}
	cached, err := tokens.CacheGetters(tokens.Getters{ServiceAccounts: getter}, tokens.GetterCacheConfig{
		TTL:         10 * time.Second, // what a deletion takes to be noticed
		NegativeTTL: time.Second,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	for range 2 {
		account, err := cached.ServiceAccounts.GetServiceAccount(ctx, "ci", "builder")
		fmt.Println(account.Name, err)
		delete(getter, "ci/builder")
	}

	// Output:
	// builder <nil>
	// builder <nil>
}
