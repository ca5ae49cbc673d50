package sacontroller_test

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
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/sacontroller"
)

var errBusy = apierrors.NewInternalError(errors.New("etcd is busy"))

// tokensCase is one attempt at one key. The Reader sees cached; the API has live,
// or the same if that is nil. Of the calls only those of the API are told.
type tokensCase struct {
	name    string
	key     sacontroller.Key
	cached  []runtime.Object
	live    []runtime.Object
	fault   *fault.Fault
	noCA    bool
	want    []string // calls
	wantErr string
	// secret, if not nil, is what the live Secret token-secret-1 is afterwards,
	// apart from its resourceVersion; account likewise.
	secret  *corev1.Secret
	account *corev1.ServiceAccount
}

func (tt *tokensCase) run(t *testing.T) {
	cache := fake.New(tt.cached...)
	api := cache
	if tt.live != nil {
		api = fake.New(tt.live...)
	}
	if tt.fault != nil {
		api.Inject(tt.fault)
	}
	c := newTokens(t, api, func(cfg *sacontroller.TokensConfig) {
		cfg.Reader = cache.Reader()
		if tt.noCA {
			cfg.RootCA = nil
		}
	})
	_, err := c.Reconcile(t.Context(), tt.key)
	if tt.wantErr == "" && err != nil || tt.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tt.wantErr)) {
		t.Errorf("Reconcile() = %v, want an error with %q", err, tt.wantErr)
	}
	if err != nil && c.LastError(tt.key) != err {
		t.Errorf("LastError() = %v, want %v", c.LastError(tt.key), err)
	}
	diff(t, "calls", tt.want, calls(api))
	if tt.secret != nil {
		got := getSecret(t, api, "ns", "token-secret-1").DeepCopy()
		got.ResourceVersion, got.CreationTimestamp = "", metav1.Time{}
		diff(t, "Secret", tt.secret, got)
	}
	if tt.account != nil {
		got := getAccount(t, api, "ns", "default").DeepCopy()
		got.ResourceVersion, got.CreationTimestamp = "", metav1.Time{}
		diff(t, "account", tt.account, got)
	}
}

const (
	getSA     = "get serviceaccounts ns/default"
	updateSA  = "update serviceaccounts ns/default"
	getSec    = "get secrets ns/token-secret-1"
	updateSec = "update secrets ns/token-secret-1"
	deleteSec = "delete secrets ns/token-secret-1 uid 23456"
)

func objects(o ...runtime.Object) []runtime.Object { return o }

func opaque() *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "opaque", Namespace: "ns", UID: "3"}, Type: "Opaque"}
}

func again(a *corev1.ServiceAccount) *corev1.ServiceAccount {
	a.UID = "99999"
	return a
}

