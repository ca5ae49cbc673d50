package sacontroller_test

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/internal/satest"
)

const (
	getNS      = "get namespaces ns"
	listTokens = "list secrets ns"
	listed     = "default-token-x7k2q"
	getListed  = "get secrets ns/" + listed
)

// One attempt at an account, call by call, those of the Reader too.
func TestAccountAttempt(t *testing.T) {
	orphaned := satest.TokenWith(func(s *corev1.Secret) {
		s.Name, s.Annotations = listed, map[string]string{corev1.ServiceAccountNameKey: "nobody"}
	})
	its := satest.TokenWith(func(s *corev1.Secret) { s.Name = listed })
	other := satest.Opaque()
	other.Name = listed
	tests := []struct {
		name         string
		cached, live []runtime.Object
		auto         bool
		reader       *fault.Fault // of the Reader
		fault        *fault.Fault // of the Client
		reads        []string     // of the Reader
		want         []string
		wantErr      string
	}{
		{name: "lists nothing", cached: satest.Objects(satest.Account()), reads: []string{getNS, getSA}},
		{name: "lists its token", cached: satest.Objects(satest.AccountListing(listed), its), reads: []string{getNS, getSA, getListed}},
		{name: "lists its token, token wanted", auto: true, cached: satest.Objects(satest.AccountListing(listed), its), reads: []string{getNS, getSA, listTokens, getListed}},
		{name: "lists other names", cached: satest.Objects(satest.AccountListing("a", "default-token-", "default-token-a", "default-token-a/b")), reads: []string{getNS, getSA}},
		{name: "lists a missing Secret", cached: satest.Objects(satest.AccountListing(listed)), reads: []string{getNS, getSA, getListed}, want: []string{getSA, getListed, updateSA}},
		{name: "lists a Secret of another type that the Reader lacks", cached: satest.Objects(satest.AccountListing(listed)), live: satest.Objects(satest.AccountListing(listed), other), reads: []string{getNS, getSA, getListed}, want: []string{getSA, getListed}},
		{name: "lists a token that the Reader lacks, token wanted", auto: true, cached: satest.Objects(satest.AccountListing(listed)), live: satest.Objects(satest.AccountListing(listed), its), reads: []string{getNS, getSA, listTokens, getListed}, want: []string{getSA, getListed}},
		{name: "lists an orphan that the Reader lacks", cached: satest.Objects(satest.AccountListing(listed)), live: satest.Objects(satest.AccountListing(listed), orphaned), reads: []string{getNS, getSA, getListed}, want: []string{getSA, getListed, "get serviceaccounts ns/nobody"}, wantErr: "Secret ns/" + listed + " is orphaned"},
		{name: "lists an orphan and a missing Secret", cached: satest.Objects(satest.AccountListing(listed, "default-token-zzzzz")), live: satest.Objects(satest.AccountListing(listed, "default-token-zzzzz"), orphaned), reads: []string{getNS, getSA, getListed, "get secrets ns/default-token-zzzzz"}, want: []string{getSA, getListed, "get serviceaccounts ns/nobody", "get secrets ns/default-token-zzzzz", updateSA}, wantErr: "Secret ns/" + listed + " is orphaned"},
		{name: "no answer about the owner", cached: satest.Objects(satest.AccountListing(listed)), live: satest.Objects(satest.AccountListing(listed), orphaned), fault: fault.Nth(2, "get", "serviceaccounts", satest.ErrBusy), reads: []string{getNS, getSA, getListed}, want: []string{getSA, getListed, "get serviceaccounts ns/nobody"}, wantErr: "etcd is busy"},
		{name: "has another version", cached: satest.Objects(satest.AccountListing(listed)), live: satest.Objects(satest.Opaque(), satest.AccountListing(listed)), reads: []string{getNS, getSA, getListed}, want: []string{getSA}, wantErr: "the Reader is stale"},
		{name: "is another one", cached: satest.Objects(satest.AccountListing(listed)), live: satest.Objects(again(satest.AccountListing(listed))), reads: []string{getNS, getSA, getListed}, want: []string{getSA}, wantErr: "the Reader is stale"},
		{name: "is gone", cached: satest.Objects(satest.AccountListing(listed)), live: satest.Objects(satest.Opaque()), reads: []string{getNS, getSA, getListed}, want: []string{getSA}, wantErr: "the Reader is stale"},
		{name: "no answer about the Secret in the cache", cached: satest.Objects(satest.AccountListing(listed)), reader: fault.On("get", "secrets", satest.ErrBusy), reads: []string{getNS, getSA, getListed}, wantErr: "etcd is busy"},
		{name: "no answer about the tokens in the cache, token wanted", auto: true, cached: satest.Objects(satest.Account()), reader: fault.First(1, "list", "secrets", satest.ErrBusy), reads: []string{getNS, getSA, listTokens}, wantErr: "listing the token Secrets of ServiceAccount ns/default: "},
		{name: "no answer about the tokens in the cache before one is made", auto: true, cached: satest.Objects(satest.Account()), reader: fault.Nth(2, "list", "secrets", satest.ErrBusy), reads: []string{getNS, getSA, listTokens, listTokens}, want: []string{getSA}, wantErr: "listing the token Secrets of ServiceAccount ns/default: "},
		{name: "no answer about the token that it has but doesn't list", auto: true, cached: satest.Objects(satest.Account(), its), fault: fault.On("get", "secrets", satest.ErrBusy), reads: []string{getNS, getSA, listTokens, listTokens}, want: []string{getSA, getListed}, wantErr: "etcd is busy"},
		{name: "is gone, its token not", cached: satest.Objects(satest.Token()), reads: []string{getNS, getSA, listTokens}, want: []string{getSA, getSec, deleteSec}},
		{name: "is gone, no answer about its tokens", cached: satest.Objects(satest.Token()), reader: fault.On("list", "secrets", satest.ErrBusy), reads: []string{getNS, getSA, listTokens}, wantErr: "etcd is busy"},
		{name: "has a token, and lists a name that no object can have", auto: true, cached: satest.Objects(satest.AccountListing("default-token-a/b"), its), reads: []string{getNS, getSA, listTokens, listTokens}, want: []string{getSA, getListed, updateSA}},
		{name: "has a token that it doesn't list", auto: true, cached: satest.Objects(satest.Account(), its), reads: []string{getNS, getSA, listTokens, listTokens}, want: []string{getSA, getListed, updateSA}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cache := fake.New(tt.cached...)
			api := fake.New(tt.cached...)
			if tt.live != nil {
				api = fake.New(tt.live...)
			}
			if tt.reader != nil {
				cache.Inject(tt.reader)
			}
			if tt.fault != nil {
				api.Inject(tt.fault)
			}
			c := newTokens(t, api, func(cfg *sacontroller.TokensConfig) { cfg.Reader, cfg.AutoGenerate = cache, tt.auto })
			_, err := c.Reconcile(t.Context(), accountKey)
			if (err != nil) != (tt.wantErr != "") || err != nil && !strings.Contains(err.Error(), tt.wantErr) {
				t.Errorf("Reconcile() = %v, want the error %q", err, tt.wantErr)
			}
			satest.Diff(t, "calls of the Reader", tt.reads, satest.Calls(cache))
			satest.Diff(t, "calls of the Client", tt.want, satest.Calls(api))
		})
	}
}

