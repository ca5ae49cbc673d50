package legacytoken_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/internal/satest"
	"github.com/kubesa/serviceaccount/sacontroller/legacytoken"
	"github.com/kubesa/serviceaccount/tenant"
)

// A round of many attempts goes on for a minute after the last, then it starts anew, and
// one whose context ends is no round.
func TestCleanerRounds(t *testing.T) {
	const many = 20 // more than one attempt cleans up
	for _, tt := range []struct {
		name   string
		pause  time.Duration
		forget string // the tenant
		anew   bool
	}{
		{"at once", 0, "", false},
		{"less than a minute later", time.Minute - 1, "", false},
		{"a minute later", time.Minute, "", true},
		{"after the clock was set back", -1, "", true},
		{"another tenant is forgotten", time.Second, "blue", false},
		{"the tenant is forgotten", time.Second, "red", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var all []runtime.Object
			listing := satest.AccountListing()
			for _, name := range satest.NumberedNames(many, "t%d") {
				s := satest.Unused(nil)
				s.Name, s.UID = name, *satest.UID(name)
				listing.Secrets = append(listing.Secrets, corev1.ObjectReference{Name: name})
				all = append(all, s)
			}
			cluster := fake.New(append(all, satest.Tracking(map[string]string{"since": "2020-01-01"}), listing)...)
			now := fake.Epoch
			var report *legacytoken.Report
			key := satest.TrackingKey
			key.Tenant = "red"
			c := newCleaner(t, cluster, func(cfg *legacytoken.CleanerConfig) {
				cfg.Client = ofRed{cluster, t}
				cfg.Now = func() time.Time { return now }
				cfg.Observe = func(_ context.Context, e legacytoken.Event) { report = e.Report }
			})
			attempt := func() time.Duration {
				t.Helper()
				result, err := c.Reconcile(t.Context(), key)
				if err != nil {
					t.Fatal(err)
				}
				return result.RequeueAfter
			}
			if after := attempt(); after != sacontroller.Yield || report != nil {
				t.Fatalf("the first attempt asks for another after %v, report %v, want the round to go on", after, report)
			}
			now = now.Add(tt.pause)
			if tt.forget != "" {
				c.Forget(tt.forget)
			}
			for report == nil {
				attempt()
			}
			if anew := !report.Time.Equal(fake.Epoch); anew != tt.anew || len(report.Decisions) != many {
				t.Errorf("the round of %v decided about %d Secrets, want %d, begun anew: %t", report.Time, len(report.Decisions), many, tt.anew)
			}
			now = now.Add(time.Second)
			if attempt(); !report.Time.Equal(now) {
				t.Errorf("the next round is that of %v, want a round of its own at %v", report.Time, now)
			}
		})
	}
	for _, n := range []int{1, 100} {
		listing := satest.AccountListing(satest.NumberedNames(n, "t%d")...)
		cluster := fake.New(satest.Tracking(map[string]string{"since": "2020-01-01"}), listing)
		for _, r := range listing.Secrets {
			s := satest.Unused(nil)
			s.Name, s.UID = r.Name, *satest.UID(r.Name)
			satest.Load(t, cluster, s)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cluster.Inject(fault.If("cancel", func(op fault.Op) bool {
			if op.Verb == "list" && op.Resource == "pods" {
				cancel()
			}
			return false
		}, satest.ErrBusy))
		c := newCleaner(t, cluster, func(cfg *legacytoken.CleanerConfig) {
			cfg.Observe = func(context.Context, legacytoken.Event) { t.Error("a round was reported") }
		})
		if result, err := c.Reconcile(ctx, satest.TrackingKey); !errors.Is(err, context.Canceled) || result.RequeueAfter != 0 {
			t.Errorf("Reconcile() of %d Secrets = %+v, %v, want the error of its context", n, result, err)
		}
	}
}

// ofRed is a Reader and Client whose ConfigMaps are read for the tenant red only.
type ofRed struct {
	*fake.Cluster
	t *testing.T
}

func (r ofRed) GetConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	if got := tenant.Of(ctx); got != "red" {
		r.t.Errorf("asked for the tenant %q, want red", got)
	}
	return r.Cluster.GetConfigMap(ctx, namespace, name)
}

