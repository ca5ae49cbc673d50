package saruntime_test

import (
	"context"
	"encoding/pem"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	appsv1 "k8s.io/api/apps/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache/informertest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	clientfake "sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/kubesa/serviceaccount/admission"
	saruntime "github.com/kubesa/serviceaccount/controllerruntime"
	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/rootca"
)

var quiet = logr.Discard()

var noMetrics = metricsserver.Options{BindAddress: "0"}

// Controllers of package sacontroller do on a manager what they do elsewhere: SAC-1,
// CTL-21, CTL-41, RCA-1.
func TestControllers(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	reader, live := w.runtime.Reader(), w.runtime.Client()
	accounts := must(sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{Reader: reader, Client: live}))
	tokens := must(sacontroller.NewTokens(sacontroller.TokensConfig{Reader: reader, Client: live, Issuer: w.authority.Issuer}))
	for _, c := range []sacontroller.Controller{accounts, tokens} {
		if err := w.runtime.Add(c, saruntime.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	must(live.CreateNamespace(ctx, namespace("before")))
	w.start(t)
	must(live.CreateNamespace(ctx, namespace("after")))
	for _, ns := range []string{"before", "after"} {
		eventually(t, func() string {
			if _, err := live.GetServiceAccount(ctx, ns, "default"); err != nil {
				return err.Error()
			}
			return ""
		})
	}
	must(live.CreateSecret(ctx, tokenSecret("after", "token", "default")))
	eventually(t, func() string {
		s := must(live.GetSecret(ctx, "after", "token"))
		if len(s.Data[corev1.ServiceAccountTokenKey]) == 0 {
			return "the Secret isn't filled"
		}
		return ""
	})
	if err := live.DeleteServiceAccount(ctx, "after", "default", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		if _, err := live.GetSecret(ctx, "after", "token"); !apierrors.IsNotFound(err) {
			return "the orphaned Secret is still there"
		}
		return ""
	})
}

// An account that the controller makes, and somebody deletes, while there is no watch
// is neither in the cache before nor in the list after. It is made again.
func TestMissedLife(t *testing.T) {
	w := newWorld(t)
	ctx, live := t.Context(), w.runtime.Client()
	accounts := must(sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{Reader: w.runtime.Reader(), Client: live}))
	if err := w.runtime.Add(accounts, saruntime.Options{}); err != nil {
		t.Fatal(err)
	}
	must(live.CreateNamespace(ctx, namespace("early")))
	exists := func(ns string) {
		t.Helper()
		eventually(t, func() string {
			if _, err := w.cluster.GetServiceAccount(ctx, ns, "default"); err != nil {
				return err.Error()
			}
			return ""
		})
	}
	w.start(t)
	exists("early")
	w.cluster.Inject(fault.On("watch", "serviceaccounts", apierrors.NewServiceUnavailable("down")))
	w.cluster.Inject(fault.On("list", "serviceaccounts", apierrors.NewServiceUnavailable("down")))
	w.cluster.DropWatches()
	must(live.CreateNamespace(ctx, namespace("late")))
	exists("late")
	if err := live.DeleteServiceAccount(ctx, "late", "default", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.cluster.Compact()
	w.cluster.ClearFaults()
	exists("late")
}

// A controller that is added later doesn't wait for a kind that can't be listed.
func TestAddLater(t *testing.T) {
	w := newWorld(t)
	w.start(t)
	<-w.manager.Elected()
	w.cluster.Inject(fault.On("", "nodes", apierrors.NewServiceUnavailable("down")))
	added := make(chan error, 1)
	go func() {
		added <- w.runtime.Add(&resyncer{due: make(chan struct{})}, saruntime.Options{Watch: []client.Object{&corev1.Node{}}})
	}()
	select {
	case err := <-added:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("Add waits")
	}
	w.cluster.Inject(fault.On("", "serviceaccounts", apierrors.NewServiceUnavailable("down")))
	plugin := must(admission.New(w.runtime.Admission()))
	go func() { added <- w.runtime.AddPodWebhook(plugin, saruntime.WebhookOptions{}) }()
	select {
	case <-added: // the manager takes no more checks
	case <-time.After(time.Minute):
		t.Error("AddPodWebhook waits")
	}
}

// listening is a manager whose HTTP client notes what is asked.
type listening struct {
	ctrl.Manager
	client *http.Client
}

