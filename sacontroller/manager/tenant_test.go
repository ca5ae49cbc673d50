package manager_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientset "k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/metadata"

	"github.com/kubesa/serviceaccount"
	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/manager"
	"github.com/kubesa/serviceaccount/tenant"
)

// A house is a Manager of many tenants, each with a server of its own, that runs
// ServiceAccounts and Tokens for them.
type house struct {
	*manager.Manager
	clients tenant.Set[*serviceaccount.CoreV1]
	tokens  *sacontroller.Tokens
	cancel  context.CancelFunc
	done    chan error
}

// newHouse returns a house of which every call of a client passes by before.
func newHouse(t *testing.T, before func(ctx context.Context) error) *house {
	t.Helper()
	h := &house{done: make(chan error, 1)}
	var err error
	if h.Manager, err = manager.New(manager.Config{Client: clientset.NewClientset(), Tenants: true}); err != nil {
		t.Fatal(err)
	}
	all := serviceaccount.ByTenant(func(ctx context.Context) (*serviceaccount.CoreV1, error) {
		if err := before(ctx); err != nil {
			return nil, err
		}
		return h.clients.Of(ctx)
	})
	accounts, err := sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{Reader: h.Reader(), Client: all})
	if err != nil {
		t.Fatal(err)
	}
	h.tokens, err = sacontroller.NewTokens(sacontroller.TokensConfig{Reader: h.Reader(), Client: all, Issuer: &stubIssuer{}, RootCA: []byte("CA Data")})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []sacontroller.Controller{accounts, h.tokens} {
		if err := h.Add(c, manager.Options{Workers: 4}); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func nothing(context.Context) error { return nil }

func (h *house) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	h.cancel = cancel
	go func() { h.done <- h.Run(ctx) }()
	synctest.Wait()
}

func (h *house) stop(t *testing.T) {
	t.Helper()
	h.cancel()
	if err := <-h.done; err != nil {
		t.Error(err)
	}
}

func (h *house) join(t *testing.T, name string, s *server) {
	t.Helper()
	h.clients.Join(name, serviceaccount.FromCoreV1(s.client.CoreV1()))
	if err := h.Join(manager.Tenant{Name: name, Client: s.client}); err != nil {
		t.Fatal(err)
	}
}

func of(t *testing.T, name string) context.Context { return tenant.NewContext(t.Context(), name) }

// Tenants with objects of the same names and UIDs are served each by its own server,
// whenever they join, and nothing is left of one that has left.
func TestTenants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, nothing)
		servers := map[string]*server{}
		add := func(name string) {
			servers[name] = newServer(active("ns"))
			servers[name].UIDSeed = 1
			h.join(t, name, servers[name])
			synctest.Wait()
		}
		add("red")
		h.start(t)
		if err := h.Ready(); err != nil {
			t.Error(err)
		}
		before := runtime.NumGoroutine()
		add("blue")
		for name, s := range servers {
			s.createToken(t, "ns", "t", "default")
			synctest.Wait()
			if got := s.token(t, "ns", "t"); !strings.HasPrefix(got, "token(ns/") {
				t.Errorf("the Secret of %s holds %q, want a token", name, got)
			}
			if err := h.TenantReady(name); err != nil {
				t.Error(err)
			}
		}
		if _, err := h.Reader().GetSecret(t.Context(), "ns", "t"); err == nil {
			t.Error("a context of no tenant reads a Secret")
		}
		if err := servers["blue"].DeleteServiceAccount(t.Context(), "ns", "default", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if _, err := servers["blue"].GetSecret(t.Context(), "ns", "t"); !apierrors.IsNotFound(err) {
			t.Errorf("blue's Secret is still there: %v", err)
		}
		if _, err := h.Reader().GetSecret(of(t, "red"), "ns", "t"); err != nil {
			t.Errorf("red's Secret: %v", err)
		}

		if err := h.Leave(t.Context(), "blue"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if after := runtime.NumGoroutine(); after > before {
			t.Errorf("%d goroutines are left of a tenant that has left", after-before)
		}
		var unknown *tenant.UnknownError
		if _, err := h.Reader().GetNamespace(of(t, "blue"), "ns"); !errors.As(err, &unknown) || !errors.As(h.TenantReady("blue"), &unknown) || !errors.As(h.Leave(t.Context(), "blue"), &unknown) {
			t.Errorf("after it has left: %v", err)
		}
		if _, err := servers["blue"].CreateNamespace(t.Context(), active("late")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if _, err := servers["blue"].GetServiceAccount(t.Context(), "late", "default"); !apierrors.IsNotFound(err) {
			t.Errorf("a tenant that has left is served: %v", err)
		}
		h.join2(t, "blue", servers["blue"])
		synctest.Wait()
		if _, err := servers["blue"].GetServiceAccount(t.Context(), "late", "default"); err != nil {
			t.Errorf("a tenant that has joined again isn't served: %v", err)
		}
		h.stop(t)
	})
}