// CTL-10, CTL-20..28, CTL-T1..T4, SECURITY C05
func TestTokensAccountEvents(t *testing.T) {
	other := tokenWith(func(s *corev1.Secret) {
		s.Name, s.UID = "other", "4"
		s.Annotations[corev1.ServiceAccountNameKey] = "other"
	})
	unbound := tokenWith(func(s *corev1.Secret) { delete(s.Annotations, corev1.ServiceAccountUIDKey) })
	second := tokenWith(func(s *corev1.Secret) { s.Name, s.UID = "token-secret-2", "4" })
	for _, tt := range []tokensCase{
		{name: "there, no secrets", cached: objects(account())},
		{name: "there, missing secret", cached: objects(accountListing("missing-secret-1"))},
		{name: "there, opaque secret", cached: objects(accountListing("opaque"), opaque())},
		{name: "there, token secret", cached: objects(accountListing("token-secret-1"), token())},
		{name: "gone, no secrets"},
		{name: "gone, opaque secret", cached: objects(opaque())},
		{name: "gone, token of another account", cached: objects(other)},
		{name: "gone, token", cached: objects(token()), want: []string{getSA, getSec, deleteSec}},
		{name: "gone, token without UID annotation", cached: objects(unbound), want: []string{getSA, getSec, deleteSec}},
		{
			name: "created again, token", cached: objects(again(account()), token()),
			want: []string{getSA, getSec, deleteSec},
		},
		{
			name: "created again, token without UID annotation", cached: objects(again(account()), unbound), // CTL-23
			want: []string{getSA, getSec}, secret: unbound,
		},
		{
			name: "gone from the cache only", cached: objects(token()), live: objects(account(), token()),
			want: []string{getSA},
		},
		{
			name: "gone, token deleted already", cached: objects(token()), live: objects(active("ns")),
			want: []string{getSA, getSec},
		},
		{
			name: "gone, token created again for another", cached: objects(token()),
			live: objects(tokenWith(func(s *corev1.Secret) { s.UID = "4" })), want: []string{getSA, getSec},
		},
		{
			name: "gone, token given to another account", cached: objects(token()),
			live: objects(tokenWith(func(s *corev1.Secret) { s.Annotations[corev1.ServiceAccountNameKey] = "other" })), want: []string{getSA, getSec},
		},
		{
			name: "gone, token being deleted in the cache",
			cached: objects(tokenWith(func(s *corev1.Secret) {
				s.DeletionTimestamp, s.Finalizers = &metav1.Time{Time: fake.Epoch}, []string{"a/b"}
			})),
		},
		{
			name: "gone, delete says conflict", cached: objects(token()), // CTL-25 as we differ
			fault: fault.On("delete", "secrets", fault.Conflict), want: []string{getSA, getSec, deleteSec, getSec}, wantErr: "modified",
		},
		{
			name: "gone, delete says conflict and nothing more", cached: objects(token()),
			fault: fault.Any(fault.On("delete", "secrets", fault.Conflict), fault.Nth(2, "get", "secrets", errBusy)), want: []string{getSA, getSec, deleteSec, getSec}, wantErr: "modified",
		},
		{
			name: "gone, delete finds none", cached: objects(token()),
			fault: fault.On("delete", "secrets", fault.NotFound), want: []string{getSA, getSec, deleteSec},
		},
		{
			name: "gone, one delete of two fails", cached: objects(token(), second), // CTL-26
			fault: fault.First(1, "delete", "secrets", errBusy), wantErr: "etcd is busy",
			want: []string{getSA, getSec, deleteSec, "get secrets ns/token-secret-2", "delete secrets ns/token-secret-2 uid 4"},
		},
		{
			name: "gone, no answer about the account", cached: objects(token()),
			fault: fault.On("get", "serviceaccounts", errBusy), wantErr: "etcd is busy", want: []string{getSA},
		},
		{
			name: "gone, no answer about the token", cached: objects(token()),
			fault: fault.On("get", "secrets", errBusy), wantErr: "etcd is busy", want: []string{getSA, getSec},
		},
		{name: "gone, namespace too", cached: objects(terminating("ns"), token())},
	} {
		tt.key = accountKey
		t.Run(tt.name, tt.run)
	}
}