// An attempt makes 32 calls if what is left takes as many, and no call for a Secret that
// might take more than are left.
func TestCleanerAttempt(t *testing.T) {
	// A Secret takes so many calls, each in a Namespace of its own.
	repeat := func(n, calls int) []int { return slices.Repeat([]int{calls}, n) }
	for _, tt := range []struct {
		secrets     []int
		calls, left int // of the first attempt, after it
	}{
		{slices.Concat(repeat(22, 1), repeat(2, 8)), 32, 1},
		{slices.Concat(repeat(23, 1), repeat(1, 8)), 25, 1},
		{slices.Concat(repeat(1, 8), repeat(14, 1), repeat(2, 8)), 32, 1},
		{slices.Concat(repeat(1, 8), repeat(15, 1), repeat(1, 8)), 25, 1},
		{slices.Concat(repeat(2, 8), repeat(7, 1), repeat(1, 8)), 25, 1},
		{slices.Concat(repeat(40, 0), repeat(22, 1), repeat(2, 8)), 32, 1},
		{repeat(40, 0), 2, 0},
	} {
		cluster := fake.New(satest.Tracking(map[string]string{"since": "2020-01-01"}))
		large := 0
		for i, calls := range tt.secrets {
			s, account := satest.Unused(map[string]string{invalidSince: "2024-12-31"}), satest.Account()
			s.Namespace = fmt.Sprintf("ns%02d", i)
			account.Namespace = s.Namespace
			switch calls {
			case 0:
				s.Annotations[corev1.ServiceAccountNameKey] = "a/b" // can't exist
			case 8:
				large++
				account.Secrets = []corev1.ObjectReference{{Name: s.Name}}
			}
			satest.Load(t, cluster, s, account)
		}
		c := newCleaner(t, cluster, func(cfg *legacytoken.CleanerConfig) { cfg.Reader = cluster })
		if _, err := c.Reconcile(t.Context(), satest.TrackingKey); err != nil {
			t.Fatal(err)
		}
		if calls, deleted := len(cluster.Actions()), len(cluster.Writes()); calls != tt.calls || deleted != large-tt.left {
			t.Errorf("Secrets that take %v calls: the first attempt made %d calls and deleted %d Secrets, want %d and %d", tt.secrets, calls, deleted, tt.calls, large-tt.left)
		}
	}
}

// unsorted is a Reader with an order of its own.
type unsorted struct{ *fake.Reader }

func (r unsorted) ListSecrets(ctx context.Context, namespace string) ([]*corev1.Secret, error) {
	secrets, err := r.Reader.ListSecrets(ctx, namespace)
	slices.Reverse(secrets)
	return secrets, err
}

// CLN-25, SECURITY C06: accounts of two Namespaces with the same names are two, and what
// is known of one is good for a minute.
func TestCleanerView(t *testing.T) {
	for _, tt := range []struct {
		after time.Duration // the second Secret, after the first
		reads int           // of the accounts
	}{{0, 2}, {time.Minute, 2}, {time.Minute + 1, 3}, {-1, 3}} {
		cluster := fake.New(satest.Tracking(map[string]string{"since": "2020-01-01"}))
		for _, namespace := range []string{"a", "b"} {
			account := satest.AccountListing("token-secret-1", "token-secret-2")
			account.Namespace, account.UID = namespace, *satest.UID(namespace)
			satest.Load(t, cluster, account)
			for _, r := range account.Secrets {
				s := satest.Unused(nil)
				s.Namespace, s.Name = namespace, r.Name
				s.Annotations[corev1.ServiceAccountUIDKey] = namespace
				satest.Load(t, cluster, s)
			}
		}
		clock := []time.Duration{0, 0, tt.after} // of the round and each Secret; then it stands still
		counting := &accountReads{CleanerReader: unsorted{cluster.Reader()}}
		c := newCleaner(t, cluster, func(cfg *legacytoken.CleanerConfig) {
			cfg.Reader = counting
			cfg.Now = func() time.Time {
				now := fake.Epoch.Add(clock[0])
				if len(clock) > 1 {
					clock = clock[1:]
				}
				return now
			}
		})
		report, err := c.Report(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var want []legacytoken.Decision
		for _, namespace := range []string{"a", "b"} {
			for _, name := range []string{"token-secret-1", "token-secret-2"} {
				want = append(want, legacytoken.Decision{Namespace: namespace, Name: name, Action: legacytoken.Invalidate, Reason: legacytoken.Unused})
			}
		}
		satest.Diff(t, "decisions", want, report.Decisions)
		if counting.n != tt.reads {
			t.Errorf("the second Secret after %v: accounts were read %d times, want %d", tt.after, counting.n, tt.reads)
		}
	}
}

// accountReads counts the reads of accounts.
type accountReads struct {
	legacytoken.CleanerReader
	n int
}

func (r *accountReads) GetServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	r.n++
	return r.CleanerReader.GetServiceAccount(ctx, namespace, name)
}

// In a log a report is numbers, and no names of Secrets.
func TestReportLogValue(t *testing.T) {
	busy := errors.New("busy")
	for _, tt := range []struct {
		report *legacytoken.Report
		want   string
	}{
		{nil, "report=<nil>"},
		{&legacytoken.Report{Problem: "not tracked"}, `report.dryRun=false report.problem="not tracked"`},
		{&legacytoken.Report{DryRun: true, Decisions: []legacytoken.Decision{
			{Name: "s", Action: legacytoken.Keep, Reason: legacytoken.Used},
			{Name: "s", Action: legacytoken.Invalidate}, {Name: "s", Action: legacytoken.Invalidate},
			{Name: "s", Action: legacytoken.Delete}, {Name: "s", Action: legacytoken.Delete}, {Name: "s", Action: legacytoken.Delete},
			{Name: "s", Action: legacytoken.Keep, Err: busy}, {Name: "s", Action: legacytoken.Invalidate, Err: busy},
			{Name: "s", Action: legacytoken.Delete, Err: busy}, {Name: "s", Err: busy},
		}}, "report.dryRun=true report.kept=1 report.invalidated=2 report.deleted=3 report.failed=4"},
	} {
		var out strings.Builder
		slog.New(slog.NewTextHandler(&out, nil)).Info("", "report", tt.report)
		if _, got, _ := strings.Cut(strings.TrimSpace(out.String()), `msg="" `); got != tt.want {
			t.Errorf("%+v is logged as %s, want %s", tt.report, got, tt.want)
		}
	}
}
