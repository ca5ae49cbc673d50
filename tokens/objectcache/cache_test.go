package objectcache_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubesa/serviceaccount/tenant"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/internal/tokentest"
	"github.com/kubesa/serviceaccount/tokens/objectcache"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func account() *corev1.ServiceAccount {
	return &corev1.ServiceAccount{ObjectMeta: tokentest.Meta("ci", "builder")}
}

var notFound = apierrors.NewNotFound(schema.GroupResource{Resource: "serviceaccounts"}, "builder")

// ofAccounts returns a getter of accounts that caches f.
func ofAccounts(f tokentest.AccountFunc, cfg objectcache.Config) func(ctx context.Context) error {
	g := must(objectcache.New(objectcache.Getters{ServiceAccounts: f}, cfg))
	return func(ctx context.Context) error {
		object, err := g.ServiceAccounts.GetServiceAccount(ctx, "ci", "builder")
		if (object == nil) == (err == nil) {
			panic("neither an object nor an error, or both")
		}
		return err
	}
}

// V13, V21, REV-20: a deletion takes effect after TTL at most, whatever the token is
// bound to; an expired token is rejected at once; a failed lookup is not remembered.
func TestRevocation(t *testing.T) {
	clear := func(w *tokentest.World) { *w = tokentest.World{Accounts: w.Accounts} }
	for kind, claim := range map[string]string{
		"ServiceAccount": "", "Secret": "secret", "Pod": "pod", "Node": "node",
		"ValidatingWebhookConfiguration": "validatingwebhookconfiguration", "MutatingWebhookConfiguration": "mutatingwebhookconfiguration",
	} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := tokentest.NewWorld()
				g := must(objectcache.New(objectcache.Getters{ServiceAccounts: w, Secrets: w, Pods: w, Nodes: w, Webhooks: w},
					objectcache.Config{TTL: 10 * time.Second, NegativeTTL: time.Second}))
				start := time.Now()
				a := tokentest.NewAuthenticator(t, w, func(cfg *tokens.AuthenticatorConfig) {
					cfg.ServiceAccounts, cfg.Secrets, cfg.Pods, cfg.Nodes, cfg.Webhooks = g.ServiceAccounts, g.Secrets, g.Pods, g.Nodes, g.Webhooks
					cfg.Now = func() time.Time { return tokentest.Now.Add(time.Since(start)) }
				})
				claims := tokentest.BoundClaims()
				private := claims["kubernetes.io"].(map[string]any)
				delete(private, "pod")
				delete(private, "node")
				private["attestations"] = map[string]any{tokens.AttestedAPIGroups: []string{"apps"}}
				if claim != "" {
					name := map[string]string{"secret": "settings", "pod": "job", "node": "worker", "validatingwebhookconfiguration": "checks", "mutatingwebhookconfiguration": "defaults"}[claim]
					private[claim] = map[string]any{"name": name, "uid": "uid-of-" + name}
				}
				token := tokentest.Mint(t, tokentest.ECKey, claims)
				authenticate := func() tokens.Reason {
					_, err := a.Authenticate(t.Context(), token)
					if e, ok := errors.AsType[*tokens.InvalidError](err); ok {
						return e.Reason
					}
					if err != nil {
						return tokens.ReasonUnavailable
					}
					return ""
				}
				expect := func(when string, want tokens.Reason) {
					t.Helper()
					if got := authenticate(); got != want {
						t.Fatalf("%s: %q, want %q", when, got, want)
					}
				}
				w.Err = errors.New("down")
				expect("server down", tokens.ReasonUnavailable)
				w.Err = nil
				expect("server up: a failure is not remembered", "")
				looked := w.Lookups
				w.Err = errors.New("down")
				expect("server down, answers known", "")
				if w.Lookups != looked {
					t.Errorf("%d lookups, want none", w.Lookups-looked)
				}
				w.Err = nil
				if clear(w); kind == "ServiceAccount" {
					w.Accounts = nil
				}
				time.Sleep(10*time.Second - 1)
				expect("deleted, before TTL", "")
				time.Sleep(time.Nanosecond)
				expect("deleted, after TTL", tokens.ReasonNotFound)
				fresh := tokentest.NewWorld()
				w.Accounts, w.Secrets, w.Pods, w.Nodes, w.Validating, w.Mutating = fresh.Accounts, fresh.Secrets, fresh.Pods, fresh.Nodes, fresh.Validating, fresh.Mutating
				expect("created again, before NegativeTTL", tokens.ReasonNotFound)
				time.Sleep(time.Second)
				expect("created again, after NegativeTTL", "")
				time.Sleep(time.Hour + time.Minute)
				expect("expired", tokens.ReasonExpired)
			})
		})
	}
}