// CTL-30, CTL-40..57, CTL-T5..T8, SECURITY C10, C18
func TestTokensSecretPresent(t *testing.T) {
	without := func(key string) *corev1.Secret {
		return tokenWith(func(s *corev1.Secret) { delete(s.Data, key) })
	}
	extra := func(mutate func(*corev1.Secret)) *corev1.Secret {
		return tokenWith(func(s *corev1.Secret) {
			s.Data["extra"], s.Labels, s.Annotations["a"] = []byte("x"), map[string]string{"c": "d"}, "b"
			if mutate != nil {
				mutate(s)
			}
		})
	}
	deleting := &metav1.Time{Time: fake.Epoch}
	for _, tt := range []tokensCase{
		{name: "complete", cached: objects(account(), token())},
		{name: "complete without UID annotation", cached: objects(account(), tokenWith(func(s *corev1.Secret) { delete(s.Annotations, corev1.ServiceAccountUIDKey) }))}, // CTL-44
		{name: "no data", cached: objects(account(), tokenWith(func(s *corev1.Secret) { s.Data = nil })), want: []string{updateSec}, secret: token()},
		{name: "no data and no UID annotation", cached: objects(account(), tokenWith(func(s *corev1.Secret) {
			s.Data = nil
			delete(s.Annotations, corev1.ServiceAccountUIDKey)
		})), want: []string{updateSec}, secret: token()},
		{name: "no token", cached: objects(account(), without("token")), want: []string{updateSec}, secret: token()},
		{name: "no CA", cached: objects(account(), without("ca.crt")), want: []string{updateSec}, secret: token()},
		{name: "another CA", cached: objects(account(), tokenWith(func(s *corev1.Secret) { s.Data["ca.crt"] = []byte("mismatched") })), want: []string{updateSec}, secret: token()},
		{name: "no namespace", cached: objects(account(), without("namespace")), want: []string{updateSec}, secret: token()},
		{name: "custom namespace", cached: objects(account(), tokenWith(func(s *corev1.Secret) { s.Data["namespace"] = []byte("custom") }))},
		{name: "foreign content is kept", cached: objects(account(), extra(func(s *corev1.Secret) { delete(s.Data, "token") })), want: []string{updateSec}, secret: extra(nil)},
		{name: "garbage token is kept", cached: objects(account(), tokenWith(func(s *corev1.Secret) { s.Data["token"] = []byte("garbage") }))},
		{name: "no CA and none configured", noCA: true, cached: objects(account(), without("ca.crt"))}, // CTL-50
		{name: "another CA and none configured", noCA: true, cached: objects(account(), tokenWith(func(s *corev1.Secret) {
			s.Data["ca.crt"] = []byte("x")
			delete(s.Data, "token")
		})), want: []string{updateSec}, secret: tokenWith(func(s *corev1.Secret) { s.Data["ca.crt"] = []byte("x") })},
		{name: "unreferenced and not listed afterwards", cached: objects(account(), without("token")), want: []string{updateSec}, account: account()}, // CTL-56

		{name: "no account anywhere", cached: objects(token()), want: []string{getSA, getSec, deleteSec}},
		{name: "account with another UID", cached: objects(again(account()), token()), want: []string{getSA, getSec, deleteSec}},
		{
			name: "account not in the cache", cached: objects(without("token")), live: objects(account(), without("token")),
			// The versions differ by the account that was created in between.
			want: []string{getSA, updateSec, getSec, updateSec}, secret: token(),
		},
		{name: "namesake of the account in the cache", cached: objects(again(account()), without("token")), live: objects(account(), without("token")), want: []string{getSA, updateSec}, secret: token()},
		{name: "no answer about the account", cached: objects(token()), fault: fault.On("get", "serviceaccounts", errBusy), want: []string{getSA}, wantErr: "etcd is busy"}, // CTL-41
		{name: "orphan, delete fails", cached: objects(token()), fault: fault.On("delete", "secrets", errBusy), want: []string{getSA, getSec, deleteSec}, wantErr: "etcd is busy"},
		{name: "orphan, delete says conflict", cached: objects(token()), fault: fault.On("delete", "secrets", fault.Conflict), want: []string{getSA, getSec, deleteSec, getSec}, wantErr: "modified"},
		{name: "orphan in a namespace that goes", cached: objects(terminating("ns"), token())},
		{name: "incomplete in a namespace that goes", cached: objects(terminating("ns"), account(), without("token"))},

		{
			name: "deleted meanwhile", cached: objects(account(), without("token")), live: objects(account()),
			want: []string{updateSec},
		},
		{
			name: "changed, then deleted meanwhile", cached: objects(account(), without("token")), live: objects(account()), // CTL-46
			fault: fault.Nth(1, "update", "secrets", fault.Conflict), want: []string{updateSec, getSec},
		},
		{
			name: "changed meanwhile", cached: objects(account(), without("token")), live: objects(account(), opaque(), extra(func(s *corev1.Secret) { delete(s.Data, "token") })),
			want: []string{updateSec, getSec, updateSec}, secret: extra(nil), // CTL-47 as we differ
		},
		{name: "completed meanwhile", cached: objects(account(), without("token")), live: objects(account(), opaque(), token()), want: []string{updateSec, getSec}, secret: token()}, // CTL-48
		{
			name: "created again meanwhile", cached: objects(account(), without("token")),
			live: objects(account(), opaque(), tokenWith(func(s *corev1.Secret) { s.UID = "4"; delete(s.Data, "token") })), want: []string{updateSec, getSec},
		},
		{
			name: "given to another account meanwhile", cached: objects(account(), without("token")),
			live: objects(account(), opaque(), tokenWith(func(s *corev1.Secret) {
				s.Annotations[corev1.ServiceAccountNameKey] = "other"
				delete(s.Data, "token")
			})), want: []string{updateSec, getSec},
		},
		{name: "update says conflict twice", cached: objects(account(), without("token")), fault: fault.On("update", "secrets", fault.Conflict), want: []string{updateSec, getSec, updateSec}, wantErr: "modified"},
		{name: "update says not found", cached: objects(account(), without("token")), fault: fault.On("update", "secrets", fault.NotFound), want: []string{updateSec}},          // CTL-52
		{name: "update fails", cached: objects(account(), without("token")), fault: fault.On("update", "secrets", errBusy), want: []string{updateSec}, wantErr: "etcd is busy"}, // CTL-53

		{name: "Secret being deleted", cached: objects(account(), tokenWith(func(s *corev1.Secret) {
			s.DeletionTimestamp, s.Finalizers = deleting, []string{"a/b"}
			delete(s.Data, "token")
		}))}, // CTL-54 as we differ
		{name: "account being deleted", cached: objects(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{
			Name: "default", Namespace: "ns", UID: "12345", DeletionTimestamp: deleting, Finalizers: []string{"a/b"},
		}}, without("token"))}, // CTL-55 as we differ
		{name: "immutable and incomplete", cached: objects(account(), tokenWith(func(s *corev1.Secret) {
			s.Immutable = new(bool)
			*s.Immutable = true
			delete(s.Data, "token")
		})), wantErr: "is immutable and incomplete"},
	} {
		tt.key = secretKey
		t.Run(tt.name, tt.run)
	}
}