// join2 is join for a tenant whose client is still there.
func (h *house) join2(t *testing.T, name string, s *server) {
	t.Helper()
	if err := h.Join(manager.Tenant{Name: name, Client: s.client}); err != nil {
		t.Fatal(err)
	}
}

// Tenants whose servers hang, or fail at once, delay no other: neither when they begin
// to nor later, neither the new ones nor the others. Each has a few calls that hang.
func TestBadTenants(t *testing.T) {
	const bad, namespaces = 50, 20
	for name, behave := range map[string]func(ctx context.Context) error{
		"hang": func(ctx context.Context) error {
			select {
			case <-ctx.Done():
			case <-time.After(30 * time.Second):
			}
			return errors.New("it hangs")
		},
		"fail": func(context.Context) error { return errors.New("connection refused") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var inside, most atomic.Int64
				h := newHouse(t, func(ctx context.Context) error {
					if !strings.HasPrefix(tenant.Of(ctx), "bad") {
						return nil
					}
					most.Store(max(most.Load(), inside.Add(1)))
					defer inside.Add(-1)
					return behave(ctx)
				})
				h.start(t)
				good := newServer()
				h.join(t, "good", good)
				served := func(when, namespace string, within time.Duration) {
					t.Helper()
					if _, err := good.CreateNamespace(t.Context(), active(namespace)); err != nil {
						t.Fatal(err)
					}
					time.Sleep(within)
					synctest.Wait()
					if _, err := good.GetServiceAccount(t.Context(), namespace, "default"); err != nil {
						t.Errorf("%s: not served within %v: %v", when, within, err)
					}
				}
				for i := range bad {
					s := newServer()
					for n := range namespaces {
						if _, err := s.CreateNamespace(t.Context(), active(fmt.Sprint("ns-", n))); err != nil {
							t.Fatal(err)
						}
					}
					h.join(t, fmt.Sprint("bad-", i), s)
				}
				synctest.Wait()
				// All servers begin to hang at once: each has its turn, with one of four
				// workers at least, for a second.
				served("at first", "a", bad/4*time.Second+2*time.Second)
				time.Sleep(5 * time.Minute)
				for i := range 20 {
					served("later", fmt.Sprint("b-", i), 0)
					time.Sleep(7 * time.Second)
				}
				fresh := newServer(active("ns"))
				h.join(t, "fresh", fresh)
				synctest.Wait()
				if _, err := fresh.GetServiceAccount(t.Context(), "ns", "default"); err != nil {
					t.Errorf("a new tenant isn't served: %v", err)
				}
				if got := most.Load(); got > 4+2*bad {
					t.Errorf("%d calls hung at a time, want 2 of each of %d tenants, and 4, at most", got, bad)
				}
				if err := h.TenantReady("bad-0"); (err != nil) != (name == "hang") {
					t.Errorf("TenantReady() = %v", err)
				}
				if err := h.TenantReady("good"); err != nil {
					t.Error(err)
				}
				if err := h.Leave(t.Context(), "bad-0"); err != nil {
					t.Errorf("a tenant whose server hangs leaves: %v", err)
				}
				h.stop(t)
			})
		})
	}
}

// A resync is one of all tenants.
func TestResyncOfTenants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, nothing)
		h.start(t)
		servers := map[string]*server{"red": newServer(active("ns")), "blue": newServer(active("ns"))}
		for name, s := range servers {
			h.join(t, name, s)
			synctest.Wait()
			s.createToken(t, "ns", "t", "default")
		}
		synctest.Wait()
		bundle := newCA(t)
		if err := h.tokens.SetRootCA(bundle); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for name, s := range servers {
			secret, err := s.GetSecret(t.Context(), "ns", "t")
			if err != nil || !bytes.Equal(secret.Data["ca.crt"], bundle) {
				t.Errorf("the Secret of %s has another bundle: %v", name, err)
			}
		}
		h.stop(t)
	})
}

