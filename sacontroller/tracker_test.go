package sacontroller_test

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/sacontroller"
)

const trackingName = "kube-apiserver-legacy-service-account-token-tracking"

var trackingKey = sacontroller.Key{Kind: "ConfigMap", Namespace: "kube-system", Name: trackingName}

func tracking(data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: trackingName}, Data: data}
}

func newTracker(t testing.TB, cluster *fake.Cluster, reader *fake.Reader, now *time.Time) *sacontroller.LegacyTokenTracker {
	t.Helper()
	c, err := sacontroller.NewLegacyTokenTracker(sacontroller.LegacyTokenTrackerConfig{
		Reader: reader, Client: cluster, Now: func() time.Time { return *now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// CLN-2..8, CLN-T1
func TestLegacyTokenTrackerReconcile(t *testing.T) {
	const create, update = "create configmaps kube-system/" + trackingName, "update configmaps kube-system/" + trackingName
	now := time.Date(2024, 1, 31, 23, 30, 0, 0, time.FixedZone("", -3600)) // already February in UTC
	today := map[string]string{"since": "2024-02-01"}
	bad := tracking(map[string]string{"since": "BAD_TIMESTAMP", "other": "kept"})
	tests := []struct {
		name         string
		cached, live []runtime.Object
		fault        *fault.Fault
		want         []string
		wantErr      string
		data         map[string]string // afterwards
	}{
		{name: "absent", cached: objects(active("kube-system")), want: []string{create}, data: today},
		{
			name: "absent in the cache only", cached: objects(active("kube-system")), live: objects(tracking(map[string]string{"since": "2020-01-01"})),
			want: []string{create}, data: map[string]string{"since": "2020-01-01"},
		},
		{name: "create fails", cached: objects(active("kube-system")), fault: fault.On("create", "", errBusy), want: []string{create}, wantErr: "etcd is busy"},
		{name: "good", cached: objects(tracking(map[string]string{"since": "2020-01-01"})), data: map[string]string{"since": "2020-01-01"}},
		{name: "no data", cached: objects(tracking(nil)), want: []string{update}, data: today},
		{name: "bad date", cached: objects(bad), want: []string{update}, data: map[string]string{"since": "2024-02-01", "other": "kept"}},
		{name: "bad date, gone", cached: objects(bad), live: objects(active("kube-system")), want: []string{update}},
		{name: "bad date, update conflicts", cached: objects(bad), fault: fault.On("update", "", fault.Conflict), want: []string{update}, wantErr: "modified"},
		{name: "bad date, update says not found", cached: objects(bad), fault: fault.On("update", "", fault.NotFound), want: []string{update}},
		{name: "bad date, update fails", cached: objects(bad), fault: fault.On("update", "", errBusy), want: []string{update}, wantErr: "etcd is busy"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cache := fake.New(tt.cached...)
			api := cache
			if tt.live != nil {
				api = fake.New(tt.live...)
			}
			if tt.fault != nil {
				api.Inject(tt.fault)
			}
			_, err := newTracker(t, api, cache.Reader(), &now).Reconcile(t.Context(), trackingKey)
			if tt.wantErr == "" && err != nil || tt.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tt.wantErr)) {
				t.Errorf("Reconcile() = %v, want an error with %q", err, tt.wantErr)
			}
			diff(t, "calls", tt.want, calls(api))
			if tt.data != nil {
				m, err := api.Reader().GetConfigMap(t.Context(), "kube-system", trackingName)
				if err != nil {
					t.Fatal(err)
				}
				diff(t, "data", tt.data, m.Data)
			}
		})
	}
}

// CLN-4, CLN-5, CLN-T1: one creation each half hour, failures don't count.
func TestLegacyTokenTrackerPause(t *testing.T) {
	now := fake.Epoch
	cluster := fake.New(active("kube-system"))
	c := newTracker(t, cluster, cluster.Reader(), &now)
	cluster.Inject(fault.First(3, "create", "", errBusy))
	settle(t, cluster, c) // kube-system makes it due: CLN-1
	if n := len(cluster.Writes()); n != 4 {
		t.Fatalf("there were %d creates, want three failures and a success", n)
	}
	for _, step := range []struct {
		after time.Duration
		wait  time.Duration
	}{{28 * time.Minute, 2 * time.Minute}, {time.Minute, time.Minute}, {time.Minute, 0}} {
		if err := cluster.DeleteConfigMap(t.Context(), "kube-system", trackingName, metav1.DeleteOptions{}); err != nil && step.after == 28*time.Minute {
			t.Fatal(err)
		}
		now = now.Add(step.after)
		result, err := c.Reconcile(t.Context(), trackingKey)
		if err != nil || result.RequeueAfter != step.wait {
			t.Errorf("Reconcile() at %v = %v, %v, want to wait %v", now, result, err, step.wait)
		}
	}
	if _, err := cluster.Reader().GetConfigMap(t.Context(), "kube-system", trackingName); err != nil {
		t.Errorf("after half an hour: %v, want the ConfigMap", err)
	}
}