// What one tenant has doesn't answer for another: neither an object that is
// remembered nor a lookup that is under way.
func TestTenants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		get := ofAccounts(func(ctx context.Context) (*corev1.ServiceAccount, error) {
			time.Sleep(time.Second)
			if tenant.Of(ctx) != "red" {
				return nil, notFound
			}
			return account(), nil
		}, objectcache.Config{TTL: time.Hour, NegativeTTL: time.Hour})
		for range 2 {
			var wg sync.WaitGroup
			for _, name := range []string{"red", "green", "blue", ""} {
				wg.Go(func() {
					err := get(tenant.NewContext(t.Context(), name))
					if (err == nil) != (name == "red") {
						t.Errorf("%s: %v, want the object for red only", name, err)
					}
				})
			}
			wg.Wait()
		}
	})
}

// Kinds with a getter of their own are not those of ObjectGetter.
func TestKinds(t *testing.T) {
	w := tokentest.NewWorld()
	g := must(objectcache.New(objectcache.Getters{Pods: w, Secrets: w, ServiceAccounts: w, Objects: tokentest.AnyObject{}}, objectcache.Config{TTL: time.Hour, NegativeTTL: time.Hour}))
	if g.Nodes != nil || g.Webhooks != nil {
		t.Errorf("New() = %+v, want only the getters that there were", g)
	}
	for _, kind := range []string{"Pod", "Secret", "ServiceAccount"} {
		if _, err := g.Objects.GetObject(t.Context(), schema.GroupVersionKind{Kind: kind}, "ci", "nothing"); err != nil {
			t.Error(err)
		}
	}
	_, err := g.Pods.GetPod(t.Context(), "ci", "nothing")
	if _, err2 := g.Secrets.GetSecret(t.Context(), "ci", "nothing"); !apierrors.IsNotFound(err) || !apierrors.IsNotFound(err2) {
		t.Errorf("GetPod() and GetSecret() = %v, %v, want NotFound", err, err2)
	}
	for _, kind := range []string{"Job", "CronJob"} {
		for _, namespace := range []string{"a", "b"} {
			object, err := g.Objects.GetObject(t.Context(), schema.GroupVersionKind{Group: "batch", Version: "v1", Kind: kind}, namespace, "x")
			if err != nil || object.GetNamespace() != namespace {
				t.Errorf("GetObject(%s) = %v, %v", kind, object, err)
			}
		}
	}
}

// Of many who ask at once one lookup is made; one who gives up doesn't end it.
func TestSingleFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var calls atomic.Int32
		get := ofAccounts(func(ctx context.Context) (*corev1.ServiceAccount, error) {
			calls.Add(1)
			<-release
			return account(), ctx.Err()
		}, objectcache.Config{TTL: time.Second})
		impatient, cancel := context.WithCancel(t.Context())
		gaveUp := make(chan error)
		go func() { gaveUp <- get(impatient) }()
		synctest.Wait()
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if err := get(t.Context()); err != nil {
					t.Error(err)
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
		if calls.Load() != 1 {
			t.Errorf("%d lookups, want 1", calls.Load())
		}
		time.Sleep(time.Second)
		if err := get(t.Context()); err != nil || calls.Load() != 2 {
			t.Errorf("after TTL: %v, %d lookups, want 2", err, calls.Load())
		}
	})
}

