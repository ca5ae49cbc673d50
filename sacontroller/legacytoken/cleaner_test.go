package legacytoken_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/sacontroller/internal/satest"
	"github.com/kubesa/serviceaccount/sacontroller/legacytoken"
)

const (
	invalidSince = "kubernetes.io/legacy-token-invalid-since"
	lastUsed     = "kubernetes.io/legacy-token-last-used"
)

func newCleaner(t testing.TB, cluster *fake.Cluster, mutate ...func(*legacytoken.CleanerConfig)) *legacytoken.Cleaner {
	t.Helper()
	cfg := legacytoken.CleanerConfig{Reader: cluster.Reader(), Client: cluster, Now: func() time.Time { return fake.Epoch }}
	for _, m := range mutate {
		m(&cfg)
	}
	c, err := legacytoken.NewCleaner(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// CLN-21, CLN-24..31, CLN-T2..T6, SECURITY C19, S1, S7
func TestCleanerReconcile(t *testing.T) {
	const getMap, pods, ns = "get configmaps kube-system/" + satest.TrackingName, "list pods ns", "get namespaces ns"
	const patch, getSec, getSA = "patch secrets ns/token-secret-1", "get secrets ns/token-secret-1", "get serviceaccounts ns/default"
	since := satest.Tracking(map[string]string{"since": "2020-01-01"})
	old := satest.Unused(map[string]string{invalidSince: "2024-12-31"})
	deleteOld := "delete secrets ns/token-secret-1 uid 23456 resourceVersion 5"
	user := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "ns"},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: "c", Image: "i"}},
			Volumes: []corev1.Volume{
				{Name: "u", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "another"}}},
				{Name: "v", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "token-secret-1"}}},
			},
		},
	}
	listing := satest.AccountListing("token-secret-1")
	tests := []struct {
		name         string
		cached, live []runtime.Object
		fault        *fault.Fault
		reader       *fault.Fault
		want         []string
		wantErr      string
		problem      string
		action       legacytoken.Action
		failed       string // the error of the Secret
	}{
		{name: "no tracking", cached: satest.Objects(listing, old), want: []string{getMap}, problem: "does not exist"},
		{name: "tracking without since", cached: satest.Objects(satest.Tracking(nil), listing, old), want: []string{getMap}, problem: `has no "since"`},
		{name: "tracking since garbage", cached: satest.Objects(satest.Tracking(map[string]string{"since": "2022-12-27-1"}), listing, old), want: []string{getMap}, problem: `has "since" "2022-12-27-1", want a date`},
		{name: "tracked too short", cached: satest.Objects(satest.Tracking(map[string]string{"since": "2025-01-01"}), listing, old), want: []string{getMap}, problem: "use is tracked since 2025-01-01 only, want a period of 8760h0m0s"},
		{name: "no answer about tracking", cached: satest.Objects(since), fault: fault.On("get", "configmaps", satest.ErrBusy), want: []string{getMap}, wantErr: "etcd is busy"},
		{name: "no list of Secrets", cached: satest.Objects(since), reader: fault.On("list", "secrets", satest.ErrBusy), want: []string{getMap}, wantErr: "etcd is busy"},
		{name: "nothing but other Secrets", cached: satest.Objects(since, satest.Opaque()), want: []string{getMap}},
		{name: "young", cached: satest.Objects(since, listing, satest.Token()), want: []string{getMap}, action: legacytoken.Keep},
		{name: "created by hand", cached: satest.Objects(since, satest.Account(), old), want: []string{getMap}, action: legacytoken.Keep},
		{name: "used by a pod", cached: satest.Objects(since, listing, old, user), want: []string{getMap}, action: legacytoken.Keep},
		{name: "to be deleted", cached: satest.Objects(since, listing, old), want: []string{getMap, getSec, getSA, ns, pods, deleteOld}, action: legacytoken.Delete},
		{name: "to be invalidated", cached: satest.Objects(since, listing, satest.Unused(nil)), want: []string{getMap, getSec, getSA, ns, pods, patch}, action: legacytoken.Invalidate},
		{name: "invalidated recently", cached: satest.Objects(since, listing, satest.Unused(map[string]string{invalidSince: "2025-01-01"})), want: []string{getMap}, action: legacytoken.Keep},
		{name: "invalidated recently, no matter by what pods it is used", cached: satest.Objects(since, listing, satest.Unused(map[string]string{invalidSince: "2025-01-01"})), reader: fault.On("list", "pods", satest.ErrBusy), want: []string{getMap}, action: legacytoken.Keep},
		{name: "of an account that is gone", cached: satest.Objects(since, old), want: []string{getMap}, action: legacytoken.Keep},
		{name: "of an account that is gone by now", cached: satest.Objects(since, listing, old), live: satest.Objects(since, old), want: []string{getMap, getSec, getSA}, action: legacytoken.Keep},
		{name: "used by a pod that the cache lacks", cached: satest.Objects(since, listing, old), live: satest.Objects(since, listing, old, user), want: []string{getMap, getSec, getSA, ns, pods}, action: legacytoken.Keep},
		{name: "label removed meanwhile", cached: satest.Objects(since, listing, old), live: satest.Objects(since, listing, satest.Unused(nil)), want: []string{getMap, getSec, getSA, ns, pods, patch}, action: legacytoken.Invalidate},
		{name: "used meanwhile", cached: satest.Objects(since, listing, old), live: satest.Objects(since, listing, satest.Unused(map[string]string{invalidSince: "2024-12-31", lastUsed: "2025-12-01"})), want: []string{getMap, getSec}, action: legacytoken.Keep},
		{name: "dereferenced meanwhile", cached: satest.Objects(since, listing, old), live: satest.Objects(since, satest.Account(), old), want: []string{getMap, getSec, getSA}, action: legacytoken.Keep},
		{name: "deleted meanwhile", cached: satest.Objects(since, listing, old), live: satest.Objects(since, listing), want: []string{getMap, getSec}, action: legacytoken.Keep},
		{name: "created again meanwhile", cached: satest.Objects(since, listing, old), live: satest.Objects(since, listing, func() *corev1.Secret {
			s := satest.Unused(map[string]string{invalidSince: "2024-12-31"})
			s.UID = "4"
			return s
		}()), want: []string{getMap, getSec}, action: legacytoken.Keep},
		{name: "namespace being deleted", cached: satest.Objects(since, satest.Terminating("ns"), listing, old), want: []string{getMap}, action: legacytoken.Keep},
		{name: "in a namespace that is gone", cached: satest.Objects(since, listing, old), fault: fault.On("get", "namespaces", fault.NotFound), want: []string{getMap, getSec, getSA, ns, pods, deleteOld}, action: legacytoken.Delete},
		{name: "delete conflicts", cached: satest.Objects(since, listing, old), fault: fault.On("delete", "", fault.Conflict), want: []string{getMap, getSec, getSA, ns, pods, deleteOld}, action: legacytoken.Delete},
		{name: "delete finds none", cached: satest.Objects(since, listing, old), fault: fault.On("delete", "", fault.NotFound), want: []string{getMap, getSec, getSA, ns, pods, deleteOld}, action: legacytoken.Delete},
		{name: "delete fails", cached: satest.Objects(since, listing, old), fault: fault.On("delete", "", satest.ErrBusy), want: []string{getMap, getSec, getSA, ns, pods, deleteOld}, action: legacytoken.Delete, failed: "legacytoken: cleaning up Secret ns/token-secret-1: Internal error occurred: etcd is busy"},
		{name: "patch fails", cached: satest.Objects(since, listing, satest.Unused(nil)), fault: fault.On("patch", "", satest.ErrBusy), want: []string{getMap, getSec, getSA, ns, pods, patch}, action: legacytoken.Invalidate, failed: "etcd is busy"},
		{name: "patch fails without details", cached: satest.Objects(since, listing, satest.Unused(nil)), fault: fault.On("patch", "", &apierrors.StatusError{}), want: []string{getMap, getSec, getSA, ns, pods, patch}, action: legacytoken.Invalidate, failed: "legacytoken: cleaning up Secret ns/token-secret-1"},
		{name: "patch finds another", cached: satest.Objects(since, listing, satest.Unused(nil)), fault: fault.On("patch", "", apierrors.NewInvalid(schema.GroupKind{Kind: "Secret"}, "token-secret-1", field.ErrorList{
			field.Invalid(field.NewPath("metadata", "uid"), "4", "field is immutable")})), want: []string{getMap, getSec, getSA, ns, pods, patch}, action: legacytoken.Invalidate},
		{name: "patch is invalid", cached: satest.Objects(since, listing, satest.Unused(nil)), fault: fault.On("patch", "", apierrors.NewInvalid(schema.GroupKind{Kind: "Secret"}, "token-secret-1", field.ErrorList{
			field.Required(field.NewPath("data"), "")})), want: []string{getMap, getSec, getSA, ns, pods, patch}, action: legacytoken.Invalidate, failed: "data: Required value"},
		{name: "no answer about the Secret", cached: satest.Objects(since, listing, old), fault: fault.On("get", "secrets", satest.ErrBusy), want: []string{getMap, getSec}, action: legacytoken.Keep, failed: "etcd is busy"},
		{name: "no answer about pods", cached: satest.Objects(since, listing, old), fault: fault.On("list", "pods", satest.ErrBusy), want: []string{getMap, getSec, getSA, ns, pods}, action: legacytoken.Keep, failed: "etcd is busy"},
		{name: "no answer about the account in the cache", cached: satest.Objects(since, listing, old), reader: fault.On("get", "serviceaccounts", satest.ErrBusy), want: []string{getMap}, action: legacytoken.Keep, failed: "etcd is busy"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			api, reader := satest.Stale(tt.cached, tt.live, tt.fault, tt.reader)
			var report *legacytoken.Report
			c := newCleaner(t, api, func(cfg *legacytoken.CleanerConfig) {
				cfg.Reader, cfg.Observe = reader, func(_ context.Context, e legacytoken.Event) { report = e.Report }
			})
			result, err := c.Reconcile(t.Context(), satest.TrackingKey)
			if tt.wantErr == "" && err != nil || tt.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tt.wantErr)) {
				t.Errorf("Reconcile() = %v, want an error with %q", err, tt.wantErr)
			}
			satest.Diff(t, "calls", tt.want, satest.Calls(api))
			if tt.wantErr != "" {
				return
			}
			if result.RequeueAfter != 24*time.Hour {
				t.Errorf("Reconcile() asks for the next round after %v, want 24h", result.RequeueAfter)
			}
			if report == nil || (tt.problem == "") != (report.Problem == "") || !strings.Contains(report.Problem, tt.problem) {
				t.Fatalf("report %+v, want the problem %q", report, tt.problem)
			}
			if tt.action == "" {
				if len(report.Decisions) != 0 {
					t.Errorf("the report tells of %v, want no Secret", report.Decisions)
				}
				return
			}
			got := report.Decisions[0]
			if len(report.Decisions) != 1 || got.Action != tt.action || (got.Err != nil) != (tt.failed != "") || tt.failed != "" && !strings.Contains(got.Err.Error(), tt.failed) {
				t.Errorf("the report tells of %+v, want the action %s and the error %q", report.Decisions, tt.action, tt.failed)
			}
			if got.Action == legacytoken.Keep && got.Err != nil && strings.Contains(got.Err.Error(), "cleaning up") {
				t.Errorf("the error of a Secret that was kept is %v", got.Err)
			}
		})
	}
}

