package saruntime

import (
	"context"
	"errors"

	"io"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/legacytoken"
	"github.com/kubesa/serviceaccount/sacontroller/rootca"
)

// memory is a cache of one Namespace, or one that fails.
type memory struct {
	cache.Cache
	err     error
	indexed int
	index   client.IndexerFunc
	indexes error
}

func (m *memory) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return m.err
}

func (m *memory) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	if l, ok := list.(*corev1.NamespaceList); ok {
		l.Items = []corev1.Namespace{{ObjectMeta: metav1.ObjectMeta{Name: "a"}}}
	}
	return m.err
}

func (m *memory) IndexField(_ context.Context, _ client.Object, _ string, index client.IndexerFunc) error {
	m.indexed, m.index = m.indexed+1, index
	return m.indexes
}

func (m *memory) GetInformer(context.Context, client.Object, ...cache.InformerGetOption) (cache.Informer, error) {
	return synced{}, m.err
}

// synced is an informer that has.
type synced struct{ cache.Informer }

func (synced) HasSynced() bool { return true }

// wrapped is a manager with other parts.
type wrapped struct {
	ctrl.Manager
	reader client.Reader
	err    error // of Add
	checks map[string]healthz.Checker
}

func (w wrapped) GetAPIReader() client.Reader { return w.reader }

func (w wrapped) Add(manager.Runnable) error { return w.err }

func (w wrapped) AddReadyzCheck(name string, check healthz.Checker) error {
	w.checks[name] = check
	return nil
}

func newManager(t *testing.T) wrapped {
	t.Helper()
	m, err := ctrl.NewManager(&rest.Config{Host: "127.0.0.1:1"}, ctrl.Options{Metrics: metricsserver.Options{BindAddress: "0"}})
	if err != nil {
		t.Fatal(err)
	}
	return wrapped{m, m.GetAPIReader(), nil, map[string]healthz.Checker{}}
}

// A manager whose reader has a cache, or that takes no cache, is an error of New.
func TestNewRefusesManagers(t *testing.T) {
	cached, full := newManager(t), newManager(t)
	cached.reader, full.err = &memory{}, io.EOF
	if r, err := New(Config{Manager: cached}); r != nil || err == nil || !strings.Contains(err.Error(), "Manager.GetAPIReader() reads from a *saruntime.memory") {
		t.Errorf("New() = %v, %v, want a mistake", r, err)
	}
	if r, err := New(Config{Manager: full}); r != nil || !errors.Is(err, io.EOF) {
		t.Errorf("New() = %v, %v, want io.EOF", r, err)
	}
}

// A webhook is ready once its server is, not only the cache.
func TestReadyWithServer(t *testing.T) {
	m := newManager(t)
	r := &Runtime{manager: m, cache: &memory{}}
	plugin, err := admission.New(admission.Config{ServiceAccounts: &Reader{cache: r.cache}})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.AddPodWebhook(plugin, WebhookOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := m.checks["webhook"+MutatePath](httptest.NewRequest("GET", "/readyz", nil)); err == nil || !strings.Contains(err.Error(), "not been started") {
		t.Errorf("the check is %v, want that the server isn't started", err)
	}
}

// wanting is a toy that asks to look at everything again.
type wanting struct {
	toy
	due  chan struct{}
	seen atomic.Int32
}

func (w *wanting) Resync() <-chan struct{} { return w.due }

func (w *wanting) Due(change sacontroller.Change) []sacontroller.Key {
	w.seen.Add(1)
	return w.toy.Due(change)
}

// Every object is reported again after a list and when the controller asks, and at the
// end nothing goes on.
func TestLookAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		ctx, logged := logs(ctx)
		defer cancel()
		c, m := &wanting{due: make(chan struct{})}, &memory{}
		l := &lookAgain{runtime: &Runtime{scheme: scheme.Scheme, reader: &Reader{cache: m}}, controller: c, kinds: []client.Object{&corev1.Namespace{}}, listed: make(chan struct{}, 1)}
		l.listed <- struct{}{} // by the list that begins it all
		q := &recorded{}
		if err := l.Start(ctx, q); err != nil {
			t.Fatal(err)
		}
		seen := func(what string, happen func(), want int32) {
			t.Helper()
			c.seen.Store(0)
			happen()
			synctest.Wait()
			if got := c.seen.Load(); got != want {
				t.Errorf("%s: %d objects are reported, want %d", what, got, want)
			}
		}
		seen("start", func() {}, 0)
		seen("Resync", func() { c.due <- struct{}{} }, 1)
		seen("a list", func() { l.listed <- struct{}{} }, 1)
		if want := []int{handler.LowPriority, handler.LowPriority, handler.LowPriority, handler.LowPriority}; !slices.Equal(q.priorities, want) {
			t.Errorf("queued with the priorities %v, want %v", q.priorities, want)
		}
		if change := c.changes[0]; change.Type != "ADDED" || change.Object.(*corev1.Namespace).Name != "a" || len(*logged) > 0 {
			t.Errorf("reported %+v, logged %v", change, *logged)
		}
		m.err = io.EOF
		seen("a cache that fails", func() { c.due <- struct{}{} }, 0)
		if len(*logged) != 1 || !strings.Contains((*logged)[0], `"Reading the cache to look at every object" "error"="EOF" "controller"="toy"`) {
			t.Errorf("logged %v, want the error", *logged)
		}
		cancel()
		synctest.Wait()
		select {
		case c.due <- struct{}{}:
			t.Error("it still looks")
		case <-time.After(time.Second):
		}
	})
}

