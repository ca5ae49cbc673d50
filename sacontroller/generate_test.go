package sacontroller_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/internal/satest"
	"github.com/kubesa/serviceaccount/sacontroller/rootca"
)

// numbered gives generated Secrets the suffixes xxxx2, xxxx4, …
func numbered(cfg *sacontroller.TokensConfig) {
	n := 0
	cfg.AutoGenerate = true
	cfg.GenerateName = func(base string) string {
		n++
		return base + "xxxx" + string("2456789"[n-1])
	}
}

// CTL-80, CTL-85, CTL-89, CTL-92
func TestGenerate(t *testing.T) {
	cluster := fake.New(satest.AccountListing("opaque", "missing", "default-token-missing"), satest.Opaque())
	c := newTokens(t, cluster, numbered)
	if _, err := c.Reconcile(t.Context(), accountKey); err != nil {
		t.Fatal(err)
	}
	satest.Diff(t, "calls", []string{
		getSA, "get secrets ns/default-token-missing", // it might be one that the Reader lacks
		"create secrets ns/default-token-xxxx2", updateSA,
	}, satest.Calls(cluster))
	satest.Diff(t, "references", []string{"opaque", "missing", "default-token-missing", "default-token-xxxx2"}, references(getAccount(t, cluster, "ns", "default")))
	want := satest.Token()
	want.Name = "default-token-xxxx2"
	want.Data["token"] = []byte("token(ns/default/12345/default-token-xxxx2)")
	got := satest.GetSecret(t, cluster, "ns", "default-token-xxxx2").DeepCopy()
	got.UID, got.ResourceVersion, got.CreationTimestamp = want.UID, "", metav1.Time{}
	satest.Diff(t, "Secret", want, got)

	// The events that follow from it lead to nothing: CTL-88.
	cluster.ClearActions()
	satest.Settle(t, cluster, c)
	satest.Diff(t, "calls afterwards", []string(nil), satest.Calls(cluster))
}