// An account that lists more than one attempt can look up is looked up once, over
// many attempts, whatever fails in between, and written for each 512 names.
func TestAccountAttempts(t *testing.T) {
	const n = 600
	for _, auto := range []bool{false, true} {
		cluster := fake.New(satest.Active("ns"), satest.AccountListing(generatedNames(n)...))
		cluster.Inject(fault.Nth(37, "get", "secrets", satest.ErrBusy))
		cluster.Inject(fault.Nth(1000, "get", "secrets", satest.ErrBusy))
		c := newTokens(t, cluster, func(cfg *sacontroller.TokensConfig) { cfg.Reader, cfg.AutoGenerate = cluster, auto })
		satest.Settle(t, cluster, c)
		count := map[string]int{}
		for _, a := range cluster.Actions() {
			count[a.Verb+" "+a.Resource]++
		}
		// Each name is read once by the Reader and once live, and the two that failed
		// again. Each of the two searches reads the account live twice, besides the
		// attempts of which each reads the account and its Namespace by the Reader.
		want := map[string]int{"get namespaces": 48, "get serviceaccounts": 48 + 2*2, "get secrets": 2*n + 2, "list secrets": 2, "update serviceaccounts": 2}
		if auto {
			want = map[string]int{"get namespaces": 49, "get serviceaccounts": 49 + 2*2, "get secrets": 2*n + 4, "list secrets": 5, "create secrets": 1, "update serviceaccounts": 2}
		}
		satest.Diff(t, "calls", want, count)
	}
}

