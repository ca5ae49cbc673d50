package sacontroller_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/internal/satest"
	"github.com/kubesa/serviceaccount/sacontroller/legacytoken"
	"github.com/kubesa/serviceaccount/sacontroller/rootca"
)

// maxCalls is how many calls one attempt may make, of the Reader and the Client
// together: whoever has no cache pays for both.
const maxCalls = 32

// A meter counts calls. As a Fault it lets everything through.
type meter struct {
	calls   int
	invalid []string // names that no object can have
}

func (m *meter) count(op fault.Op) error {
	m.calls++
	for _, name := range []string{op.Namespace, op.Name} {
		if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" || strings.Contains(name, "..") || len(name) > 253 {
			m.invalid = append(m.invalid, op.String())
		}
	}
	return nil
}

// metered is a Controller whose attempts are measured.
type metered struct {
	sacontroller.Controller
	*meter
	attempts, most int
}

func (m *metered) Reconcile(ctx context.Context, key sacontroller.Key) (sacontroller.Result, error) {
	before := m.calls
	result, err := m.Controller.Reconcile(ctx, key)
	m.attempts++
	m.most = max(m.most, m.calls-before)
	return result, err
}

// generatedNames returns n names that look generated for the account "default".
func generatedNames(n int) []string {
	const alphabet = "bcdfghjklmnpqrstvwxz2456789"
	all := make([]string, n)
	for i := range all {
		name := []byte("default-token-")
		for k, j := i, 0; j < 5; j++ {
			name = append(name, alphabet[k%len(alphabet)])
			k /= len(alphabet)
		}
		all[i] = string(name)
	}
	return all
}

// secretsNamed returns a Secret for each name.
func secretsNamed(names []string, mutate func(*corev1.Secret)) []runtime.Object {
	var all []runtime.Object
	for i, name := range names {
		all = append(all, satest.TokenWith(func(s *corev1.Secret) {
			s.Name, s.UID = name, *satest.UID(fmt.Sprint("s", i))
			mutate(s)
		}))
	}
	return all
}

func isOpaque(s *corev1.Secret) { s.Type, s.Annotations = corev1.SecretTypeOpaque, nil }