// A lookup that hangs ends with its time, one that panics is an error, and so is one
// that returns nothing.
func TestBadGetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, tt := range map[string]struct {
			get  tokentest.AccountFunc
			want string
		}{
			"hangs": {func(ctx context.Context) (*corev1.ServiceAccount, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}, "deadline exceeded"},
			"panics":          {func(context.Context) (*corev1.ServiceAccount, error) { panic("s3cr3t") }, "the getter panicked"},
			"returns nothing": {func(context.Context) (*corev1.ServiceAccount, error) { return nil, nil }, "neither an object nor an error"},
		} {
			get := ofAccounts(tt.get, objectcache.Config{TTL: time.Hour, Timeout: time.Second})
			for range 2 {
				start := time.Now()
				if err := get(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) || time.Since(start) > time.Second {
					t.Errorf("%s: %v after %v, want %q", name, err, time.Since(start), tt.want)
				}
			}
		}
	})
	var nothing *metav1.ObjectMeta
	g := must(objectcache.New(objectcache.Getters{Objects: tokentest.Nothing{Object: nothing}}, objectcache.Config{TTL: time.Hour}))
	if _, err := g.Objects.GetObject(t.Context(), schema.GroupVersionKind{Kind: "X"}, "ci", "x"); err == nil {
		t.Error("GetObject() of a typed nil returns no error")
	}
}

// Without a Timeout a lookup may take 10 s.
func TestDefaultTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		get := ofAccounts(func(ctx context.Context) (*corev1.ServiceAccount, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, objectcache.Config{TTL: time.Second})
		start := time.Now()
		if err := get(t.Context()); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 10*time.Second {
			t.Errorf("%v after %v, want the end of 10 s", err, time.Since(start))
		}
	})
}

// Who asks TTL after a lookup began makes one of its own; and who joined it earlier
// but waited for longer does, too: the object may have been deleted meanwhile. What
// is found late is not remembered.
func TestLateAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		get := ofAccounts(func(context.Context) (*corev1.ServiceAccount, error) {
			if calls.Add(1) > 1 {
				return nil, notFound
			}
			time.Sleep(9 * time.Second)
			return account(), nil // as of 9 s ago
		}, objectcache.Config{TTL: 2 * time.Second})
		first, joined := make(chan error), make(chan error)
		go func() { first <- get(t.Context()) }()
		time.Sleep(time.Second)
		for range 3 {
			go func() { joined <- get(t.Context()) }()
		}
		time.Sleep(time.Second)
		start := time.Now()
		if err := get(t.Context()); !apierrors.IsNotFound(err) || calls.Load() != 2 || time.Since(start) > 0 {
			t.Errorf("TTL after the lookup began: %v after %v, want another lookup at once", err, time.Since(start))
		}
		if err := <-first; err != nil {
			t.Errorf("who began the lookup got %v, want its answer", err)
		}
		for range 3 {
			if err := <-joined; !apierrors.IsNotFound(err) {
				t.Errorf("who joined within TTL and got an answer after it: %v, want that of another lookup", err)
			}
		}
		if err := get(t.Context()); !apierrors.IsNotFound(err) {
			t.Errorf("after the late answer: %v, want another lookup", err)
		}
	})
}

// Who joins a lookup shares what it returns, a failure too, unless that no longer counts
// when it comes.
func TestJoined(t *testing.T) {
	failure := errors.New("etcd is down")
	for _, tt := range []struct {
		name        string
		takes       time.Duration
		err         error
		negativeTTL time.Duration
		lookups     int32
	}{
		{name: "an account", takes: 2 * time.Second, lookups: 1},
		{name: "an account, TTL later", takes: 3 * time.Second, lookups: 2},
		{name: "a failure", takes: 2 * time.Second, err: failure, lookups: 1},
		{name: "a late failure", takes: 4 * time.Second, err: failure, lookups: 1},
		{name: "NotFound", takes: time.Second, err: notFound, negativeTTL: 2 * time.Second, lookups: 1},
		{name: "NotFound, NegativeTTL later", takes: 2 * time.Second, err: notFound, negativeTTL: 2 * time.Second, lookups: 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var lookups atomic.Int32
				var mu sync.Mutex
				var joined, hits int
				get := ofAccounts(func(context.Context) (*corev1.ServiceAccount, error) {
					lookups.Add(1)
					time.Sleep(tt.takes)
					if tt.err != nil {
						return nil, tt.err
					}
					return account(), nil
				}, objectcache.Config{TTL: 3 * time.Second, NegativeTTL: tt.negativeTTL, Observe: func(_ context.Context, e objectcache.Event) {
					mu.Lock()
					defer mu.Unlock()
					if e.Joined {
						joined++
					}
					if e.Hit {
						hits++
					}
				}})
				first := make(chan error)
				go func() { first <- get(t.Context()) }()
				time.Sleep(time.Second / 2)
				second := get(t.Context())
				if err := <-first; (err == nil) != (tt.err == nil) || (second == nil) != (tt.err == nil) || lookups.Load() != tt.lookups {
					t.Errorf("get() = %v and %v, %d lookups, want %v and %d", err, second, lookups.Load(), tt.err, tt.lookups)
				}
				if want := int(2 - tt.lookups); joined != want || hits != 0 {
					t.Errorf("%d calls joined another, and %d were hits, want %d and 0", joined, hits, want)
				}
			})
		})
	}
}