func (l listening) GetHTTPClient() *http.Client { return l.client }

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// The cache asks for no more than it needs, with the manager's HTTP client.
func TestCacheHoldsLittle(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	var mu sync.Mutex
	asked := map[string]bool{}
	base := w.manager.GetHTTPClient().Transport
	l := listening{w.manager, &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		mu.Lock()
		defer mu.Unlock()
		selectors := strings.Split(r.URL.Query().Get("fieldSelector"), ",")
		slices.Sort(selectors)
		asked[r.URL.Path+"?"+strings.Join(selectors, ",")] = true
		return base.RoundTrip(r)
	})}}
	reader := must(saruntime.New(saruntime.Config{Manager: l})).Reader()
	bundle := &certificatesv1.ClusterTrustBundle{
		ObjectMeta: metav1.ObjectMeta{Name: "kubernetes.io:kube-apiserver-serving:a"},
		Spec:       certificatesv1.ClusterTrustBundleSpec{SignerName: rootca.ServingSigner, TrustBundle: string(trustAnchors())},
	}
	if stored := must(w.cluster.CreateClusterTrustBundle(ctx, bundle)); len(stored.ManagedFields) == 0 {
		t.Fatal("the API server has no managedFields")
	}
	w.start(t)
	eventually(t, func() string {
		got, err := reader.GetClusterTrustBundle(ctx, bundle.Name)
		if err != nil {
			return err.Error()
		}
		if len(got.ManagedFields) > 0 {
			t.Error("the cache has managedFields")
		}
		return ""
	})
	must(reader.ListSecrets(ctx, ""))
	must(reader.ListPods(ctx, ""))
	_, _ = reader.GetConfigMap(ctx, "kube-system", "a")
	_, _ = reader.GetConfigMap(ctx, "a", "kube-root-ca.crt")
	mu.Lock()
	defer mu.Unlock()
	want := map[string]bool{
		"/apis/certificates.k8s.io/v1/clustertrustbundles?spec.signerName=kubernetes.io/kube-apiserver-serving": true,
		"/api/v1/secrets?type=kubernetes.io/service-account-token":                                              true,
		"/api/v1/pods?": true,
		"/api/v1/namespaces/kube-system/configmaps?":                                        true,
		"/api/v1/configmaps?metadata.name=kube-root-ca.crt,metadata.namespace!=kube-system": true,
	}
	if !maps.Equal(asked, want) {
		t.Errorf("asked for %v, want %v", asked, want)
	}
}

// Every object is looked at again when the controller asks for it.
func TestResync(t *testing.T) {
	w := newWorld(t)
	ctx, live := t.Context(), w.runtime.Client()
	c := &resyncer{due: make(chan struct{}, 1)}
	lines := make(chan string, 1)
	opts := saruntime.Options{Watch: []client.Object{&corev1.Namespace{}}}
	opts.Controller.Logger = funcr.New(func(_, line string) {
		if strings.Contains(line, `"msg"="Reconciling"`) {
			select {
			case lines <- line:
			default:
			}
		}
	}, funcr.Options{})
	if err := w.runtime.Add(c, opts); err != nil {
		t.Fatal(err)
	}
	must(live.CreateNamespace(ctx, namespace("a")))
	w.start(t)
	again := func(what string, happen func()) {
		t.Helper()
		before := c.calls.Load()
		happen()
		eventually(t, func() string {
			if c.calls.Load() == before {
				return "no call after " + what
			}
			return ""
		})
	}
	again("the start", func() {})
	if got, want := <-lines, `"controller"="resyncer" "kind"="Namespace" "namespace"="" "name"="a"`; !strings.Contains(got, want) {
		t.Errorf("logged %s, want %s", got, want)
	}
	if !hasFairQueue(t, "resyncer") {
		t.Error("the controller has another queue")
	}
	time.Sleep(100 * time.Millisecond) // whatever else the start makes due
	again("Resync", func() { c.due <- struct{}{} })
	if got := c.calls.Load(); got > 4 {
		t.Errorf("%d calls for one Namespace", got)
	}
}

// resyncer counts what it has to reconcile of the namespace a.
type resyncer struct {
	due   chan struct{}
	calls atomic.Int32
}

func (*resyncer) Name() string { return "resyncer" }

func (c *resyncer) Resync() <-chan struct{} { return c.due }

func (*resyncer) Due(change sacontroller.Change) []sacontroller.Key {
	ns, ok := change.Object.(*corev1.Namespace)
	if !ok || ns.Name != "a" {
		return nil
	}
	return []sacontroller.Key{{Kind: "Namespace", Name: ns.Name, UID: ns.UID}}
}