// CTL-81..87, CTL-90, CTL-91, CTL-93, CTL-94
func TestGenerateCases(t *testing.T) {
	const create = "create secrets ns/default-token-xxxx2"
	changed := satest.Account()
	changed.Labels = map[string]string{"a": "b"}
	deleting := satest.Account()
	deleting.DeletionTimestamp, deleting.Finalizers = &metav1.Time{Time: fake.Epoch}, []string{"a/b"}
	taken := satest.Opaque()
	taken.Name = "default-token-xxxx2"
	its := satest.TokenWith(func(s *corev1.Secret) { s.Name = "default-token-1" })
	replicas := satest.TokenWith(func(s *corev1.Secret) { s.Name = "default-token-xxxx2" })
	left := satest.TokenWith(func(s *corev1.Secret) { s.Name = "default-token-x7k2q" })
	leaving := left.DeepCopy()
	leaving.DeletionTimestamp, leaving.Finalizers = &metav1.Time{Time: fake.Epoch}, []string{"a/b"}
	tests := []struct {
		name         string
		cached, live []runtime.Object
		fault        *fault.Fault
		signer       int
		want         []string
		wantErr      string
		secrets      []string // names afterwards
		refs         []string
	}{
		{name: "lists a token", cached: satest.Objects(satest.AccountListing("token-secret-1"), satest.Token()), secrets: []string{"token-secret-1"}, refs: []string{"token-secret-1"}},
		{
			name: "unlisted token doesn't count", cached: satest.Objects(satest.Account(), satest.Token()), // CTL-82
			want: []string{getSA, create, updateSA}, secrets: []string{"default-token-xxxx2", "token-secret-1"}, refs: []string{"default-token-xxxx2"},
		},
		{
			name: "lists a token that the cache lacks", cached: satest.Objects(satest.AccountListing("default-token-1")), live: satest.Objects(satest.AccountListing("default-token-1"), its), // CTL-88
			want: []string{getSA, "get secrets ns/default-token-1"}, secrets: []string{"default-token-1"}, refs: []string{"default-token-1"},
		},
		{
			name: "lists the token of a namesake", cached: satest.Objects(again(satest.AccountListing("token-secret-1")), satest.Token()),
			secrets: []string{"token-secret-1"}, refs: []string{"token-secret-1"},
		},
		{name: "account gone by now", cached: satest.Objects(satest.Account()), live: satest.Objects(satest.Active("ns")), want: []string{getSA}, wantErr: "another version"}, // CTL-83
		{name: "account changed by now", cached: satest.Objects(satest.Account()), live: satest.Objects(satest.Opaque(), changed), want: []string{getSA}, wantErr: "another version", secrets: []string{"opaque"}, refs: []string{}},
		{name: "no answer about the account", cached: satest.Objects(satest.Account()), fault: fault.On("get", "serviceaccounts", satest.ErrBusy), want: []string{getSA}, wantErr: "etcd is busy", refs: []string{}},
		{name: "account being deleted", cached: satest.Objects(deleting), refs: []string{}},
		{name: "namespace being deleted", cached: satest.Objects(satest.Terminating("ns"), satest.Account()), refs: []string{}},
		{
			name: "namespace being deleted, unknown to the cache", cached: satest.Objects(satest.Active("ns"), satest.Account()), live: satest.Objects(satest.Terminating("ns"), satest.Account()),
			want: []string{getSA, create}, refs: []string{}, // CTL-87
		},
		{name: "signer fails", cached: satest.Objects(satest.Account()), signer: 1, want: []string{getSA}, wantErr: "signer is down", refs: []string{}},                                                  // CTL-86
		{name: "create fails", cached: satest.Objects(satest.Account()), fault: fault.On("create", "secrets", satest.ErrBusy), want: []string{getSA, create}, wantErr: "etcd is busy", refs: []string{}}, // CTL-87
		{
			name: "name taken", cached: satest.Objects(satest.Account(), taken),
			want: []string{getSA, create, "get secrets ns/default-token-xxxx2", "create secrets ns/default-token-xxxx4", updateSA},
			refs: []string{"default-token-xxxx4"}, secrets: []string{"default-token-xxxx2", "default-token-xxxx4"},
		},
		{
			name: "name taken, no answer by what", cached: satest.Objects(satest.Account(), taken), fault: fault.On("get", "secrets", satest.ErrBusy),
			want: []string{getSA, create, "get secrets ns/default-token-xxxx2"}, wantErr: "etcd is busy", refs: []string{}, secrets: []string{"default-token-xxxx2"},
		},
		{
			name: "created by another replica", cached: satest.Objects(satest.Account()), live: satest.Objects(satest.Account(), replicas),
			want: []string{getSA, create, "get secrets ns/default-token-xxxx2", updateSA}, refs: []string{"default-token-xxxx2"}, secrets: []string{"default-token-xxxx2"},
		},
		{
			name: "unlisted token is being deleted by now", cached: satest.Objects(satest.Account(), left), live: satest.Objects(satest.Account(), leaving),
			want: []string{getSA, "get secrets ns/default-token-x7k2q", create, updateSA}, refs: []string{"default-token-xxxx2"}, secrets: []string{"default-token-x7k2q", "default-token-xxxx2"},
		},
		{
			name: "no answer about the account after a conflict", cached: satest.Objects(satest.Account()),
			fault: fault.Any(fault.On("update", "serviceaccounts", fault.Conflict), fault.Nth(2, "get", "serviceaccounts", satest.ErrBusy)),
			want:  []string{getSA, create, updateSA, getSA}, wantErr: "etcd is busy", refs: []string{}, secrets: []string{"default-token-xxxx2"},
		},
		{
			name: "account gone while the token is made", cached: satest.Objects(satest.Account()), fault: fault.On("update", "serviceaccounts", fault.NotFound), // CTL-90, CTL-91
			want: []string{getSA, create, updateSA, "delete secrets ns/default-token-xxxx2 uid 00000000-0000-4000-8000-000000000002"}, refs: []string{},
		},
		{
			name: "account gone while the token is made, delete fails", cached: satest.Objects(satest.Account()),
			fault: fault.Any(fault.On("update", "serviceaccounts", fault.NotFound), fault.On("delete", "secrets", satest.ErrBusy)), wantErr: "etcd is busy",
			want: []string{getSA, create, updateSA, "delete secrets ns/default-token-xxxx2 uid 00000000-0000-4000-8000-000000000002"}, refs: []string{}, secrets: []string{"default-token-xxxx2"},
		},
		{
			name: "one conflict, what was looked up is known", cached: satest.Objects(satest.AccountListing("default-token-1", "default-token-2")), fault: fault.First(1, "update", "serviceaccounts", fault.Conflict),
			want: []string{getSA, "get secrets ns/default-token-1", "get secrets ns/default-token-2", create, updateSA, getSA, updateSA},
			refs: []string{"default-token-1", "default-token-2", "default-token-xxxx2"}, secrets: []string{"default-token-xxxx2"},
		},
		{
			name: "conflicts without end", cached: satest.Objects(satest.Account()), fault: fault.On("update", "serviceaccounts", fault.Conflict), // CTL-89
			want: []string{getSA, create, updateSA, getSA, updateSA, getSA, updateSA, getSA, updateSA, getSA, updateSA, getSA}, wantErr: "keeps changing",
			refs: []string{}, secrets: []string{"default-token-xxxx2"},
		},
		{
			name: "answer lost when listing", cached: satest.Objects(satest.Account()), fault: fault.On("update", "serviceaccounts", fault.AnswerLost),
			want: []string{getSA, create, updateSA}, wantErr: "Timeout", refs: []string{"default-token-xxxx2"}, secrets: []string{"default-token-xxxx2"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cache := seeded(1, tt.cached...)
			api := cache
			if tt.live != nil {
				api = seeded(1, tt.live...)
			}
			if tt.fault != nil {
				api.Inject(tt.fault)
			}
			c := newTokens(t, api, numbered, func(cfg *sacontroller.TokensConfig) {
				cfg.Reader, cfg.Issuer = cache.Reader(), &stubIssuer{failures: tt.signer}
			})
			key := accountKey
			key.UID = getAccount(t, cache, "ns", "default").UID
			_, err := c.Reconcile(t.Context(), key)
			if tt.wantErr == "" && err != nil || tt.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tt.wantErr)) {
				t.Errorf("Reconcile() = %v, want an error with %q", err, tt.wantErr)
			}
			if tt.name == "lists the token of a namesake" {
				return
			}
			satest.Diff(t, "calls", tt.want, satest.Calls(api))
			if n := c.Pending(); tt.wantErr == "" && n > 0 {
				t.Errorf("%d Secrets are remembered as unfinished", n)
			}
			if tt.secrets == nil {
				tt.secrets = []string{}
			}
			satest.Diff(t, "Secrets", tt.secrets, satest.SecretNames(t, api, "ns"))
			if tt.refs != nil {
				satest.Diff(t, "references", tt.refs, references(getAccount(t, api, "ns", "default")))
			}
		})
	}
}