// CTL-31, CTL-60..70, CTL-T9..T11, SECURITY C03, C04
func TestTokensSecretGone(t *testing.T) {
	pulls := accountListing("token-secret-1")
	pulls.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "token-secret-1"}}
	pullsLeft := accountListing()
	pullsLeft.ImagePullSecrets, pullsLeft.Secrets = pulls.ImagePullSecrets, nil // CTL-65; an API server keeps no empty list
	deleting := accountListing("token-secret-1")
	deleting.DeletionTimestamp, deleting.Finalizers = &metav1.Time{Time: fake.Epoch}, []string{"a/b"}
	recreated := tokenWith(func(s *corev1.Secret) { s.UID = "4" })
	tokenOf := func(account, uid string) *corev1.Secret {
		return tokenWith(func(s *corev1.Secret) {
			s.UID = "4"
			s.Annotations = map[string]string{corev1.ServiceAccountNameKey: account, corev1.ServiceAccountUIDKey: uid}
		})
	}
	for _, tt := range []tokensCase{
		{name: "account not cached", live: objects(accountListing("token-secret-1"))},                          // CTL-60
		{name: "another account of the name cached", cached: objects(again(accountListing("token-secret-1")))}, // CTL-60
		{name: "account gone by now", cached: objects(accountListing("token-secret-1")), live: objects(active("ns")), want: []string{getSA}},
		{name: "account created again by now", cached: objects(accountListing("token-secret-1")), live: objects(again(accountListing("token-secret-1"))), want: []string{getSA}},
		{name: "not listed", cached: objects(account()), want: []string{getSA}},
		{name: "listed", cached: objects(pulls), want: []string{getSA, getSec, updateSA}, account: pullsLeft},
		{
			name: "listed twice among others", cached: objects(accountListing("c", "token-secret-1", "a", "token-secret-1", "b")),
			want: []string{getSA, getSec, updateSA}, account: accountListing("c", "a", "b"),
		},
		{
			name: "another Secret of the name", cached: objects(accountListing("token-secret-1"), recreated), // CTL-69 as we differ
			want: []string{getSA, getSec}, account: accountListing("token-secret-1"),
		},
		{
			name: "another Secret of the name that the cache lacks", cached: objects(accountListing("token-secret-1")), live: objects(accountListing("token-secret-1"), recreated),
			want: []string{getSA, getSec}, account: accountListing("token-secret-1"),
		},
		{
			name: "another Secret of the name, which has no account", cached: objects(accountListing("token-secret-1"), tokenOf("default", "54321")),
			want: []string{getSA, getSec}, wantErr: "until it is deleted", account: accountListing("token-secret-1"),
		},
		{
			name: "another Secret of the name, of an account that is gone", cached: objects(accountListing("token-secret-1"), tokenOf("nobody", "")),
			want: []string{getSA, getSec, "get serviceaccounts ns/nobody"}, wantErr: "until it is deleted", account: accountListing("token-secret-1"),
		},
		{
			name: "another Secret of the name, of another type", cached: objects(accountListing("token-secret-1"), tokenWith(func(s *corev1.Secret) { s.UID, s.Type = "4", "Opaque" })),
			want: []string{getSA, getSec}, account: accountListing("token-secret-1"),
		},
		{name: "no answer about the account", cached: objects(pulls), fault: fault.On("get", "serviceaccounts", errBusy), want: []string{getSA}, wantErr: "etcd is busy"},
		{name: "no answer about the Secret", cached: objects(pulls), fault: fault.On("get", "secrets", errBusy), want: []string{getSA, getSec}, wantErr: "etcd is busy"},
		{name: "update says conflict", cached: objects(pulls), fault: fault.On("update", "serviceaccounts", fault.Conflict), want: []string{getSA, getSec, updateSA}, wantErr: "modified"}, // CTL-66
		{name: "update says not found", cached: objects(pulls), fault: fault.On("update", "serviceaccounts", fault.NotFound), want: []string{getSA, getSec, updateSA}},                     // CTL-67
		{name: "update fails", cached: objects(pulls), fault: fault.On("update", "serviceaccounts", errBusy), want: []string{getSA, getSec, updateSA}, wantErr: "etcd is busy"},            // CTL-68 as we differ
		{name: "account being deleted", cached: objects(deleting), want: []string{getSA}},
		{name: "namespace being deleted", cached: objects(terminating("ns"), pulls)},
	} {
		tt.key = secretKey
		t.Run(tt.name, tt.run)
	}
}