// An answer that is late doesn't replace that of a lookup which began later.
func TestLateAnswerReplacesNone(t *testing.T) {
	for name, late := range map[string]error{"an account": nil, "NotFound": notFound, "a failure": errors.New("etcd is down")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var lookups atomic.Int32
				get := ofAccounts(func(context.Context) (*corev1.ServiceAccount, error) {
					if lookups.Add(1) > 1 {
						return account(), nil
					}
					time.Sleep(3 * time.Second)
					return account(), late
				}, objectcache.Config{TTL: 2 * time.Second, NegativeTTL: time.Hour})
				first := make(chan error)
				go func() { first <- get(t.Context()) }()
				time.Sleep(2 * time.Second)
				if err := get(t.Context()); err != nil || lookups.Load() != 2 {
					t.Errorf("get() = %v, %d lookups, want a second one that finds the account", err, lookups.Load())
				}
				if err := <-first; !errors.Is(err, late) {
					t.Errorf("who began the late lookup got %v, want %v", err, late)
				}
				if err := get(t.Context()); err != nil || lookups.Load() != 2 {
					t.Errorf("get() after the late answer = %v, %d lookups, want what the second one found", err, lookups.Load())
				}
			})
		})
	}
}

// A NotFound of before the caller asked isn't shared for longer than NegativeTTL.
func TestLateNotFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		get := ofAccounts(func(context.Context) (*corev1.ServiceAccount, error) {
			if calls.Add(1) > 1 {
				return account(), nil
			}
			time.Sleep(time.Second)
			return nil, notFound
		}, objectcache.Config{TTL: time.Minute})
		first := make(chan error)
		go func() { first <- get(t.Context()) }()
		time.Sleep(time.Millisecond) // now the account is created
		if err := get(t.Context()); err != nil {
			t.Errorf("who asked after the account was created: %v, want the account", err)
		}
		if err := <-first; !apierrors.IsNotFound(err) {
			t.Errorf("who asked before got %v, want what was true then", err)
		}
		if calls.Load() != 2 {
			t.Errorf("%d lookups, want 2", calls.Load())
		}
	})
}

// A getter that ignores its context costs a bounded number of goroutines.
func TestHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		get := ofAccounts(func(context.Context) (*corev1.ServiceAccount, error) {
			<-release
			return account(), nil
		}, objectcache.Config{TTL: time.Second, Timeout: time.Second})
		before := runtime.NumGoroutine()
		var err error
		for range 2000 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			err = get(ctx)
			cancel()
		}
		synctest.Wait()
		if left := runtime.NumGoroutine() - before; left > 1024+4 {
			t.Errorf("%d goroutines are left, want at most 1024", left)
		}
		if err == nil || err.Error() != "the getter hangs: 1024 calls have not returned" {
			t.Errorf("the last of 2,000 calls: %v", err)
		}
		close(release)
		synctest.Wait()
		if err := get(t.Context()); err != nil {
			t.Errorf("after its calls have returned: %v", err)
		}
	})
}