// What fails once leads to exactly one token, listed, after the next attempts:
// CTL-89..91, SECURITY C02, C12, C13, C14.
func TestGenerateRecovers(t *testing.T) {
	faults := map[string]*fault.Fault{
		"create answered with a timeout":        fault.First(1, "create", "secrets", fault.Timeout),
		"create stored, answer lost":            fault.First(1, "create", "secrets", fault.AnswerLost),
		"create stored, answered with a 500":    fault.First(1, "create", "secrets", fault.After(satest.ErrBusy)),
		"update conflicts seven times":          fault.First(7, "update", "serviceaccounts", fault.Conflict),
		"update fails three times":              fault.First(3, "update", "serviceaccounts", satest.ErrBusy),
		"update stored, answer lost":            fault.First(1, "update", "serviceaccounts", fault.AnswerLost),
		"update stored, answered with conflict": fault.First(1, "update", "serviceaccounts", fault.After(fault.Conflict)),
		"reads fail":                            fault.First(4, "get", "", satest.ErrBusy),
		"both lost": fault.Any(
			fault.First(1, "create", "secrets", fault.AnswerLost),
			fault.First(1, "update", "serviceaccounts", fault.AnswerLost)),
	}
	for name, f := range faults {
		for _, named := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, numbered names %t", name, named), func(t *testing.T) {
				cluster := fake.New(satest.Account())
				cluster.Inject(f)
				c := newTokens(t, cluster, autoGenerate, func(cfg *sacontroller.TokensConfig) {
					if named {
						numbered(cfg)
					}
				})
				satest.Settle(t, cluster, c)
				cluster.ClearFaults()
				satest.Settle(t, cluster, c)
				checkOneToken(t, cluster)
			})
		}
	}
}