// A tenant whose lists fail is retried, delays no other, and can leave.
func TestTenantWithoutCaches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, nothing)
		h.start(t)
		down, up := newServer(active("ns")), newServer(active("ns"))
		for _, verb := range []string{"list", "watch"} {
			down.Inject(fault.On(verb, "namespaces", apierrors.NewServiceUnavailable("down")))
		}
		h.join(t, "down", down)
		h.join(t, "up", up)
		synctest.Wait()
		if _, err := up.GetServiceAccount(t.Context(), "ns", "default"); err != nil {
			t.Error(err)
		}
		if err := h.TenantReady("down"); err == nil || !strings.Contains(err.Error(), `the caches of tenant "down" are not filled yet`) {
			t.Errorf("TenantReady() = %v", err)
		}
		if err := errors.Join(h.Ready(), h.Healthy()); err != nil {
			t.Error(err)
		}
		if err := h.Leave(t.Context(), "down"); err != nil {
			t.Error(err)
		}
		h.stop(t)
	})
}

// deaf doesn't listen to its context.
type deaf struct {
	sacontroller.Controller
	called, release chan struct{}
	forgotten       []string
}

func (*deaf) Name() string { return "deaf" }

func (*deaf) Due(c sacontroller.Change) []sacontroller.Key {
	return []sacontroller.Key{{Tenant: c.Tenant, Kind: "Namespace", Name: c.Object.(*corev1.Namespace).Name}}
}

func (c *deaf) Reconcile(context.Context, sacontroller.Key) (sacontroller.Result, error) {
	c.called <- struct{}{}
	<-c.release
	return sacontroller.Result{}, errors.New("late")
}

func (c *deaf) Forget(tenant string) { c.forgotten = append(c.forgotten, tenant) }

// Leave waits for calls that don't listen, for as long as its caller does: the name is
// free after that.
func TestLeaveWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, nothing)
		c := &deaf{called: make(chan struct{}, 10), release: make(chan struct{})}
		if err := h.Add(c, manager.Options{Workers: 4, Watch: []manager.Resource{manager.Namespaces}}); err != nil {
			t.Fatal(err)
		}
		h.start(t)
		s := newServer(active("ns"))
		h.join(t, "red", s)
		<-c.called
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := h.Leave(ctx, "red"); !errors.Is(err, context.DeadlineExceeded) || len(c.forgotten) > 0 {
			t.Errorf("Leave() = %v, forgotten is %q, want neither while a call goes on", err, c.forgotten)
		}
		if err := h.Join(manager.Tenant{Name: "red", Client: s.client}); err == nil || err.Error() != `manager: tenant "red" is still leaving` {
			t.Errorf("Join() = %v", err)
		}
		close(c.release)
		if err := h.Leave(t.Context(), "red"); err != nil || len(c.forgotten) != 1 {
			// It may have gone meanwhile.
			var unknown *tenant.UnknownError
			if !errors.As(err, &unknown) {
				t.Errorf("Leave() = %v, forgotten is %q", err, c.forgotten)
			}
		}
		synctest.Wait()
		if len(c.called) != 0 {
			t.Error("a key of a tenant that has left is tried again")
		}
		h.join2(t, "red", s)
		<-c.called
		h.stop(t)
	})
}

type noMetadata struct{ metadata.Interface }

func TestJoinRefuses(t *testing.T) {
	client := clientset.NewClientset()
	single, err := manager.New(manager.Config{Client: client})
	if err != nil {
		t.Fatal(err)
	}
	many, err := manager.New(manager.Config{Client: client, Tenants: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := many.Join(manager.Tenant{Name: "red", Client: client}); err != nil {
		t.Fatal(err)
	}
	var none *clientset.Clientset
	for _, tt := range []struct {
		name string
		m    *manager.Manager
		t    manager.Tenant
		want string
	}{
		{"nothing", many, manager.Tenant{Client: none}, "manager: Tenant.Name is empty, want the name of the tenant\nmanager: Tenant.Client is required, want a kubernetes.Interface"},
		{"a nil Metadata", many, manager.Tenant{Name: "blue", Client: client, Metadata: (*noMetadata)(nil)}, "manager: Tenant.Metadata is a nil *manager_test.noMetadata, want none or one that works"},
		{"one cluster", single, manager.Tenant{Name: "red", Client: client}, `manager: tenant "red" joins a Manager of one cluster, want Config.Tenants`},
		{"twice", many, manager.Tenant{Name: "red", Client: client}, `manager: tenant "red" has joined already`},
	} {
		if err := tt.m.Join(tt.t); err == nil || err.Error() != tt.want {
			t.Errorf("%s: Join() = %v, want %s", tt.name, err, tt.want)
		}
	}
	for name, m := range map[string]*manager.Manager{"": single, "red": single, "blue": many} {
		var unknown *tenant.UnknownError
		if err := m.Leave(t.Context(), name); !errors.As(err, &unknown) {
			t.Errorf("Leave() of %q = %v", name, err)
		}
	}
	if err := many.Leave(t.Context(), "red"); err != nil {
		t.Error(err)
	}
}