// A tenant whose getter hangs keeps no other tenant waiting, and is forgotten once its
// lookups have returned.
func TestTenantHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var hanging atomic.Int32
		g := must(objectcache.New(objectcache.Getters{Objects: objectFunc(func(ctx context.Context, name string) error {
			if tenant.Of(ctx) == "red" {
				hanging.Add(1)
				<-release
			}
			return nil
		})}, objectcache.Config{TTL: time.Second, Timeout: time.Second}))
		get := func(of, name string) error {
			_, err := g.Objects.GetObject(tenant.NewContext(t.Context(), of), schema.GroupVersionKind{Kind: "X"}, "ci", name)
			return err
		}
		before := runtime.NumGoroutine()
		errs := make(chan error)
		for i := range 3000 {
			go func() { errs <- get("red", fmt.Sprint(i)) }()
		}
		synctest.Wait()
		if hanging.Load() != 256 {
			t.Errorf("%d lookups of one tenant run, want 256", hanging.Load())
		}
		if err := get("green", "a"); err != nil {
			t.Errorf("another tenant gets %v", err)
		}
		for range 3000 {
			if err := <-errs; err == nil {
				t.Error("a lookup that hangs has an answer")
			}
		}
		synctest.Wait()
		if left := runtime.NumGoroutine() - before; left > 256+4 {
			t.Errorf("%d goroutines are left, want at most 256", left)
		}
		if err := get("red", "b"); err == nil || err.Error() != "the getter hangs: 256 calls have not returned" {
			t.Errorf("the tenant whose getter hangs gets %v", err)
		}
		close(release)
		synctest.Wait()
		if err := get("red", "b"); err != nil {
			t.Errorf("after its calls have returned: %v", err)
		}
	})
}

// objectFunc has every object that f returns no error for.
type objectFunc func(ctx context.Context, name string) error

func (f objectFunc) GetObject(ctx context.Context, _ schema.GroupVersionKind, namespace, name string) (metav1.Object, error) {
	if err := f(ctx, name); err != nil {
		return nil, err
	}
	return new(tokentest.Meta(namespace, name)), nil
}

// secretFunc has every Secret, and tells which was asked for.
type secretFunc func(namespace, name string) *corev1.Secret

func (f secretFunc) GetSecret(_ context.Context, namespace, name string) (*corev1.Secret, error) {
	return f(namespace, name), nil
}