func checkOneToken(t *testing.T, cluster *fake.Cluster) {
	t.Helper()
	names, refs := satest.SecretNames(t, cluster, "ns"), references(getAccount(t, cluster, "ns", "default"))
	if len(names) != 1 || len(refs) != 1 || names[0] != refs[0] {
		t.Errorf("there are the Secrets %q, and the account lists %q, want one and the same\n%s", names, refs, fake.FormatActions(cluster.Actions()))
	}
}

// A user labels the account between an attempt whose answer was lost and the next,
// and the cache of Secrets is behind: SECURITY C13.
func TestGenerateRemembersWhatItStarted(t *testing.T) {
	for _, named := range []bool{false, true} {
		cluster := fake.New(satest.Account())
		cluster.Inject(fault.First(1, "create", "secrets", fault.AnswerLost))
		c := newTokens(t, cluster, autoGenerate, func(cfg *sacontroller.TokensConfig) {
			cfg.Reader = noTokens{cluster.Reader()}
			if named {
				numbered(cfg)
			}
		})
		if _, err := c.Reconcile(t.Context(), accountKey); err == nil {
			t.Fatal("Reconcile() without an answer = nil, want an error")
		}
		labelled := getAccount(t, cluster, "ns", "default").DeepCopy()
		labelled.Labels = map[string]string{"a": "b"}
		if _, err := cluster.UpdateServiceAccount(t.Context(), labelled); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Reconcile(t.Context(), accountKey); err != nil {
			t.Fatal(err)
		}
		checkOneToken(t, cluster)
	}
}

// noTokens is a cache that never hears of Secrets.
type noTokens struct{ *fake.Reader }

func (noTokens) TokenSecrets(context.Context, string, string) ([]*corev1.Secret, error) {
	return nil, nil
}

func (noTokens) GetSecret(_ context.Context, _, name string) (*corev1.Secret, error) {
	return nil, apierrors.NewNotFound(corev1.Resource("secrets"), name)
}

// A user lists a token of another kind between two attempts: what was started is
// taken back (CTL-90).
func TestGenerateTakesBack(t *testing.T) {
	cluster := fake.New(satest.Account(), satest.Token())
	cluster.Inject(fault.First(1, "update", "serviceaccounts", satest.ErrBusy))
	c := newTokens(t, cluster, autoGenerate)
	if _, err := c.Reconcile(t.Context(), accountKey); err == nil {
		t.Fatal("Reconcile() with a failing update = nil, want an error")
	}
	if n := len(satest.SecretNames(t, cluster, "ns")); n != 2 {
		t.Fatalf("there are %d Secrets, want the generated one beside the other", n)
	}
	listing := getAccount(t, cluster, "ns", "default").DeepCopy()
	listing.Secrets = []corev1.ObjectReference{{Name: "token-secret-1"}}
	if _, err := cluster.UpdateServiceAccount(t.Context(), listing); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Reconcile(t.Context(), accountKey); err != nil {
		t.Fatal(err)
	}
	checkOneToken(t, cluster)
}

// Two replicas with caches of their own: SECURITY C14, S11.
func TestGenerateTwoReplicas(t *testing.T) {
	for seed := range uint64(200) {
		cluster := fake.New(satest.Account())
		cluster.Shuffle(seed)
		satest.Settle(t, cluster, newTokens(t, cluster, autoGenerate), newTokens(t, cluster, autoGenerate))
		checkOneToken(t, cluster)
	}
}

