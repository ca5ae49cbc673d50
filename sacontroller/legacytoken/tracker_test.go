package legacytoken_test

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/internal/satest"
	"github.com/kubesa/serviceaccount/sacontroller/legacytoken"
)

func newTracker(t testing.TB, cluster *fake.Cluster, reader *fake.Reader, now *time.Time) *legacytoken.Tracker {
	t.Helper()
	c, err := legacytoken.NewTracker(legacytoken.TrackerConfig{
		Reader: reader, Client: cluster, Now: func() time.Time { return *now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// CLN-2..8, CLN-T1
func TestTrackerReconcile(t *testing.T) {
	const create, update = "create configmaps kube-system/" + satest.TrackingName, "update configmaps kube-system/" + satest.TrackingName
	now := time.Date(2024, 1, 31, 23, 30, 0, 0, time.FixedZone("", -3600)) // already February in UTC
	today := map[string]string{"since": "2024-02-01"}
	bad := satest.Tracking(map[string]string{"since": "BAD_TIMESTAMP", "other": "kept"})
	tests := []struct {
		name         string
		cached, live []runtime.Object
		fault        *fault.Fault
		want         []string
		wantErr      string
		data         map[string]string // afterwards
	}{
		{name: "absent", cached: satest.Objects(satest.Active("kube-system")), want: []string{create}, data: today},
		{
			name: "absent in the cache only", cached: satest.Objects(satest.Active("kube-system")), live: satest.Objects(satest.Tracking(map[string]string{"since": "2020-01-01"})),
			want: []string{create}, data: map[string]string{"since": "2020-01-01"},
		},
		{name: "create fails", cached: satest.Objects(satest.Active("kube-system")), fault: fault.On("create", "", satest.ErrBusy), want: []string{create}, wantErr: "etcd is busy"},
		{name: "good", cached: satest.Objects(satest.Tracking(map[string]string{"since": "2020-01-01"})), data: map[string]string{"since": "2020-01-01"}},
		{name: "no data", cached: satest.Objects(satest.Tracking(nil)), want: []string{update}, data: today},
		{name: "bad date", cached: satest.Objects(bad), want: []string{update}, data: map[string]string{"since": "2024-02-01", "other": "kept"}},
		{name: "bad date, gone", cached: satest.Objects(bad), live: satest.Objects(satest.Active("kube-system")), want: []string{update}},
		{name: "bad date, update conflicts", cached: satest.Objects(bad), fault: fault.On("update", "", fault.Conflict), want: []string{update}, wantErr: "modified"},
		{name: "bad date, update says not found", cached: satest.Objects(bad), fault: fault.On("update", "", fault.NotFound), want: []string{update}},
		{name: "bad date, update fails", cached: satest.Objects(bad), fault: fault.On("update", "", satest.ErrBusy), want: []string{update}, wantErr: "etcd is busy"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			api, reader := satest.Stale(tt.cached, tt.live, tt.fault, nil)
			_, err := newTracker(t, api, reader, &now).Reconcile(t.Context(), satest.TrackingKey)
			if tt.wantErr == "" && err != nil || tt.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tt.wantErr)) {
				t.Errorf("Reconcile() = %v, want an error with %q", err, tt.wantErr)
			}
			satest.Diff(t, "calls", tt.want, satest.Calls(api))
			if tt.data != nil {
				m, err := api.Reader().GetConfigMap(t.Context(), "kube-system", satest.TrackingName)
				if err != nil {
					t.Fatal(err)
				}
				satest.Diff(t, "data", tt.data, m.Data)
			}
		})
	}
}

// CLN-4, CLN-5, CLN-T1: one creation each half hour, failures don't count.
func TestTrackerPause(t *testing.T) {
	now := fake.Epoch
	cluster := fake.New(satest.Active("kube-system"))
	c := newTracker(t, cluster, cluster.Reader(), &now)
	cluster.Inject(fault.First(3, "create", "", satest.ErrBusy))
	satest.Settle(t, cluster, c) // kube-system makes it due: CLN-1
	if n := len(cluster.Writes()); n != 4 {
		t.Fatalf("there were %d creates, want three failures and a success", n)
	}
	for _, step := range []struct {
		after time.Duration
		wait  time.Duration
	}{{28 * time.Minute, 2 * time.Minute}, {time.Minute, time.Minute}, {time.Minute, 0}} {
		if err := cluster.DeleteConfigMap(t.Context(), "kube-system", satest.TrackingName, metav1.DeleteOptions{}); err != nil && step.after == 28*time.Minute {
			t.Fatal(err)
		}
		now = now.Add(step.after)
		result, err := c.Reconcile(t.Context(), satest.TrackingKey)
		if err != nil || result.RequeueAfter != step.wait {
			t.Errorf("Reconcile() at %v = %v, %v, want to wait %v", now, result, err, step.wait)
		}
	}
	if _, err := cluster.Reader().GetConfigMap(t.Context(), "kube-system", satest.TrackingName); err != nil {
		t.Errorf("after half an hour: %v, want the ConfigMap", err)
	}
	if err := cluster.DeleteConfigMap(t.Context(), "kube-system", satest.TrackingName, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	now = now.Add(-time.Hour)
	if result, err := c.Reconcile(t.Context(), satest.TrackingKey); err != nil || result.RequeueAfter != 0 {
		t.Errorf("Reconcile() after the clock was set back = %v, %v, want no wait", result, err)
	}
}

// The pause is that of a tenant, until the tenant is forgotten.
func TestTrackerForgets(t *testing.T) {
	cluster := fake.New(satest.Active("kube-system"))
	c, err := legacytoken.NewTracker(legacytoken.TrackerConfig{Reader: ofRed{cluster, t}, Client: cluster})
	if err != nil {
		t.Fatal(err)
	}
	key := satest.TrackingKey
	key.Tenant = "red"
	for _, step := range []struct {
		forget string
		waits  bool
	}{{"", false}, {"", true}, {"blue", true}, {"red", false}, {"", true}} {
		if step.forget != "" {
			c.Forget(step.forget)
		}
		result, err := c.Reconcile(t.Context(), key)
		if err != nil || (result.RequeueAfter > 0) != step.waits {
			t.Errorf("Reconcile() after %q was forgotten = %v, %v, want it to wait: %t", step.forget, result, err, step.waits)
		}
		if !step.waits {
			if err := cluster.DeleteConfigMap(t.Context(), "kube-system", satest.TrackingName, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// CLN-1, CLN-20
func TestTrackingDue(t *testing.T) {
	want := []sacontroller.Key{satest.TrackingKey}
	elsewhere := satest.Tracking(nil)
	elsewhere.Namespace = "default"
	satest.Due(t, (*legacytoken.Tracker)(nil).Due, []satest.DueCase{
		{Name: "ConfigMap", Object: satest.Tracking(nil), Want: want},
		{Name: "ConfigMap elsewhere", Object: elsewhere},
		{Name: "other ConfigMap", Object: &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "other"}}},
		{Name: "kube-system", Types: []watch.EventType{watch.Added}, Object: satest.Namespace("kube-system", corev1.NamespaceActive), Want: want},
		{Name: "other namespace", Object: satest.Namespace("ns", corev1.NamespaceActive)},
		{Name: "nil namespace", Object: (*corev1.Namespace)(nil)},
	})
	satest.Due(t, (*legacytoken.Cleaner)(nil).Due, []satest.DueCase{
		{Name: "ConfigMap", Types: []watch.EventType{watch.Added, watch.Modified}, Object: satest.Tracking(nil), Want: want},
		{Name: "ConfigMap elsewhere", Object: elsewhere},
		{Name: "nil ConfigMap", Object: (*corev1.ConfigMap)(nil)},
		{Name: "kube-system", Object: satest.Namespace("kube-system", corev1.NamespaceActive)},
	})
}

// CTL-8
func TestForeignKeys(t *testing.T) {
	satest.Foreign(t, new(legacytoken.Cleaner), new(legacytoken.Tracker))
}

// What can't succeed until the ConfigMap changes says why and is not retried.
func TestTerminalErrors(t *testing.T) {
	tracker := func(t *testing.T, cluster *fake.Cluster) sacontroller.Controller {
		now := fake.Epoch
		return newTracker(t, cluster, cluster.Reader(), &now)
	}
	satest.Terminal(t, []satest.TerminalCase{
		{Name: "tracking is invalid", Controller: tracker, Key: satest.TrackingKey, World: satest.Objects(satest.Tracking(nil)), Fault: fault.On("update", "configmaps", satest.ErrInvalid), Want: "updating the tracking ConfigMap: ", Calls: []string{"update configmaps kube-system/" + satest.TrackingName}},
	})
}