// Queues without priorities get the keys as well, and a kind that nobody knows is an
// error.
func TestReport(t *testing.T) {
	l := &lookAgain{runtime: &Runtime{scheme: scheme.Scheme, reader: &Reader{cache: &memory{}}}, controller: &toy{}}
	q := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[sacontroller.Key]())
	defer q.ShutDown()
	if err := l.report(t.Context(), q, &corev1.Namespace{}); err != nil || q.Len() != 2 {
		t.Errorf("report() = %v, %d keys are due, want 2", err, q.Len())
	}
	none := &lookAgain{runtime: &Runtime{scheme: runtime.NewScheme(), reader: l.runtime.reader}, controller: l.controller}
	if err := none.report(t.Context(), q, &appsv1.Deployment{}); err == nil || !strings.Contains(err.Error(), "no kind") {
		t.Errorf("report() = %v of an unknown kind, want an error", err)
	}
}

// The errors of a cache are returned as they are, and not for an empty list.
func TestReaderErrors(t *testing.T) {
	ctx, r := t.Context(), &Reader{cache: &memory{err: io.EOF}}
	for name, read := range map[string]func() (any, error){
		"GetNamespace":            func() (any, error) { return either(r.GetNamespace(ctx, "a")) },
		"ListNamespaces":          func() (any, error) { return both(r.ListNamespaces(ctx)) },
		"ListSecrets":             func() (any, error) { return both(r.ListSecrets(ctx, "a")) },
		"TokenSecrets":            func() (any, error) { return both(r.TokenSecrets(ctx, "a", "b")) },
		"ListPods":                func() (any, error) { return both(r.ListPods(ctx, "a")) },
		"GetClusterTrustBundle":   func() (any, error) { return either(r.GetClusterTrustBundle(ctx, "a")) },
		"ListClusterTrustBundles": func() (any, error) { return both(r.ListClusterTrustBundles(ctx, rootca.ServingSigner)) },
	} {
		if got, err := read(); err != io.EOF || got != nil {
			t.Errorf("%s: %v, %v, want io.EOF", name, got, err)
		}
	}
}

// What isn't there is an error of the API, which names the resource.
func TestReaderNotFound(t *testing.T) {
	r := &Reader{cache: &memory{err: apierrors.NewNotFound(schema.GroupResource{Resource: "Secret"}, "a/b")}}
	if _, err := r.GetSecret(t.Context(), "a", "b"); !apierrors.IsNotFound(err) || err.Error() != `secrets "b" not found` {
		t.Errorf("GetSecret() = %v, want that secrets \"b\" isn't found", err)
	}
}

func either[T any](v *T, err error) (any, error) {
	if v == nil {
		return nil, err
	}
	return v, err
}

func both[T any](v []T, err error) (any, error) {
	if v == nil {
		return nil, err
	}
	return v, err
}

// The index is added once; one that another Reader has added is as good, and none is
// an error.
func TestIndex(t *testing.T) {
	m := &memory{}
	r := &Reader{cache: m}
	for range 2 {
		if _, err := r.TokenSecrets(t.Context(), "a", "b"); err != nil {
			t.Fatal(err)
		}
	}
	if m.indexed != 1 {
		t.Errorf("indexed %d times, want once", m.indexed)
	}
	for want, o := range map[string]client.Object{
		"pod":    &corev1.Pod{},
		"opaque": &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{corev1.ServiceAccountNameKey: "b"}}},
		"b":      &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{corev1.ServiceAccountNameKey: "b"}}, Type: corev1.SecretTypeServiceAccountToken},
	} {
		if got := m.index(o); want != "b" && got != nil || want == "b" && !slices.Equal(got, []string{"b"}) {
			t.Errorf("the index of %s is %q", want, got)
		}
	}
	if err := (&Reader{cache: &memory{indexes: io.EOF}}).index(t.Context()); err != nil {
		t.Errorf("index() = %v of one that is there", err)
	}
	if err := (&Reader{cache: &memory{indexes: io.EOF, err: io.EOF}}).index(t.Context()); err == nil || !strings.Contains(err.Error(), "indexing Secrets: EOF") {
		t.Errorf("index() = %v, want the error", err)
	}
	if list, err := (&Reader{cache: &memory{indexes: io.EOF, err: io.EOF}}).TokenSecrets(t.Context(), "a", "b"); list != nil || err == nil || !strings.Contains(err.Error(), "indexing Secrets") {
		t.Errorf("TokenSecrets() = %v, %v, want the error", list, err)
	}
}

