package rootca_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/internal/satest"
	"github.com/kubesa/serviceaccount/sacontroller/rootca"
)

func newPublisher(t testing.TB, cluster *fake.Cluster, mutate ...func(*rootca.ConfigMapsConfig)) *rootca.ConfigMaps {
	t.Helper()
	cfg := rootca.ConfigMapsConfig{Reader: cluster.Reader(), Client: cluster, RootCA: []byte("CA Data")}
	for _, m := range mutate {
		m(&cfg)
	}
	c, err := rootca.NewConfigMaps(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func publishedMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}}
}

func published(t testing.TB, cluster *fake.Cluster, namespace string) string {
	t.Helper()
	m, err := cluster.Reader().GetConfigMap(t.Context(), namespace, "kube-root-ca.crt")
	if err != nil {
		t.Fatal(err)
	}
	return m.Data["ca.crt"]
}

// Observe gets each attempt at a Namespace, with its error.
func TestConfigMapsObserve(t *testing.T) {
	cluster := fake.New(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ns"}})
	var events []rootca.Event
	c := newPublisher(t, cluster, func(cfg *rootca.ConfigMapsConfig) {
		cfg.Observe = func(_ context.Context, e rootca.Event) { events = append(events, e) }
	})
	cluster.Inject(fault.Nth(1, "create", "configmaps", apierrors.NewInternalError(errors.New("etcd is down"))))
	_, err := c.Reconcile(t.Context(), sacontroller.Key{Kind: "Namespace", Name: "ns"})
	_, again := c.Reconcile(t.Context(), sacontroller.Key{Kind: "Namespace", Name: "ns"})
	_, other := c.Reconcile(t.Context(), sacontroller.Key{Kind: "Secret", Name: "ns"})
	if err == nil || again != nil || other != nil || len(events) != 2 || events[0].Err != err || events[1].Err != nil || events[0].Controller != c.Name() || events[0].Took <= 0 {
		t.Errorf("Reconcile() = %v, %v, Observe got %+v, want both attempts", err, again, events)
	}
}

// What is remembered of a tenant is nobody else's, and nothing once it is forgotten.
func TestTenantsAreForgotten(t *testing.T) {
	ca := []byte(anchor(t, "a", true))
	cluster := fake.New(satest.Active("ns"), satest.Active("kube-system"))
	cluster.Inject(fault.On("create", "", satest.ErrBusy))
	for _, c := range []interface {
		sacontroller.Controller
		sacontroller.Forgetter
		LastError(sacontroller.Key) error
	}{
		newPublisher(t, cluster),
		satest.Must(rootca.NewTrustBundles(rootca.TrustBundlesConfig{Reader: cluster, Client: cluster, RootCA: ca})),
	} {
		key := c.Due(sacontroller.Change{Tenant: "red", Type: watch.Added, Object: satest.Active("kube-system")})[0]
		other := key
		other.Tenant = "blue"
		if err := c.LastError(key); err != nil {
			t.Errorf("%s: LastError() = %v before there was an attempt", c.Name(), err)
		}
		if _, err := c.Reconcile(t.Context(), key); err == nil || c.LastError(key) != err || c.LastError(other) != nil {
			t.Errorf("%s: Reconcile() = %v, LastError() = %v, and of another tenant %v, want the first two the same and no other", c.Name(), err, c.LastError(key), c.LastError(other))
		}
		c.Forget("blue")
		if c.LastError(key) == nil {
			t.Errorf("%s: LastError() = nil after another tenant was forgotten", c.Name())
		}
		c.Forget("red")
		if err := c.LastError(key); err != nil {
			t.Errorf("%s: LastError() = %v after the tenant was forgotten", c.Name(), err)
		}
	}
}

// RCA-1..11, RCA-T1, SECURITY C16
func TestConfigMapsReconcile(t *testing.T) {
	const create, update = "create configmaps ns/kube-root-ca.crt", "update configmaps ns/kube-root-ca.crt"
	wrong := publishedMap("kube-root-ca.crt")
	open, sealed := wrong.DeepCopy(), wrong.DeepCopy()
	open.Immutable, sealed.Immutable = new(false), new(true)
	sealed.Data = map[string]string{"ca.crt": "CA Data"}
	tests := []struct {
		name         string
		cached, live []runtime.Object
		fault        *fault.Fault
		reader       *fault.Fault
		want         []string
		wantErr      string
	}{
		{name: "absent", cached: satest.Objects(satest.Active("ns")), want: []string{create}},
		{name: "wrong", cached: satest.Objects(satest.Active("ns"), wrong), want: []string{update}},
		{name: "wrong, and says that it is not immutable", cached: satest.Objects(satest.Active("ns"), open), want: []string{update}},
		{name: "immutable, lacks its description only", cached: satest.Objects(satest.Active("ns"), sealed), want: []string{update}},
		{name: "no namespace"},
		{name: "namespace being deleted", cached: satest.Objects(satest.Terminating("ns"), wrong)},
		{name: "namespace being deleted, unknown to the cache", cached: satest.Objects(satest.Active("ns")), live: satest.Objects(satest.Terminating("ns")), want: []string{create}}, // RCA-5
		{name: "namespace gone, unknown to the cache", cached: satest.Objects(satest.Active("ns")), live: satest.Objects(satest.Active("other")), want: []string{create}},            // RCA-6
		{name: "exists, unknown to the cache", cached: satest.Objects(satest.Active("ns")), live: satest.Objects(wrong), want: []string{create}, wantErr: "already exists"},          // RCA-7
		{name: "create fails", cached: satest.Objects(satest.Active("ns")), fault: fault.On("create", "", satest.ErrBusy), want: []string{create}, wantErr: "etcd is busy"},
		{name: "update conflicts", cached: satest.Objects(satest.Active("ns"), wrong), fault: fault.On("update", "", fault.Conflict), want: []string{update}, wantErr: "modified"}, // RCA-11
		{name: "update says not found", cached: satest.Objects(satest.Active("ns"), wrong), fault: fault.On("update", "", fault.NotFound), want: []string{update}, wantErr: "not found"},
		{name: "reader fails", cached: satest.Objects(satest.Active("ns")), reader: fault.On("get", "configmaps", satest.ErrBusy), wantErr: "etcd is busy"},
		{name: "reader fails on the namespace", cached: satest.Objects(satest.Active("ns")), reader: fault.On("get", "namespaces", satest.ErrBusy), wantErr: "etcd is busy"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			api, reader := satest.Stale(tt.cached, tt.live, tt.fault, tt.reader)
			c := newPublisher(t, api, func(cfg *rootca.ConfigMapsConfig) { cfg.Reader = reader })
			key := sacontroller.Key{Kind: "Namespace", Name: "ns"}
			_, err := c.Reconcile(t.Context(), key)
			if tt.wantErr == "" && err != nil || tt.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tt.wantErr)) {
				t.Errorf("Reconcile() = %v, want an error with %q", err, tt.wantErr)
			}
			if err != c.LastError(key) {
				t.Errorf("LastError() = %v, want %v", c.LastError(key), err)
			}
			satest.Diff(t, "calls", tt.want, satest.Calls(api))
		})
	}
}

