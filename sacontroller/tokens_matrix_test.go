package sacontroller_test

import (
	"context"
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
	"github.com/kubesa/serviceaccount/sacontroller/internal/satest"
)

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
	api, reader := satest.Stale(tt.cached, tt.live, tt.fault, nil)
	c := newTokens(t, api, func(cfg *sacontroller.TokensConfig) {
		cfg.Reader = reader
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
	satest.Diff(t, "calls", tt.want, satest.Calls(api))
	if tt.secret != nil {
		got := satest.GetSecret(t, api, "ns", "token-secret-1").DeepCopy()
		got.ResourceVersion, got.CreationTimestamp = "", metav1.Time{}
		satest.Diff(t, "Secret", tt.secret, got)
	}
	if tt.account != nil {
		got := getAccount(t, api, "ns", "default").DeepCopy()
		got.ResourceVersion, got.CreationTimestamp = "", metav1.Time{}
		satest.Diff(t, "account", tt.account, got)
	}
}

const (
	getSA     = "get serviceaccounts ns/default"
	updateSA  = "update serviceaccounts ns/default"
	getSec    = "get secrets ns/token-secret-1"
	updateSec = "update secrets ns/token-secret-1"
	deleteSec = "delete secrets ns/token-secret-1 uid 23456"
)

func again(a *corev1.ServiceAccount) *corev1.ServiceAccount {
	a.UID = "99999"
	return a
}

// CTL-10, CTL-20..28, CTL-T1..T4, SECURITY C05
func TestTokensAccountEvents(t *testing.T) {
	other := satest.TokenWith(func(s *corev1.Secret) {
		s.Name, s.UID = "other", "4"
		s.Annotations[corev1.ServiceAccountNameKey] = "other"
	})
	unbound := satest.TokenWith(func(s *corev1.Secret) { delete(s.Annotations, corev1.ServiceAccountUIDKey) })
	second := satest.TokenWith(func(s *corev1.Secret) { s.Name, s.UID = "token-secret-2", "4" })
	for _, tt := range []tokensCase{
		{name: "there, no secrets", cached: satest.Objects(satest.Account())},
		{name: "there, missing secret", cached: satest.Objects(satest.AccountListing("missing-secret-1"))},
		{name: "there, opaque secret", cached: satest.Objects(satest.AccountListing("opaque"), satest.Opaque())},
		{name: "there, token secret", cached: satest.Objects(satest.AccountListing("token-secret-1"), satest.Token())},
		{name: "gone, no secrets"},
		{name: "gone, opaque secret", cached: satest.Objects(satest.Opaque())},
		{name: "gone, token of another account", cached: satest.Objects(other)},
		{name: "gone, token", cached: satest.Objects(satest.Token()), want: []string{getSA, getSec, deleteSec}},
		{name: "gone, token without UID annotation", cached: satest.Objects(unbound), want: []string{getSA, getSec, deleteSec}},
		{
			name: "created again, token", cached: satest.Objects(again(satest.Account()), satest.Token()),
			want: []string{getSA, getSec, deleteSec},
		},
		{
			name: "created again, token without UID annotation", cached: satest.Objects(again(satest.Account()), unbound), // CTL-23
			want: []string{getSA, getSec}, secret: unbound,
		},
		{
			name: "gone from the cache only", cached: satest.Objects(satest.Token()), live: satest.Objects(satest.Account(), satest.Token()),
			want: []string{getSA},
		},
		{
			name: "gone, token deleted already", cached: satest.Objects(satest.Token()), live: satest.Objects(satest.Active("ns")),
			want: []string{getSA, getSec},
		},
		{
			name: "gone, token created again for another", cached: satest.Objects(satest.Token()),
			live: satest.Objects(satest.TokenWith(func(s *corev1.Secret) { s.UID = "4" })), want: []string{getSA, getSec},
		},
		{
			name: "gone, token given to another account", cached: satest.Objects(satest.Token()),
			live: satest.Objects(satest.TokenWith(func(s *corev1.Secret) { s.Annotations[corev1.ServiceAccountNameKey] = "other" })), want: []string{getSA, getSec},
		},
		{
			name: "gone, token being deleted in the cache",
			cached: satest.Objects(satest.TokenWith(func(s *corev1.Secret) {
				s.DeletionTimestamp, s.Finalizers = &metav1.Time{Time: fake.Epoch}, []string{"a/b"}
			})),
		},
		{
			name: "gone, delete says conflict", cached: satest.Objects(satest.Token()), // CTL-25 as we differ
			fault: fault.On("delete", "secrets", fault.Conflict), want: []string{getSA, getSec, deleteSec, getSec}, wantErr: "modified",
		},
		{
			name: "gone, delete says conflict and nothing more", cached: satest.Objects(satest.Token()),
			fault: fault.Any(fault.On("delete", "secrets", fault.Conflict), fault.Nth(2, "get", "secrets", satest.ErrBusy)), want: []string{getSA, getSec, deleteSec, getSec}, wantErr: "modified",
		},
		{
			name: "gone, delete finds none", cached: satest.Objects(satest.Token()),
			fault: fault.On("delete", "secrets", fault.NotFound), want: []string{getSA, getSec, deleteSec},
		},
		{
			name: "gone, one delete of two fails", cached: satest.Objects(satest.Token(), second), // CTL-26
			fault: fault.First(1, "delete", "secrets", satest.ErrBusy), wantErr: "etcd is busy",
			want: []string{getSA, getSec, deleteSec, "get secrets ns/token-secret-2", "delete secrets ns/token-secret-2 uid 4"},
		},
		{
			name: "gone, no answer about the account", cached: satest.Objects(satest.Token()),
			fault: fault.On("get", "serviceaccounts", satest.ErrBusy), wantErr: "etcd is busy", want: []string{getSA},
		},
		{
			name: "gone, no answer about the token", cached: satest.Objects(satest.Token()),
			fault: fault.On("get", "secrets", satest.ErrBusy), wantErr: "etcd is busy", want: []string{getSA, getSec},
		},
		{name: "gone, namespace too", cached: satest.Objects(satest.Terminating("ns"), satest.Token())},
	} {
		tt.key = accountKey
		t.Run(tt.name, tt.run)
	}
}

// CTL-30, CTL-40..57, CTL-T5..T8, SECURITY C10, C18
func TestTokensSecretPresent(t *testing.T) {
	without := func(key string) *corev1.Secret {
		return satest.TokenWith(func(s *corev1.Secret) { delete(s.Data, key) })
	}
	extra := func(mutate func(*corev1.Secret)) *corev1.Secret {
		return satest.TokenWith(func(s *corev1.Secret) {
			s.Data["extra"], s.Labels, s.Annotations["a"] = []byte("x"), map[string]string{"c": "d"}, "b"
			if mutate != nil {
				mutate(s)
			}
		})
	}
	deleting := &metav1.Time{Time: fake.Epoch}
	for _, tt := range []tokensCase{
		{name: "complete", cached: satest.Objects(satest.Account(), satest.Token())},
		{name: "complete without UID annotation", cached: satest.Objects(satest.Account(), satest.TokenWith(func(s *corev1.Secret) { delete(s.Annotations, corev1.ServiceAccountUIDKey) }))}, // CTL-44
		{name: "no data", cached: satest.Objects(satest.Account(), satest.TokenWith(func(s *corev1.Secret) { s.Data = nil })), want: []string{updateSec}, secret: satest.Token()},
		{name: "no data and no UID annotation", cached: satest.Objects(satest.Account(), satest.TokenWith(func(s *corev1.Secret) {
			s.Data = nil
			delete(s.Annotations, corev1.ServiceAccountUIDKey)
		})), want: []string{updateSec}, secret: satest.Token()},
		{name: "no token", cached: satest.Objects(satest.Account(), without("token")), want: []string{updateSec}, secret: satest.Token()},
		{name: "no CA", cached: satest.Objects(satest.Account(), without("ca.crt")), want: []string{updateSec}, secret: satest.Token()},
		{name: "another CA", cached: satest.Objects(satest.Account(), satest.TokenWith(func(s *corev1.Secret) { s.Data["ca.crt"] = []byte("mismatched") })), want: []string{updateSec}, secret: satest.Token()},
		{name: "no namespace", cached: satest.Objects(satest.Account(), without("namespace")), want: []string{updateSec}, secret: satest.Token()},
		{name: "custom namespace", cached: satest.Objects(satest.Account(), satest.TokenWith(func(s *corev1.Secret) { s.Data["namespace"] = []byte("custom") }))},
		{name: "foreign content is kept", cached: satest.Objects(satest.Account(), extra(func(s *corev1.Secret) { delete(s.Data, "token") })), want: []string{updateSec}, secret: extra(nil)},
		{name: "garbage token is kept", cached: satest.Objects(satest.Account(), satest.TokenWith(func(s *corev1.Secret) { s.Data["token"] = []byte("garbage") }))},
		{name: "no CA and none configured", noCA: true, cached: satest.Objects(satest.Account(), without("ca.crt"))}, // CTL-50
		{name: "another CA and none configured", noCA: true, cached: satest.Objects(satest.Account(), satest.TokenWith(func(s *corev1.Secret) {
			s.Data["ca.crt"] = []byte("x")
			delete(s.Data, "token")
		})), want: []string{updateSec}, secret: satest.TokenWith(func(s *corev1.Secret) { s.Data["ca.crt"] = []byte("x") })},
		{name: "unreferenced and not listed afterwards", cached: satest.Objects(satest.Account(), without("token")), want: []string{updateSec}, account: satest.Account()}, // CTL-56

		{name: "no account anywhere", cached: satest.Objects(satest.Token()), want: []string{getSA, getSec, deleteSec}},
		{name: "account with another UID", cached: satest.Objects(again(satest.Account()), satest.Token()), want: []string{getSA, getSec, deleteSec}},
		{
			name: "account not in the cache", cached: satest.Objects(without("token")), live: satest.Objects(satest.Account(), without("token")),
			// The versions differ by the account that was created in between.
			want: []string{getSA, updateSec, getSec, updateSec}, secret: satest.Token(),
		},
		{name: "namesake of the account in the cache", cached: satest.Objects(again(satest.Account()), without("token")), live: satest.Objects(satest.Account(), without("token")), want: []string{getSA, updateSec}, secret: satest.Token()},
		{name: "no answer about the account", cached: satest.Objects(satest.Token()), fault: fault.On("get", "serviceaccounts", satest.ErrBusy), want: []string{getSA}, wantErr: "etcd is busy"}, // CTL-41
		{name: "orphan, delete fails", cached: satest.Objects(satest.Token()), fault: fault.On("delete", "secrets", satest.ErrBusy), want: []string{getSA, getSec, deleteSec}, wantErr: "etcd is busy"},
		{name: "orphan, delete says conflict", cached: satest.Objects(satest.Token()), fault: fault.On("delete", "secrets", fault.Conflict), want: []string{getSA, getSec, deleteSec, getSec}, wantErr: "modified"},
		{name: "orphan in a namespace that goes", cached: satest.Objects(satest.Terminating("ns"), satest.Token())},
		{name: "incomplete in a namespace that goes", cached: satest.Objects(satest.Terminating("ns"), satest.Account(), without("token"))},

		{
			name: "deleted meanwhile", cached: satest.Objects(satest.Account(), without("token")), live: satest.Objects(satest.Account()),
			want: []string{updateSec},
		},
		{
			name: "changed, then deleted meanwhile", cached: satest.Objects(satest.Account(), without("token")), live: satest.Objects(satest.Account()), // CTL-46
			fault: fault.Nth(1, "update", "secrets", fault.Conflict), want: []string{updateSec, getSec},
		},
		{
			name: "changed meanwhile", cached: satest.Objects(satest.Account(), without("token")), live: satest.Objects(satest.Account(), satest.Opaque(), extra(func(s *corev1.Secret) { delete(s.Data, "token") })),
			want: []string{updateSec, getSec, updateSec}, secret: extra(nil), // CTL-47 as we differ
		},
		{name: "completed meanwhile", cached: satest.Objects(satest.Account(), without("token")), live: satest.Objects(satest.Account(), satest.Opaque(), satest.Token()), want: []string{updateSec, getSec}, secret: satest.Token()}, // CTL-48
		{
			name: "created again meanwhile", cached: satest.Objects(satest.Account(), without("token")),
			live: satest.Objects(satest.Account(), satest.Opaque(), satest.TokenWith(func(s *corev1.Secret) { s.UID = "4"; delete(s.Data, "token") })), want: []string{updateSec, getSec},
		},
		{
			name: "given to another account meanwhile", cached: satest.Objects(satest.Account(), without("token")),
			live: satest.Objects(satest.Account(), satest.Opaque(), satest.TokenWith(func(s *corev1.Secret) {
				s.Annotations[corev1.ServiceAccountNameKey] = "other"
				delete(s.Data, "token")
			})), want: []string{updateSec, getSec},
		},
		{name: "update says conflict twice", cached: satest.Objects(satest.Account(), without("token")), fault: fault.On("update", "secrets", fault.Conflict), want: []string{updateSec, getSec, updateSec}, wantErr: "modified"},
		{name: "update says not found", cached: satest.Objects(satest.Account(), without("token")), fault: fault.On("update", "secrets", fault.NotFound), want: []string{updateSec}},                 // CTL-52
		{name: "update fails", cached: satest.Objects(satest.Account(), without("token")), fault: fault.On("update", "secrets", satest.ErrBusy), want: []string{updateSec}, wantErr: "etcd is busy"}, // CTL-53

		{name: "Secret being deleted", cached: satest.Objects(satest.Account(), satest.TokenWith(func(s *corev1.Secret) {
			s.DeletionTimestamp, s.Finalizers = deleting, []string{"a/b"}
			delete(s.Data, "token")
		}))}, // CTL-54 as we differ
		{name: "account being deleted", cached: satest.Objects(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{
			Name: "default", Namespace: "ns", UID: "12345", DeletionTimestamp: deleting, Finalizers: []string{"a/b"},
		}}, without("token"))}, // CTL-55 as we differ
		{name: "immutable and incomplete", cached: satest.Objects(satest.Account(), satest.TokenWith(func(s *corev1.Secret) {
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
	pulls := satest.AccountListing("token-secret-1")
	pulls.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "token-secret-1"}}
	pullsLeft := satest.AccountListing()
	pullsLeft.ImagePullSecrets, pullsLeft.Secrets = pulls.ImagePullSecrets, nil // CTL-65; an API server keeps no empty list
	deleting := satest.AccountListing("token-secret-1")
	deleting.DeletionTimestamp, deleting.Finalizers = &metav1.Time{Time: fake.Epoch}, []string{"a/b"}
	recreated := satest.TokenWith(func(s *corev1.Secret) { s.UID = "4" })
	tokenOf := func(account, uid string) *corev1.Secret {
		return satest.TokenWith(func(s *corev1.Secret) {
			s.UID = "4"
			s.Annotations = map[string]string{corev1.ServiceAccountNameKey: account, corev1.ServiceAccountUIDKey: uid}
		})
	}
	for _, tt := range []tokensCase{
		{name: "account not cached", live: satest.Objects(satest.AccountListing("token-secret-1"))},                          // CTL-60
		{name: "another account of the name cached", cached: satest.Objects(again(satest.AccountListing("token-secret-1")))}, // CTL-60
		{name: "account gone by now", cached: satest.Objects(satest.AccountListing("token-secret-1")), live: satest.Objects(satest.Active("ns")), want: []string{getSA}},
		{name: "account created again by now", cached: satest.Objects(satest.AccountListing("token-secret-1")), live: satest.Objects(again(satest.AccountListing("token-secret-1"))), want: []string{getSA}},
		{name: "not listed", cached: satest.Objects(satest.Account()), want: []string{getSA}},
		{name: "listed", cached: satest.Objects(pulls), want: []string{getSA, getSec, updateSA}, account: pullsLeft},
		{
			name: "listed twice among others", cached: satest.Objects(satest.AccountListing("c", "token-secret-1", "a", "token-secret-1", "b")),
			want: []string{getSA, getSec, updateSA}, account: satest.AccountListing("c", "a", "b"),
		},
		{
			name: "another Secret of the name", cached: satest.Objects(satest.AccountListing("token-secret-1"), recreated), // CTL-69 as we differ
			want: []string{getSA, getSec}, account: satest.AccountListing("token-secret-1"),
		},
		{
			name: "another Secret of the name that the cache lacks", cached: satest.Objects(satest.AccountListing("token-secret-1")), live: satest.Objects(satest.AccountListing("token-secret-1"), recreated),
			want: []string{getSA, getSec}, account: satest.AccountListing("token-secret-1"),
		},
		{
			name: "another Secret of the name, which has no account", cached: satest.Objects(satest.AccountListing("token-secret-1"), tokenOf("default", "54321")),
			want: []string{getSA, getSec}, wantErr: "until it is deleted", account: satest.AccountListing("token-secret-1"),
		},
		{
			name: "another Secret of the name, of an account that is gone", cached: satest.Objects(satest.AccountListing("token-secret-1"), tokenOf("nobody", "")),
			want: []string{getSA, getSec, "get serviceaccounts ns/nobody"}, wantErr: "until it is deleted", account: satest.AccountListing("token-secret-1"),
		},
		{
			name: "another Secret of the name, of another type", cached: satest.Objects(satest.AccountListing("token-secret-1"), satest.TokenWith(func(s *corev1.Secret) { s.UID, s.Type = "4", "Opaque" })),
			want: []string{getSA, getSec}, account: satest.AccountListing("token-secret-1"),
		},
		{name: "no answer about the account", cached: satest.Objects(pulls), fault: fault.On("get", "serviceaccounts", satest.ErrBusy), want: []string{getSA}, wantErr: "etcd is busy"},
		{name: "no answer about the Secret", cached: satest.Objects(pulls), fault: fault.On("get", "secrets", satest.ErrBusy), want: []string{getSA, getSec}, wantErr: "etcd is busy"},
		{name: "update says conflict", cached: satest.Objects(pulls), fault: fault.On("update", "serviceaccounts", fault.Conflict), want: []string{getSA, getSec, updateSA}, wantErr: "modified"}, // CTL-66
		{name: "update says not found", cached: satest.Objects(pulls), fault: fault.On("update", "serviceaccounts", fault.NotFound), want: []string{getSA, getSec, updateSA}},                     // CTL-67
		{name: "update fails", cached: satest.Objects(pulls), fault: fault.On("update", "serviceaccounts", satest.ErrBusy), want: []string{getSA, getSec, updateSA}, wantErr: "etcd is busy"},     // CTL-68 as we differ
		{name: "account being deleted", cached: satest.Objects(deleting), want: []string{getSA}},
		{name: "namespace being deleted", cached: satest.Objects(satest.Terminating("ns"), pulls)},
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
			cluster := fake.New(satest.AccountListing("default-token-x7k2q"), satest.TokenWith(func(s *corev1.Secret) { s.Data = nil }))
			reader := cluster.Reader()
			reader.Inject(fault.On("", resource, apierrors.NewGenericServerResponse(500, "get", schema.GroupResource{}, "", "no cache", 0, true)))
			c := newTokens(t, cluster, func(cfg *sacontroller.TokensConfig) { cfg.Reader = reader })
			if _, err := c.Reconcile(t.Context(), key); err == nil || !strings.Contains(err.Error(), "no cache") {
				t.Errorf("Reconcile(%v) without %s = %v, want the reader's error", key, resource, err)
			}
			satest.Diff(t, "calls", []string(nil), satest.Calls(cluster))
		}
	}
}

// A cache that still has a Namespace of the same name, which was being deleted,
// costs a pause: no event would make the account due again.
func TestTokensStaleNamespace(t *testing.T) {
	cluster := fake.New(satest.Active("ns"), satest.Account())
	old := satest.Terminating("ns")
	c := newTokens(t, cluster, autoGenerate, func(cfg *sacontroller.TokensConfig) {
		cfg.Reader = staleNamespace{cluster, old}
	})
	key := c.Due(sacontroller.Change{Type: watch.Added, Object: satest.Account()})[0]
	result, err := c.Reconcile(t.Context(), key)
	if err != nil || result.RequeueAfter != 10*time.Second || len(cluster.Writes()) > 0 {
		t.Fatalf("got %v, %v and wrote %v, want a pause", result, err, cluster.Writes())
	}
	*old = *satest.Active("ns")
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