// A flood of names evicts no Secret in use, and takes bounded memory, however large
// the Secrets are.
func TestFlood(t *testing.T) {
	asked := 0
	const bound = 4 << 20
	g := must(objectcache.New(objectcache.Getters{Secrets: secretFunc(func(namespace, name string) *corev1.Secret {
		asked++
		return &corev1.Secret{ObjectMeta: tokentest.Meta(namespace, name), Data: map[string][]byte{"a": make([]byte, 20_000)}}
	})}, objectcache.Config{TTL: time.Hour, MaxBytes: bound}))
	get := func(name string) (looked bool) {
		before := asked
		if secret, err := g.Secrets.GetSecret(t.Context(), "ci", name); err != nil || secret.Name != name {
			t.Fatalf("GetSecret(%s) = %v, %v", name, secret, err)
		}
		return asked > before
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 20 {
		get(fmt.Sprint("busy-", i))
		get(fmt.Sprint("busy-", i))
	}
	for i := range 3000 {
		get(fmt.Sprint("flood-", i))
		if get(fmt.Sprint("busy-", i%20)) {
			t.Fatalf("flood %d evicted a Secret in use", i)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if held := int64(after.HeapAlloc) - int64(before.HeapAlloc); held > bound*5/4 {
		t.Errorf("%d bytes are held, want up to %d", held, bound)
	}
	runtime.KeepAlive(g)
}

// Whatever is long in a question counts as memory.
func TestMemoryOfQuestions(t *testing.T) {
	long := strings.Repeat("x", 1000)
	for name, ask := range map[string]func(o tokens.ObjectGetter, i string) (metav1.Object, error){
		"tenant": func(o tokens.ObjectGetter, i string) (metav1.Object, error) {
			return o.GetObject(tenant.NewContext(t.Context(), long+i), schema.GroupVersionKind{}, "", "")
		},
		"group": func(o tokens.ObjectGetter, i string) (metav1.Object, error) {
			return o.GetObject(t.Context(), schema.GroupVersionKind{Group: long + i}, "", "")
		},
		"version": func(o tokens.ObjectGetter, i string) (metav1.Object, error) {
			return o.GetObject(t.Context(), schema.GroupVersionKind{Version: long + i}, "", "")
		},
		"kind": func(o tokens.ObjectGetter, i string) (metav1.Object, error) {
			return o.GetObject(t.Context(), schema.GroupVersionKind{Kind: long + i}, "", "")
		},
		"namespace": func(o tokens.ObjectGetter, i string) (metav1.Object, error) {
			return o.GetObject(t.Context(), schema.GroupVersionKind{}, long+i, "")
		},
		"name": func(o tokens.ObjectGetter, i string) (metav1.Object, error) {
			return o.GetObject(t.Context(), schema.GroupVersionKind{}, "", long+i)
		},
	} {
		t.Run(name, func(t *testing.T) {
			counted := &countingObjects{object: &metav1.ObjectMeta{}}
			g := must(objectcache.New(objectcache.Getters{Objects: counted}, objectcache.Config{TTL: time.Hour, MaxBytes: 64 << 10}))
			for i := range 200 {
				if _, err := ask(g.Objects, fmt.Sprint(i)); err != nil {
					t.Fatal(err)
				}
			}
			remembered := 0
			for i := 199; counted.asked == 200; i-- { // the last ones
				if _, err := ask(g.Objects, fmt.Sprint(i)); err != nil {
					t.Fatal(err)
				}
				remembered++
			}
			if remembered > 64 || remembered < 10 {
				t.Errorf("%d answers are remembered in 64 KiB, want up to 64 and some", remembered)
			}
		})
	}
}

// countingObjects counts the questions, to each of which it has the same answer.
type countingObjects struct {
	object metav1.Object
	asked  int
}

func (c *countingObjects) GetObject(context.Context, schema.GroupVersionKind, string, string) (metav1.Object, error) {
	c.asked++
	return c.object, nil
}

// There is a getter for what there was one for.
func TestGettersOfNone(t *testing.T) {
	w := tokentest.NewWorld()
	for _, g := range []objectcache.Getters{{}, {ServiceAccounts: w}, {Secrets: w}, {Pods: w}, {Nodes: w}, {Webhooks: w}, {Objects: &tokentest.Jobs{}}} {
		got := must(objectcache.New(g, objectcache.Config{TTL: time.Second}))
		for _, pair := range [][2]any{
			{g.ServiceAccounts, got.ServiceAccounts}, {g.Secrets, got.Secrets}, {g.Pods, got.Pods},
			{g.Nodes, got.Nodes}, {g.Webhooks, got.Webhooks}, {g.Objects, got.Objects},
		} {
			if (pair[0] == nil) != (pair[1] == nil) {
				t.Errorf("New(%+v) = %+v, want a getter for each", g, got)
			}
		}
	}
}

func TestNewRefuses(t *testing.T) {
	var nothing *tokentest.World
	for name, tt := range map[string]struct {
		getters objectcache.Getters
		cfg     objectcache.Config
		want    []string
	}{
		"zero": {objectcache.Getters{}, objectcache.Config{}, []string{"Config.TTL is 0s, want more than 0"}},
		"negative": {objectcache.Getters{}, objectcache.Config{TTL: -1, NegativeTTL: -1, MaxBytes: -1, Timeout: -1},
			[]string{"TTL is -1ns", "NegativeTTL is -1ns", "MaxBytes is -1", "Timeout is -1ns"}},
		"typed nils": {objectcache.Getters{nothing, nothing, nothing, nothing, nothing, (*tokentest.Jobs)(nil)}, objectcache.Config{TTL: 1},
			[]string{"Getters.ServiceAccounts is a nil *tokentest.World", "Getters.Secrets is", "Getters.Pods is", "Getters.Nodes is", "Getters.Webhooks is", "Getters.Objects is a nil *tokentest.Jobs"}},
	} {
		_, err := objectcache.New(tt.getters, tt.cfg)
		if _, ok := errors.AsType[*objectcache.ConfigError](err); !ok || strings.Count(err.Error(), "\n") != len(tt.want)-1 {
			t.Errorf("%s: New() = %v, want %d ConfigErrors", name, err, len(tt.want))
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: New() = %v, want %q", name, err, want)
			}
		}
	}
}