// CTL-28, CTL-32: what the Reader can't answer is tried again, and nothing is done
// meanwhile.
func TestTokensReaderErrors(t *testing.T) {
	for _, key := range []sacontroller.Key{accountKey, secretKey} {
		for _, resource := range []string{"namespaces", "serviceaccounts", "secrets"} {
			cluster := fake.New(accountListing("default-token-x7k2q"), tokenWith(func(s *corev1.Secret) { s.Data = nil }))
			reader := cluster.Reader()
			reader.Inject(fault.On("", resource, apierrors.NewGenericServerResponse(500, "get", schema.GroupResource{}, "", "no cache", 0, true)))
			c := newTokens(t, cluster, func(cfg *sacontroller.TokensConfig) { cfg.Reader = reader })
			if _, err := c.Reconcile(t.Context(), key); err == nil || !strings.Contains(err.Error(), "no cache") {
				t.Errorf("Reconcile(%v) without %s = %v, want the reader's error", key, resource, err)
			}
			diff(t, "calls", []string(nil), calls(cluster))
		}
	}
}

// A cache that still has a Namespace of the same name, which was being deleted,
// costs a pause: no event would make the account due again.
func TestTokensStaleNamespace(t *testing.T) {
	cluster := fake.New(active("ns"), account())
	old := terminating("ns")
	c := newTokens(t, cluster, autoGenerate, func(cfg *sacontroller.TokensConfig) {
		cfg.Reader = staleNamespace{cluster, old}
	})
	key := c.Due(sacontroller.Change{Type: watch.Added, Object: account()})[0]
	result, err := c.Reconcile(t.Context(), key)
	if err != nil || result.RequeueAfter != 10*time.Second || len(cluster.Writes()) > 0 {
		t.Fatalf("got %v, %v and wrote %v, want a pause", result, err, cluster.Writes())
	}
	*old = *active("ns")
	if result, err = c.Reconcile(t.Context(), key); err != nil || result.RequeueAfter != 0 || len(cluster.Writes()) == 0 {
		t.Errorf("got %v, %v and wrote %v, want a token once the cache has caught up", result, err, cluster.Writes())
	}
}

// staleNamespace is a Reader that is behind in Namespaces.
type staleNamespace struct {
	*fake.Cluster
	namespace *corev1.Namespace
}

func (s staleNamespace) GetNamespace(context.Context, string) (*corev1.Namespace, error) {
	return s.namespace, nil
}