// Only the cache of New lacks ConfigMaps.
func TestConfigMaps(t *testing.T) {
	for _, tt := range []struct {
		own             bool
		namespace, name string
		known           bool
	}{
		{true, "a", "kube-root-ca.crt", true}, {true, "kube-system", "other", true}, {true, "a", "other", false}, {false, "a", "other", true},
	} {
		if _, err := (&Reader{cache: &memory{}, own: tt.own}).GetConfigMap(t.Context(), tt.namespace, tt.name); (err == nil) != tt.known {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}

// The fair queue is for as many workers as the controller has, unless another queue was
// chosen.
func TestFairWorkers(t *testing.T) {
	no := false
	for want, tt := range map[string]struct {
		opts   ControllerOptions
		global config.Controller
		want   int
	}{
		"one":                        {want: 1},
		"the manager's":              {global: config.Controller{MaxConcurrentReconciles: 5}, want: 5},
		"no number":                  {global: config.Controller{MaxConcurrentReconciles: -1}, want: 1},
		"its own":                    {opts: ControllerOptions{MaxConcurrentReconciles: 3}, global: config.Controller{MaxConcurrentReconciles: 5}, want: 3},
		"another queue":              {opts: ControllerOptions{NewQueue: newFairQueue(1)}},
		"another limit":              {opts: ControllerOptions{RateLimiter: workqueue.DefaultTypedControllerRateLimiter[sacontroller.Key]()}},
		"one kind of queue":          {opts: ControllerOptions{UsePriorityQueue: &no}},
		"one kind, of all the queue": {global: config.Controller{UsePriorityQueue: &no}},
	} {
		if got := fairWorkers(tt.opts, tt.global); got != tt.want {
			t.Errorf("%s: %d workers, want %d", want, got, tt.want)
		}
	}
}

// Each controller of this library watches what it needs.
func TestWatchedBy(t *testing.T) {
	for want, c := range map[string]sacontroller.Controller{
		"Namespace ServiceAccount":                      (*sacontroller.ServiceAccounts)(nil),
		"Namespace ServiceAccount Secret":               (*sacontroller.Tokens)(nil),
		"Namespace ServiceAccount Secret Pod ConfigMap": (*legacytoken.Cleaner)(nil),
		"Namespace ConfigMap":                           (*legacytoken.Tracker)(nil),
		"Namespace ConfigMap ":                          (*rootca.ConfigMaps)(nil),
		"Namespace ClusterTrustBundle":                  (*rootca.TrustBundles)(nil),
		"":                                              &toy{},
	} {
		var kinds []string
		for _, kind := range watchedBy(c) {
			kinds = append(kinds, reflect.TypeOf(kind).Elem().Name())
		}
		if got := strings.Join(kinds, " "); got != strings.TrimSpace(want) {
			t.Errorf("%T watches %q, want %q", c, got, want)
		}
	}
}

// A kind that can't be watched is an error of Add.
func TestAddWithoutInformer(t *testing.T) {
	r := &Runtime{manager: newManager(t), scheme: scheme.Scheme, lists: new(lists), cache: &memory{err: io.EOF}}
	if err := r.Add(&toy{}, Options{Watch: []client.Object{&corev1.Pod{}}}); !errors.Is(err, io.EOF) || !strings.Contains(err.Error(), "watching *v1.Pod") {
		t.Errorf("Add() = %v, want the error of the cache", err)
	}
	plugin, err := admission.New(admission.Config{ServiceAccounts: &Reader{cache: r.cache}})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.AddPodWebhook(plugin, WebhookOptions{}); !errors.Is(err, io.EOF) || !strings.Contains(err.Error(), "watching ServiceAccounts") {
		t.Errorf("AddPodWebhook() = %v, want the error of the cache", err)
	}
}

// Logs name the controller and the object.
func TestLogsOf(t *testing.T) {
	var lines []string
	logger := func(name string) logr.Logger {
		return funcr.New(func(_, line string) { lines = append(lines, line) }, funcr.Options{}).WithValues("by", name)
	}
	k := key("a", "1")
	logsOf("c", ControllerOptions{}, logger("manager"))(nil).Info("x")
	logsOf("c", ControllerOptions{}, logger("manager"))(&k).Info("x")
	opts := ControllerOptions{Logger: logger("own")}
	logsOf("c", opts, logger("manager"))(nil).Info("x")
	opts.LogConstructor = func(*sacontroller.Key) logr.Logger { return logger("constructor") }
	logsOf("c", opts, logger("manager"))(&k).Info("x")
	want := []string{
		`"level"=0 "msg"="x" "by"="manager" "controller"="c"`,
		`"level"=0 "msg"="x" "by"="manager" "controller"="c" "kind"="Secret" "namespace"="a" "name"="1"`,
		`"level"=0 "msg"="x" "by"="own" "controller"="c"`,
		`"level"=0 "msg"="x" "by"="constructor"`,
	}
	if !slices.Equal(lines, want) {
		t.Errorf("logged\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}