// Deleting a generated Secret revokes its token for good: the one that follows has
// another name, and so another token (CTL-57).
func TestGenerateAgain(t *testing.T) {
	cluster := fake.New(satest.Account())
	c := newTokens(t, cluster, autoGenerate)
	satest.Settle(t, cluster, c)
	seen := map[string]bool{}
	for range 20 {
		checkOneToken(t, cluster)
		name := satest.SecretNames(t, cluster, "ns")[0]
		if seen[name] {
			t.Fatalf("Secret %s came back after it was deleted, want another name", name)
		}
		seen[name] = true
		if err := cluster.DeleteSecret(t.Context(), "ns", name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		satest.Settle(t, cluster, c)
	}
}

// A process that stops before or after any call, and starts again, ends where one
// that never stopped does: SECURITY C12, E7.
func TestCrashAnywhere(t *testing.T) {
	errCrash := errors.New("the process is gone")
	scenario := func(t *testing.T, inject func(*fake.Cluster)) *fake.Cluster {
		cluster := fake.New(satest.Active("ns"), satest.Active("kube-system"), satest.AccountListing("default-token-x7k2q"),
			satest.TokenWith(func(s *corev1.Secret) { s.Data = nil }),
			satest.TokenWith(func(s *corev1.Secret) {
				s.Name, s.UID, s.Annotations[corev1.ServiceAccountUIDKey] = "orphan", "4", "gone"
			}))
		inject(cluster)
		controllers := func() []sacontroller.Controller {
			accounts, err := sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{Reader: cluster.Reader(), Client: cluster})
			if err != nil {
				t.Fatal(err)
			}
			publisher, err := rootca.NewConfigMaps(rootca.ConfigMapsConfig{Reader: cluster.Reader(), Client: cluster, RootCA: []byte("CA Data")})
			if err != nil {
				t.Fatal(err)
			}
			return []sacontroller.Controller{accounts, publisher, newTokens(t, cluster, autoGenerate)}
		}
		if err := cluster.Settle(t.Context(), controllers()...); err != nil && !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		cluster.ClearFaults()
		satest.Settle(t, cluster, controllers()...)
		return cluster
	}
	state := func(cluster *fake.Cluster) string {
		var b strings.Builder
		for _, ns := range []string{"kube-system", "ns"} {
			a := getAccount(t, cluster, ns, "default")
			fmt.Fprintf(&b, "%s lists %d secrets\n", ns, len(a.Secrets))
			secrets, _ := cluster.Reader().ListSecrets(t.Context(), ns)
			for _, s := range secrets {
				name := s.Name
				if strings.HasPrefix(name, "default-token-") {
					name = fmt.Sprintf("generated, listed %t", a.Secrets[0].Name == s.Name)
				}
				fmt.Fprintf(&b, "%s: %s, %d keys\n", ns, name, len(s.Data))
			}
			m, err := cluster.Reader().GetConfigMap(t.Context(), ns, "kube-root-ca.crt")
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "%s: CA %s\n", ns, m.Data["ca.crt"])
		}
		return b.String()
	}
	whole := scenario(t, func(*fake.Cluster) {})
	want, n := state(whole), len(whole.Actions())
	if n < 14 {
		t.Fatalf("the scenario makes %d calls, want more to stop at:\n%s", n, fake.FormatActions(whole.Actions()))
	}
	for i := range n {
		for _, after := range []bool{false, true} {
			crashed := scenario(t, func(cluster *fake.Cluster) {
				calls := 0
				cluster.Inject(fault.Func("a crash", func(op fault.Op) error {
					calls++
					switch {
					case calls == i+1 && after:
						return fault.After(errCrash)
					case calls > i:
						return errCrash
					}
					return nil
				}))
			})
			if d := state(crashed); d != want {
				t.Errorf("stopped at call %d, after it %t: the end is\n%swant\n%s%s", i+1, after, d, want, fake.FormatActions(crashed.Actions()))
			}
		}
	}
}