func (c *resyncer) Reconcile(ctx context.Context, _ sacontroller.Key) (sacontroller.Result, error) {
	log.FromContext(ctx).Info("Reconciling")
	c.calls.Add(1)
	return sacontroller.Result{}, nil
}

// hasFairQueue reports whether the metrics are those of the fair queue, which has no
// depth for each priority.
func hasFairQueue(t *testing.T, controller string) bool {
	t.Helper()
	for _, family := range must(metrics.Registry.Gather()) {
		for _, metric := range family.GetMetric() {
			labels := map[string]string{}
			for _, l := range metric.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if family.GetName() == "workqueue_depth" && labels["controller"] == controller && labels["priority"] == "" {
				return true
			}
		}
	}
	return false
}

// Mistakes are errors that name the field, all at once.
func TestMistakes(t *testing.T) {
	w := newWorld(t)
	var noController *sacontroller.Tokens
	var noKind *corev1.Pod
	c := &resyncer{}
	for _, tt := range []struct {
		name  string
		do    func() error
		field []string
	}{
		{"no manager", func() error { _, err := saruntime.New(saruntime.Config{}); return err }, []string{"Config.Manager"}},
		{"a nil cache", func() error {
			var none *informertest.FakeInformers
			_, err := saruntime.New(saruntime.Config{Manager: w.manager, Cache: none})
			return err
		}, []string{"Config.Cache"}},
		{"a scheme without core v1", func() error {
			mgr := must(ctrl.NewManager(w.config, ctrl.Options{Metrics: noMetrics, Scheme: runtime.NewScheme()}))
			_, err := saruntime.New(saruntime.Config{Manager: mgr})
			return err
		}, []string{"Config.Manager"}},
		{"no client", func() error { _, err := saruntime.NewClient(nil); return err }, []string{"NewClient.c"}},
		{"a manager's client", func() error { _, err := saruntime.NewClient(w.manager.GetClient()); return err }, []string{"NewClient.c"}},
		{"a manager's client, wrapped", func() error {
			_, err := saruntime.NewClient(client.WithFieldOwner(struct{ client.Client }{w.manager.GetClient()}, "me"))
			return err
		}, []string{"NewClient.c"}},
		{"a client that watches, with a cache", func() error {
			_, err := saruntime.NewClient(must(client.NewWithWatch(w.config, cachedClient(w))))
			return err
		}, []string{"NewClient.c"}},
		{"a client of every option, with a cache", func() error {
			yes, opts := true, cachedClient(w)
			opts.DryRun, opts.FieldOwner, opts.FieldValidation, opts.Cache.EnableReadYourWritesConsistency = &yes, "me", "Strict", &yes
			_, err := saruntime.NewClient(client.NewNamespacedClient(must(client.New(w.config, opts)), "a"))
			return err
		}, []string{"NewClient.c"}},
		{"an interceptor of one with a cache", func() error {
			_, err := saruntime.NewClient(interceptor.NewClient(must(client.NewWithWatch(w.config, cachedClient(w))), interceptor.Funcs{}))
			return err
		}, []string{"NewClient.c"}},
		{"no controller", func() error { return w.runtime.Add(nil, saruntime.Options{}) }, []string{"Options.c"}},
		{"a nil controller", func() error { return w.runtime.Add(noController, saruntime.Options{}) }, []string{"Options.c"}},
		{"nothing to watch", func() error { return w.runtime.Add(c, saruntime.Options{}) }, []string{"Options.Watch"}},
		{"what can't be watched", func() error {
			return w.runtime.Add(c, saruntime.Options{Watch: []client.Object{nil, noKind, &appsv1.Deployment{}}})
		}, []string{"Options.Watch[0] is required, want an", "Options.Watch[1] is required, want an", "Options.Watch[2] is a *v1.Deployment, which"}},
		{"options", func() error {
			return w.runtime.Add(c, saruntime.Options{Watch: []client.Object{&corev1.Pod{}}, Controller: saruntime.ControllerOptions{
				MaxConcurrentReconciles: -1, Reconciler: reconcile.TypedFunc[sacontroller.Key](nil),
			}})
		}, []string{"Options.Controller.MaxConcurrentReconciles", "Options.Controller.Reconciler"}},
		{"no plugin", func() error { return w.runtime.AddPodWebhook(nil, saruntime.WebhookOptions{}) }, []string{"Config.plugin"}},
		{"a path that isn't one", func() error {
			return w.runtime.AddPodWebhook(must(admission.New(w.runtime.Admission())), saruntime.WebhookOptions{Path: "a b c"})
		}, []string{"WebhookOptions.Path"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.do()
			if _, ok := errors.AsType[*saruntime.ConfigError](err); !ok {
				t.Fatalf("got %v, want a ConfigError", err)
			}
			for _, field := range tt.field {
				if !strings.Contains(err.Error(), field+" ") {
					t.Errorf("got %v, want an error on %s", err, field)
				}
			}
		})
	}
}