// The bundle changes while the controller runs, twice in a row and once half
// written: SECURITY C11, S8.
func TestConfigMapsRotation(t *testing.T) {
	cluster := fake.New(satest.Active("a"), satest.Active("b"))
	first, second, third := []byte(anchor(t, "first", true)), []byte(anchor(t, "second", true)), []byte(anchor(t, "third", true))
	c := newPublisher(t, cluster, func(cfg *rootca.ConfigMapsConfig) { cfg.RootCA = first })
	satest.Settle(t, cluster, c)
	for _, bundle := range [][]byte{second, third} {
		if err := c.SetRootCA(bundle); err != nil {
			t.Fatal(err)
		}
	}
	for _, bad := range [][]byte{nil, second[:len(second)/2], []byte("CA Data")} {
		if err := c.SetRootCA(bad); err == nil {
			t.Errorf("SetRootCA(%.20q…) = nil, want an error", bad)
		}
	}
	select {
	case <-c.Resync():
	default:
		t.Fatal("Resync() has nothing after SetRootCA, want one value")
	}
	cluster.Forget(c) // what a driver does for a resync: every object is Added once more
	satest.Settle(t, cluster, c)
	for _, ns := range []string{"a", "b"} {
		if got := published(t, cluster, ns); got != string(third) {
			t.Errorf("Namespace %s has another CA than the last good one", ns)
		}
	}
	for _, a := range cluster.Writes() {
		m := a.Object.(*corev1.ConfigMap)
		if ca := m.Data["ca.crt"]; ca != string(first) && ca != string(second) && ca != string(third) {
			t.Errorf("%s wrote a CA that was never set", a)
		}
	}
}