// A token that nobody uses is marked, and a period later deleted; a person who
// takes the mark off, or a use, postpones that: CLN-29..33 and the scenario of
// upstream's integration test.
func TestCleanerLife(t *testing.T) {
	now := time.Date(2024, 1, 1, 12, 0, 0, 0, time.UTC)
	cluster := fake.New(satest.Active("kube-system"), satest.AccountListing("token-secret-1", "mounted"),
		satest.Unused(nil),
		func() *corev1.Secret { s := satest.Unused(nil); s.Name, s.UID = "manual", "5"; return s }(),
		func() *corev1.Secret { s := satest.Unused(nil); s.Name, s.UID = "mounted", "6"; return s }(),
		&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "ns"}, Spec: corev1.PodSpec{
			Containers:       []corev1.Container{{Name: "c", Image: "i"}},
			ImagePullSecrets: []corev1.LocalObjectReference{{Name: "mounted"}},
		}})
	satest.Load(t, cluster, satest.Tracking(map[string]string{"since": "2024-01-01"}))
	for _, name := range []string{"token-secret-1", "manual", "mounted"} {
		s := satest.GetSecret(t, cluster, "ns", name).DeepCopy()
		if !s.CreationTimestamp.Time.Before(now) {
			t.Fatalf("%s was created at %v, want it old", name, s.CreationTimestamp)
		}
	}
	c := newCleaner(t, cluster, func(cfg *legacytoken.CleanerConfig) {
		cfg.CleanupPeriod, cfg.Now = 24*time.Hour, func() time.Time { return now }
	})
	label := func() string { return satest.GetSecret(t, cluster, "ns", "token-secret-1").Labels[invalidSince] }
	set := func(name, value string) {
		s := satest.GetSecret(t, cluster, "ns", "token-secret-1").DeepCopy()
		s.Labels = map[string]string{name: value}
		if _, err := cluster.UpdateSecret(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	round := func() {
		if _, err := c.Reconcile(t.Context(), satest.TrackingKey); err != nil {
			t.Fatal(err)
		}
	}
	round()
	now = now.AddDate(0, 0, 1) // the 2nd at noon: tracked from the 2nd at midnight
	round()
	if got := label(); got != "" {
		t.Fatalf("marked %s before use was tracked for the period", got)
	}
	now = now.AddDate(0, 0, 1)
	round()
	if got := label(); got != "2024-01-03" {
		t.Fatalf("marked %q on the 3rd, want 2024-01-03", got)
	}
	set(lastUsed, "2024-01-03") // a person takes the mark off, and the token is used
	now = now.AddDate(0, 0, 1)
	round()
	if got := label(); got != "" {
		t.Fatalf("marked %q on the day after a use, want no mark", got)
	}
	now = now.AddDate(0, 0, 1)
	round()
	if got := label(); got != "2024-01-05" {
		t.Fatalf("marked %q on the 5th, want 2024-01-05", got)
	}
	now = now.AddDate(0, 0, 1)
	round()
	now = now.AddDate(0, 0, 1)
	round()
	satest.Diff(t, "Secrets", []string{"manual", "mounted"}, satest.SecretNames(t, cluster, "ns"))
}

// A dry run and Report tell what a round would do, and write nothing.
func TestCleanerDryRun(t *testing.T) {
	cluster := fake.New(satest.Tracking(map[string]string{"since": "2020-01-01"}), satest.AccountListing("token-secret-1", "b"),
		satest.Unused(map[string]string{invalidSince: "2024-12-31"}),
		func() *corev1.Secret { s := satest.Unused(nil); s.Name, s.UID = "b", "5"; return s }())
	var observed legacytoken.Event
	c := newCleaner(t, cluster, func(cfg *legacytoken.CleanerConfig) {
		cfg.DryRun, cfg.Observe = true, func(_ context.Context, e legacytoken.Event) { observed = e }
	})
	satest.Settle(t, cluster, c)
	report, err := c.Report(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := &legacytoken.Report{Time: fake.Epoch, DryRun: true, Decisions: []legacytoken.Decision{
		{Namespace: "ns", Name: "b", Action: legacytoken.Invalidate, Reason: legacytoken.Unused},
		{Namespace: "ns", Name: "token-secret-1", Action: legacytoken.Delete, Reason: legacytoken.Invalid},
	}}
	satest.Diff(t, "Report()", want, report)
	if observed.Took <= 0 {
		t.Errorf("the round took %v, want a time", observed.Took)
	}
	observed.Took = 0
	satest.Diff(t, "event of the round", legacytoken.Event{Report: want}, observed)
	if w := cluster.Writes(); len(w) != 0 {
		t.Errorf("a dry run wrote:\n%s", fake.FormatActions(w))
	}
}

// What a report can't be made of is an error, and the time is that of the clock.
func TestCleanerReport(t *testing.T) {
	cluster := fake.New(satest.Tracking(map[string]string{"since": "2020-01-01"}), satest.AccountListing("token-secret-1"), satest.Unused(nil))
	c := newCleaner(t, cluster, func(cfg *legacytoken.CleanerConfig) { cfg.Now = nil })
	if report, err := c.Report(t.Context()); err != nil || time.Since(report.Time) > time.Minute {
		t.Errorf("Report() without Now = %+v, %v, want the time of now", report, err)
	}
	cluster.Inject(fault.On("get", "configmaps", satest.ErrBusy))
	if report, err := c.Report(t.Context()); report != nil || err == nil || !strings.Contains(err.Error(), "etcd is busy") {
		t.Errorf("Report() without an answer about tracking = %v, %v, want the error", report, err)
	}
}

// A round over n Secrets and n pods lists the pods of a namespace once, and reads
// each Secret that it acts on once: SECURITY C06, G6.
func TestCleanerIsLinear(t *testing.T) {
	perSecret := map[int]float64{}
	for _, n := range []int{100, 400} {
		cluster := fake.New(satest.Tracking(map[string]string{"since": "2020-01-01"}))
		all := satest.AccountListing()
		for i := range n {
			s := satest.Unused(map[string]string{invalidSince: "2024-12-31"})
			s.Name, s.UID = fmt.Sprintf("t%d", i), *satest.UID(fmt.Sprint("s", i))
			all.Secrets = append(all.Secrets, corev1.ObjectReference{Name: s.Name})
			satest.Load(t, cluster, s, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("p", i), Namespace: "ns"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}})
		}
		satest.Load(t, cluster, all)
		satest.Settle(t, cluster, newCleaner(t, cluster))
		if left := len(satest.SecretNames(t, cluster, "ns")); left != 0 {
			t.Fatalf("%d of %d Secrets are left", left, n)
		}
		lists := 0
		for _, c := range satest.Calls(cluster) {
			if strings.HasPrefix(c, "list pods") {
				lists++
			}
		}
		if lists != 1 {
			t.Errorf("the pods were listed %d times, want once", lists)
		}
		perSecret[n] = float64(len(satest.Calls(cluster))) / float64(n)
	}
	if perSecret[400] > perSecret[100] {
		t.Errorf("calls per Secret grow from %.2f to %.2f with four times the Secrets", perSecret[100], perSecret[400])
	}
}