func cachedClient(w *world) client.Options {
	return client.Options{Cache: &client.CacheOptions{Reader: w.manager.GetCache()}}
}

// A client without a cache is one, however it is wrapped.
func TestLiveClients(t *testing.T) {
	w, yes := newWorld(t), true
	direct := must(client.NewWithWatch(w.config, client.Options{DryRun: &yes, FieldOwner: "me", FieldValidation: "Strict"}))
	for i, c := range []client.Client{
		direct, interceptor.NewClient(direct, interceptor.Funcs{}), client.NewNamespacedClient(direct, "a"), struct{ client.Client }{direct},
		clientfake.NewClientBuilder().Build(), w.manager.GetAPIReader().(client.Client),
	} {
		if _, err := saruntime.NewClient(c); err != nil {
			t.Errorf("client %d: %v", i, err)
		}
	}
}

// A cache of the program's own serves as well, and two controllers of one name don't.
func TestCacheOfTheManager(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	shared := must(saruntime.New(saruntime.Config{Manager: w.manager, Cache: w.manager.GetCache()}))
	tokens := must(sacontroller.NewTokens(sacontroller.TokensConfig{Reader: shared.Reader(), Client: shared.Client(), Issuer: w.authority.Issuer}))
	named := false
	opts := saruntime.Options{Controller: saruntime.ControllerOptions{SkipNameValidation: &named, UsePriorityQueue: &named}}
	if err := shared.Add(tokens, opts); err != nil {
		t.Fatal(err)
	}
	if err := shared.Add(tokens, opts); err == nil {
		t.Error("a second controller of that name is added")
	}
	live := shared.Client()
	must(live.CreateNamespace(ctx, namespace("a")))
	must(live.CreateServiceAccount(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "builder"}}))
	must(live.CreateSecret(ctx, tokenSecret("a", "token", "builder")))
	must(live.CreateSecret(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "other"}}))
	w.start(t)
	eventually(t, func() string {
		if s := must(live.GetSecret(ctx, "a", "token")); len(s.Data) == 0 {
			return "the Secret isn't filled"
		}
		return ""
	})
	if list := must(shared.Reader().ListSecrets(ctx, "a")); len(list) != 1 {
		t.Errorf("%d token Secrets are listed, want 1", len(list))
	}
	for _, r := range []*saruntime.Runtime{shared, must(saruntime.New(saruntime.Config{Manager: w.manager, Cache: w.manager.GetCache()}))} { // which share an index
		if list := must(r.Reader().TokenSecrets(ctx, "a", "builder")); len(list) != 1 || list[0].Name != "token" {
			t.Errorf("the token Secrets of builder are %v", list)
		}
	}
}

// The trust anchors of the API server are published, and come back (CTB-10, CTB-11).
func TestTrustBundle(t *testing.T) {
	w := newWorld(t)
	ctx, bundles := t.Context(), w.runtime.Certificates()
	publisher := must(rootca.NewTrustBundles(rootca.TrustBundlesConfig{
		Reader: w.runtime.Reader(), Client: bundles, RootCA: trustAnchors(),
	}))
	if err := w.runtime.Add(publisher, saruntime.Options{}); err != nil {
		t.Fatal(err)
	}
	w.start(t)
	published := func() (name string) {
		t.Helper()
		eventually(t, func() string {
			list, err := bundles.ListClusterTrustBundles(ctx, rootca.ServingSigner)
			if err != nil || len(list) != 1 {
				return "no ClusterTrustBundle"
			}
			name = list[0].Name
			return ""
		})
		return name
	}
	if err := bundles.DeleteClusterTrustBundle(ctx, published(), metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	published()
	if _, err := w.runtime.Reader().ListClusterTrustBundles(ctx, "example.com/mine"); err == nil {
		t.Error("the cache answers for a signer that it doesn't watch")
	}
}

// trustAnchors returns a CA certificate as PEM.
func trustAnchors() []byte {
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	defer server.Close()
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
}