// A Namespace has so many searches at a time, and the next account waits until one of
// them is over.
func TestAccountAttemptsWait(t *testing.T) {
	const many = 64
	cluster := fake.New(satest.Active("ns"))
	keys := make([]sacontroller.Key, many+1)
	for i, name := range satest.NumberedNames(many+1, "sa%d") {
		a := satest.Account()
		a.Name, a.UID = name, *satest.UID(name)
		for _, listed := range generatedNames(20) {
			a.Secrets = append(a.Secrets, corev1.ObjectReference{Name: strings.Replace(listed, "default", name, 1)})
		}
		satest.Load(t, cluster, a)
		keys[i] = sacontroller.Key{Kind: "ServiceAccount", Namespace: "ns", Name: name, UID: a.UID}
	}
	c := newTokens(t, cluster)
	attempt := func(key sacontroller.Key, want time.Duration, problem string) {
		t.Helper()
		result, err := c.Reconcile(t.Context(), key)
		if err != nil || result.RequeueAfter != want {
			t.Errorf("%s: Reconcile() = %v, %v, want another attempt after %v", key, result, err, want)
		}
		if err := c.LastError(key); (err != nil) != (problem != "") || err != nil && !strings.Contains(err.Error(), problem) {
			t.Errorf("%s: LastError() = %v, want %q", key, err, problem)
		}
	}
	for _, key := range keys[:many] {
		attempt(key, sacontroller.Yield, "")
	}
	const waits = "many accounts list many Secrets, this one waits for its turn; the next attempt is in 10s"
	attempt(keys[many], 10*time.Second, waits)
	for result := (sacontroller.Result{RequeueAfter: sacontroller.Yield}); result.RequeueAfter > 0; {
		var err error
		if result, err = c.Reconcile(t.Context(), keys[0]); err != nil {
			t.Fatal(err)
		}
	}
	satest.Diff(t, "references", []string{}, references(getAccount(t, cluster, "ns", "sa0")))
	if result, err := c.Reconcile(t.Context(), keys[many]); err != nil || result.RequeueAfter != sacontroller.Yield {
		t.Errorf("after the first: Reconcile() = %v, %v, want its turn", result, err)
	}
}

// A Secret that is created while the account is searched keeps its reference.
func TestAccountAttemptsMeanwhile(t *testing.T) {
	cluster := fake.New(satest.Active("ns"), satest.AccountListing(generatedNames(30)...))
	c := newTokens(t, cluster)
	if result, err := c.Reconcile(t.Context(), accountKey); err != nil || result.RequeueAfter != sacontroller.Yield {
		t.Fatalf("Reconcile() = %v, %v, want it to yield", result, err)
	}
	created := incomplete()
	created.Name, created.UID = generatedNames(1)[0], ""
	if _, err := cluster.CreateSecret(t.Context(), created); err != nil {
		t.Fatal(err)
	}
	satest.Settle(t, cluster, c)
	satest.Diff(t, "references", []string{created.Name}, references(getAccount(t, cluster, "ns", "default")))
}

// What was found of an account that was changed, or is another one by now, is
// looked up again.
func TestAccountAttemptsAnew(t *testing.T) {
	cluster := fake.New(satest.Active("ns"), satest.AccountListing(generatedNames(30)...))
	c := newTokens(t, cluster)
	if result, err := c.Reconcile(t.Context(), accountKey); err != nil || result.RequeueAfter != sacontroller.Yield {
		t.Fatalf("Reconcile() = %v, %v, want it to yield", result, err)
	}
	changed := getAccount(t, cluster, "ns", "default").DeepCopy()
	changed.Secrets = []corev1.ObjectReference{{Name: listed}, {Name: generatedNames(1)[0]}}
	created := incomplete()
	created.Name, created.UID = generatedNames(1)[0], ""
	if _, err := cluster.CreateSecret(t.Context(), created); err != nil {
		t.Fatal(err)
	}
	if _, err := cluster.UpdateServiceAccount(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
	satest.Settle(t, cluster, c)
	satest.Diff(t, "references", []string{created.Name}, references(getAccount(t, cluster, "ns", "default")))
	if n := c.Searches(); n != 0 {
		t.Errorf("%d searches are remembered, want none", n)
	}
}