// Somebody else changes the ConfigMap back each time: SECURITY C15.
func TestConfigMapsFight(t *testing.T) {
	now := fake.Epoch
	cluster := fake.New(satest.Active("ns"))
	c := newPublisher(t, cluster, func(cfg *rootca.ConfigMapsConfig) { cfg.Now = func() time.Time { return now } })
	key := sacontroller.Key{Kind: "Namespace", Name: "ns"}
	waited := 0
	for range 2_500 {
		result, err := c.Reconcile(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if result.RequeueAfter > 0 {
			waited++
			if err := c.LastError(key); err == nil || !strings.Contains(err.Error(), "Namespace ns is being reverted by another writer") {
				t.Fatalf("LastError() = %v while waiting, want it to say why", err)
			}
		}
		m, err := cluster.Reader().GetConfigMap(t.Context(), "ns", "kube-root-ca.crt")
		if err != nil {
			t.Fatal(err)
		}
		m = m.DeepCopy()
		m.Data["ca.crt"] = "theirs"
		if _, err := cluster.UpdateConfigMap(fake.WithActor(t.Context(), "somebody"), m); err != nil {
			t.Fatal(err)
		}
		now = now.Add(240 * time.Millisecond) // ten minutes in all
	}
	ours := 0
	for _, a := range cluster.Writes() {
		if a.Actor != "somebody" {
			ours++
		}
	}
	if waited == 0 || ours != 10*60 {
		t.Errorf("there were %d writes in ten minutes and %d waits, want sixty a minute", ours, waited)
	}
}

// Another writer deletes the ConfigMap each time: SECURITY C15.
func TestConfigMapsFightsDeletes(t *testing.T) {
	cluster := fake.New(satest.Active("ns"))
	c := newPublisher(t, cluster, func(cfg *rootca.ConfigMapsConfig) { cfg.Now = func() time.Time { return fake.Epoch } })
	key := sacontroller.Key{Kind: "Namespace", Name: "ns"}
	for i := range 61 {
		result, err := c.Reconcile(t.Context(), key)
		if err != nil || (result.RequeueAfter > 0) != (i == 60) {
			t.Fatalf("attempt %d: Reconcile() = %v, %v, want it to wait from the 61st on", i+1, result, err)
		}
		if i < 60 {
			if err := cluster.DeleteConfigMap(t.Context(), "ns", "kube-root-ca.crt", metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// RCA-3
func TestConfigMapsDue(t *testing.T) {
	want := []sacontroller.Key{{Kind: "Namespace", Name: "ns"}}
	satest.Due(t, (*rootca.ConfigMaps)(nil).Due, []satest.DueCase{
		{Name: "active namespace", Types: []watch.EventType{watch.Added, watch.Modified}, Object: satest.Namespace("ns", corev1.NamespaceActive), Want: want},
		{Name: "terminating namespace", Types: []watch.EventType{watch.Added}, Object: satest.Namespace("ns", corev1.NamespaceTerminating), Want: want},
		{Name: "namespace without phase", Types: []watch.EventType{watch.Added}, Object: satest.Namespace("ns", ""), Want: want},
		{Name: "ConfigMap", Types: []watch.EventType{watch.Modified, watch.Deleted}, Object: publishedMap("kube-root-ca.crt"), Want: want},
		{Name: "other ConfigMap", Object: publishedMap("other")},
		{Name: "ConfigMap without namespace", Object: &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "kube-root-ca.crt"}}},
		{Name: "namespace without name", Object: satest.Namespace("", corev1.NamespaceActive)},
		{Name: "nil ConfigMap", Object: (*corev1.ConfigMap)(nil)},
		{Name: "nil namespace", Object: (*corev1.Namespace)(nil)},
	})
}

// CTL-8
func TestForeignKeys(t *testing.T) {
	satest.Foreign(t, new(rootca.ConfigMaps), new(rootca.TrustBundles))
}
