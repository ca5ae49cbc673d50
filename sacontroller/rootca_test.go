package sacontroller_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/sacontroller"
)

func certificate(t testing.TB, serial int64) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), IsCA: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func newPublisher(t testing.TB, cluster *fake.Cluster, mutate ...func(*sacontroller.RootCAPublisherConfig)) *sacontroller.RootCAPublisher {
	t.Helper()
	cfg := sacontroller.RootCAPublisherConfig{Reader: cluster.Reader(), Client: cluster, RootCA: []byte("CA Data")}
	for _, m := range mutate {
		m(&cfg)
	}
	c, err := sacontroller.NewRootCAPublisher(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
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
func TestRootCAPublisherObserve(t *testing.T) {
	cluster := fake.New(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ns"}})
	var events []sacontroller.Event
	c := newPublisher(t, cluster, func(cfg *sacontroller.RootCAPublisherConfig) {
		cfg.Observe = func(_ context.Context, e sacontroller.Event) { events = append(events, e) }
	})
	cluster.Inject(fault.Nth(1, "create", "configmaps", apierrors.NewInternalError(errors.New("etcd is down"))))
	_, err := c.Reconcile(t.Context(), sacontroller.Key{Kind: "Namespace", Name: "ns"})
	_, again := c.Reconcile(t.Context(), sacontroller.Key{Kind: "Namespace", Name: "ns"})
	_, other := c.Reconcile(t.Context(), sacontroller.Key{Kind: "Secret", Name: "ns"})
	if err == nil || again != nil || other != nil || len(events) != 2 || events[0].Err != err || events[1].Err != nil || events[0].Controller != c.Name() || events[0].Took <= 0 {
		t.Errorf("Reconcile() = %v, %v, Observe got %+v, want both attempts", err, again, events)
	}
}

// RCA-1..11, RCA-T1, SECURITY C16
func TestRootCAPublisherReconcile(t *testing.T) {
	const create, update = "create configmaps ns/kube-root-ca.crt", "update configmaps ns/kube-root-ca.crt"
	wrong := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "kube-root-ca.crt", Namespace: "ns"}}
	tests := []struct {
		name         string
		cached, live []runtime.Object
		fault        *fault.Fault
		reader       *fault.Fault
		want         []string
		wantErr      string
	}{
		{name: "absent", cached: objects(active("ns")), want: []string{create}},
		{name: "wrong", cached: objects(active("ns"), wrong), want: []string{update}},
		{name: "no namespace"},
		{name: "namespace being deleted", cached: objects(terminating("ns"), wrong)},
		{name: "namespace being deleted, unknown to the cache", cached: objects(active("ns")), live: objects(terminating("ns")), want: []string{create}}, // RCA-5
		{name: "namespace gone, unknown to the cache", cached: objects(active("ns")), live: objects(active("other")), want: []string{create}},            // RCA-6
		{name: "exists, unknown to the cache", cached: objects(active("ns")), live: objects(wrong), want: []string{create}, wantErr: "already exists"},   // RCA-7
		{name: "create fails", cached: objects(active("ns")), fault: fault.On("create", "", errBusy), want: []string{create}, wantErr: "etcd is busy"},
		{name: "update conflicts", cached: objects(active("ns"), wrong), fault: fault.On("update", "", fault.Conflict), want: []string{update}, wantErr: "modified"}, // RCA-11
		{name: "update says not found", cached: objects(active("ns"), wrong), fault: fault.On("update", "", fault.NotFound), want: []string{update}, wantErr: "not found"},
		{name: "reader fails", cached: objects(active("ns")), reader: fault.On("get", "configmaps", errBusy), wantErr: "etcd is busy"},
		{name: "reader fails on the namespace", cached: objects(active("ns")), reader: fault.On("get", "namespaces", errBusy), wantErr: "etcd is busy"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cache := fake.New(tt.cached...)
			api, reader := cache, cache.Reader()
			if tt.live != nil {
				api = fake.New(tt.live...)
			}
			if tt.fault != nil {
				api.Inject(tt.fault)
			}
			if tt.reader != nil {
				reader.Inject(tt.reader)
			}
			c := newPublisher(t, api, func(cfg *sacontroller.RootCAPublisherConfig) { cfg.Reader = reader })
			key := sacontroller.Key{Kind: "Namespace", Name: "ns"}
			_, err := c.Reconcile(t.Context(), key)
			if tt.wantErr == "" && err != nil || tt.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tt.wantErr)) {
				t.Errorf("Reconcile() = %v, want an error with %q", err, tt.wantErr)
			}
			if err != c.LastError(key) {
				t.Errorf("LastError() = %v, want %v", c.LastError(key), err)
			}
			diff(t, "calls", tt.want, calls(api))
		})
	}
}

// The bundle changes while the controller runs, twice in a row and once half
// written: SECURITY C11, S8.
func TestRootCAPublisherRotation(t *testing.T) {
	cluster := fake.New(active("a"), active("b"))
	first, second, third := certificate(t, 1), certificate(t, 2), certificate(t, 3)
	c := newPublisher(t, cluster, func(cfg *sacontroller.RootCAPublisherConfig) { cfg.RootCA = first })
	settle(t, cluster, c)
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
	settle(t, cluster, c)
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
func TestRootCAPublisherFight(t *testing.T) {
	now := fake.Epoch
	cluster := fake.New(active("ns"))
	c := newPublisher(t, cluster, func(cfg *sacontroller.RootCAPublisherConfig) { cfg.Now = func() time.Time { return now } })
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
	if waited == 0 || ours > 11*60 {
		t.Errorf("there were %d writes in ten minutes and %d waits, want at most sixty a minute", ours, waited)
	}
}