// What one write of a user leads to, per attempt and in all: DESIGN 5, SECURITY C06,
// C08. No attempt makes more calls than its bound, whatever an object lists, and all
// attempts together make at most a few for each thing that is listed.
func TestCallsPerAttempt(t *testing.T) {
	remove := func(t *testing.T, cluster *fake.Cluster) {
		if err := cluster.DeleteServiceAccount(t.Context(), "ns", "default", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name   string
		world  func(n int) []runtime.Object
		before func(*testing.T, *fake.Cluster) // the user's write, if it isn't the world
		storm  int                             // so many conflicts on the account
		auto   bool
		refs   func(n int) int // that the account lists afterwards; -1 if there is none
	}{
		{name: "lists made-up generated names", world: func(n int) []runtime.Object {
			return satest.Objects(satest.AccountListing(generatedNames(n)...))
		}},
		{name: "lists made-up generated names, each twice", world: func(n int) []runtime.Object {
			return satest.Objects(satest.AccountListing(append(generatedNames(n/2), generatedNames(n/2)...)...))
		}},
		{name: "lists made-up generated names, token wanted", auto: true, refs: func(int) int { return 1 }, world: func(n int) []runtime.Object {
			return satest.Objects(satest.AccountListing(generatedNames(n)...))
		}},
		{name: "lists made-up names, token wanted", auto: true, refs: func(n int) int { return n + 1 }, world: func(n int) []runtime.Object {
			return satest.Objects(satest.AccountListing(satest.NumberedNames(n, "default-token-%d")...))
		}},
		{name: "lists any names, token wanted", auto: true, refs: func(n int) int { return n + 1 }, world: func(n int) []runtime.Object {
			return satest.Objects(satest.AccountListing(satest.NumberedNames(n, "x-%d")...))
		}},
		{name: "lists made-up names, token wanted, conflicts", auto: true, storm: 4, refs: func(n int) int { return n + 1 }, world: func(n int) []runtime.Object {
			return satest.Objects(satest.AccountListing(satest.NumberedNames(n, "default-token-%d")...))
		}},
		{name: "lists names that are paths, token wanted", auto: true, refs: func(n int) int { return n + 1 }, world: func(n int) []runtime.Object {
			return satest.Objects(satest.AccountListing(satest.NumberedNames(n, "default-token-/../../../namespaces/kube-system/secrets/%d")...))
		}},
		{name: "lists Secrets of another type, token wanted", auto: true, refs: func(n int) int { return n + 1 }, world: func(n int) []runtime.Object {
			return append(secretsNamed(generatedNames(n), isOpaque), satest.AccountListing(generatedNames(n)...))
		}},
		{name: "lists its tokens", auto: true, refs: func(n int) int { return n }, world: func(n int) []runtime.Object {
			return append(secretsNamed(generatedNames(n), func(*corev1.Secret) {}), satest.AccountListing(generatedNames(n)...))
		}},
		{name: "has tokens that it doesn't list", auto: true, refs: func(int) int { return 1 }, world: func(n int) []runtime.Object {
			return append(secretsNamed(generatedNames(n), empty), satest.Account())
		}},
		{name: "image pull secrets", auto: true, refs: func(int) int { return 1 }, world: func(n int) []runtime.Object {
			a := satest.Account()
			for _, name := range generatedNames(n) {
				a.ImagePullSecrets = append(a.ImagePullSecrets, corev1.LocalObjectReference{Name: name})
			}
			return satest.Objects(a)
		}},
		{name: "is deleted with its tokens", before: remove, refs: func(int) int { return -1 }, world: func(n int) []runtime.Object {
			return append(secretsNamed(generatedNames(n), func(*corev1.Secret) {}), satest.AccountListing(generatedNames(n)...))
		}},
		{name: "tokens of no account", refs: func(int) int { return -1 }, world: func(n int) []runtime.Object {
			return secretsNamed(generatedNames(n), func(*corev1.Secret) {})
		}},
		{name: "unused tokens in a round of the cleaner", refs: func(n int) int { return n }, world: func(n int) []runtime.Object {
			all := secretsNamed(generatedNames(n), func(s *corev1.Secret) { s.CreationTimestamp = metav1.NewTime(fake.Epoch.AddDate(-3, 0, 0)) })
			return append(all, satest.AccountListing(generatedNames(n)...))
		}},
		{name: "unused tokens of as many accounts in a round of the cleaner", refs: func(int) int { return -1 }, world: func(n int) []runtime.Object {
			var all []runtime.Object
			for i, name := range satest.NumberedNames(n, "x-%d") {
				a := satest.AccountListing("t-" + name)
				a.Name, a.UID = name, *satest.UID(fmt.Sprint("a", i))
				s := satest.Unused(nil)
				s.Name, s.UID, s.Annotations = "t-"+name, *satest.UID(fmt.Sprint("s", i)), map[string]string{corev1.ServiceAccountNameKey: name}
				all = append(all, a, s)
			}
			return all
		}},
		{name: "many pods", auto: true, refs: func(int) int { return 1 }, world: func(n int) []runtime.Object {
			all := satest.Objects(satest.Account())
			for _, name := range satest.NumberedNames(n, "p-%d") {
				all = append(all, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}})
			}
			return all
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			perObject := map[int]float64{}
			for _, n := range []int{60, 600} {
				cluster := fake.New(append(tt.world(n), satest.Active("ns"), satest.Active("kube-system"), satest.Tracking(map[string]string{"since": "2020-01-01"}))...)
				m := &meter{}
				tokens := newTokens(t, cluster, func(cfg *sacontroller.TokensConfig) { cfg.Reader, cfg.AutoGenerate = cluster, tt.auto })
				controllers := []sacontroller.Controller{
					tokens,
					satest.Must(legacytoken.NewCleaner(legacytoken.CleanerConfig{Reader: cluster, Client: cluster, Now: func() time.Time { return fake.Epoch }})),
					satest.Must(rootca.NewConfigMaps(rootca.ConfigMapsConfig{Reader: cluster, Client: cluster, RootCA: []byte("CA")})),
					satest.Must(legacytoken.NewTracker(legacytoken.TrackerConfig{Reader: cluster, Client: cluster})),
				}
				if tt.before != nil {
					satest.Settle(t, cluster, controllers...)
					tt.before(t, cluster)
					for _, c := range controllers {
						cluster.Forget(c)
					}
				}
				cluster.Inject(fault.Func("meter", m.count))
				if tt.storm > 0 {
					cluster.Inject(fault.First(tt.storm, "update", "serviceaccounts", fault.Conflict))
				}
				var all []*metered
				for i, c := range controllers {
					all = append(all, &metered{Controller: c, meter: m})
					controllers[i] = all[i]
				}
				satest.Settle(t, cluster, controllers...)
				for _, c := range all {
					if c.most > maxCalls {
						t.Errorf("n = %d: an attempt of the %s made %d calls, want at most %d", n, c.Name(), c.most, maxCalls)
					}
				}
				if len(m.invalid) > 0 {
					t.Errorf("n = %d: %d calls name objects that can't exist: %s", n, len(m.invalid), m.invalid[0])
				}
				if tt.refs == nil {
					tt.refs = func(int) int { return 0 }
				}
				if want := tt.refs(n); want >= 0 {
					if got := len(references(getAccount(t, cluster, "ns", "default"))); got != want {
						t.Errorf("n = %d: the account lists %d Secrets, want %d", n, got, want)
					}
				}
				if tokens.Searches()+tokens.Pending() > 0 {
					t.Errorf("n = %d: %d searches and %d Secrets are remembered, want none", n, tokens.Searches(), tokens.Pending())
				}
				perObject[n] = float64(m.calls) / float64(n)
			}
			t.Logf("%.2f calls per object", perObject[600])
			if perObject[600] > 12 || perObject[600] > perObject[60]+0.5 {
				t.Errorf("%.2f calls per object for 60 and %.2f for 600, want no more for many than for few", perObject[60], perObject[600])
			}
		})
	}
}
