package sacontroller

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

type dueCase struct {
	name   string
	types  []watch.EventType // all of the three if nil
	object runtime.Object
	old    runtime.Object
	want   []Key
}

func testDue(t *testing.T, due func(Change) []Key, tests []dueCase) {
	t.Helper()
	for _, tt := range tests {
		for _, typ := range []watch.EventType{watch.Added, watch.Modified, watch.Deleted, watch.Bookmark, watch.Error, ""} {
			want := tt.want
			if tt.types == nil && (typ == watch.Bookmark || typ == watch.Error || typ == "") {
				want = nil
			} else if tt.types != nil && !contains(tt.types, typ) {
				want = nil
			}
			if diff := cmp.Diff(want, due(Change{Type: typ, Object: tt.object, Old: tt.old})); diff != "" {
				t.Errorf("%s, %s: Due() (-want +got):\n%s", tt.name, typ, diff)
			}
			for _, key := range due(Change{Tenant: "red", Type: typ, Object: tt.object, Old: tt.old}) {
				if key.Tenant != "red" {
					t.Errorf("%s, %s: Due() of tenant red returns %+v", tt.name, typ, key)
				}
			}
		}
	}
}

func contains(types []watch.EventType, typ watch.EventType) bool {
	for _, t := range types {
		if t == typ {
			return true
		}
	}
	return false
}

func namespace(name string, phase corev1.NamespacePhase) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.NamespaceStatus{Phase: phase}}
}

func secretWith(mutate func(*corev1.Secret)) *corev1.Secret {
	s := goodSecret()
	mutate(s)
	return s
}

// CTL-4..8, CTL-T12
func TestTokensDue(t *testing.T) {
	account := Key{Kind: "ServiceAccount", Namespace: "ns", Name: "default", UID: "12345"}
	secret := Key{Kind: "Secret", Namespace: "ns", Name: "token-secret-1", UID: "23456", ServiceAccountName: "default", ServiceAccountUID: "12345"}
	unbound, renamed, again := secret, secret, secret
	unbound.ServiceAccountUID = ""
	renamed.ServiceAccountName = "other"
	again.UID = "999"
	accountAgain := account
	generated := secret
	generated.Name = "first-token-bcdfg"
	first := generated
	first.ServiceAccountName, first.ServiceAccountUID = "first", ""
	accountAgain.UID = "999"
	testDue(t, (*Tokens)(nil).Due, []dueCase{
		{name: "account", object: goodAccount(), want: []Key{account}},
		{name: "account changed", object: goodAccount(), old: goodAccount(), want: []Key{account}},
		{name: "account created again unseen", object: withUID("999"), old: goodAccount(), want: []Key{account, accountAgain}},
		{name: "account without UID", object: withUID("")},
		{name: "token Secret", object: goodSecret(), want: []Key{secret}},
		{name: "Secret without UID annotation", object: secretWith(noUID), want: []Key{unbound}},
		{
			name: "annotation edited", old: goodSecret(), want: []Key{account, renamed},
			object: secretWith(func(s *corev1.Secret) { s.Annotations["kubernetes.io/service-account.name"] = "other" }),
		},
		{
			name: "annotation edited that named no UID", old: secretWith(noUID), want: []Key{renamed},
			object: secretWith(func(s *corev1.Secret) { s.Annotations["kubernetes.io/service-account.name"] = "other" }),
		},
		{
			name: "annotations removed", old: goodSecret(), want: []Key{account},
			object: secretWith(func(s *corev1.Secret) { s.Annotations = nil }),
		},
		{name: "Secret created again unseen", object: secretWith(func(s *corev1.Secret) { s.UID = "999" }), old: goodSecret(), want: []Key{secret, again}},
		{
			name: "Secret created again unseen with another type", old: goodSecret(), want: []Key{secret},
			object: secretWith(func(s *corev1.Secret) { s.UID, s.Type = "999", "Opaque" }),
		},
		{
			name: "generated Secret given away, created again unseen", want: []Key{generated, first, again}, old: secretWith(func(s *corev1.Secret) { s.Name = "first-token-bcdfg" }),
			object: secretWith(func(s *corev1.Secret) { s.UID = "999" }),
		},
		{name: "Secret without UID", object: secretWith(func(s *corev1.Secret) { s.UID = "" })},
		{name: "Secret without annotations", object: secretWith(func(s *corev1.Secret) { s.Annotations = nil })},
		{name: "opaque Secret", object: secretWith(func(s *corev1.Secret) { s.Type = "Opaque" })},
		{name: "namespace", object: namespace("ns", corev1.NamespaceActive)},
		{name: "nil account", object: (*corev1.ServiceAccount)(nil)},
		{name: "nil Secret", object: (*corev1.Secret)(nil), old: (*corev1.Secret)(nil)},
		{name: "nothing"},
	})
}

// A Secret that was generated for one account and annotated with another since is
// gone for both (CTL-60..69, SECURITY E4).
func TestTokensDueGone(t *testing.T) {
	called := func(name string, mutate func(*corev1.Secret)) *corev1.Secret {
		return secretWith(func(s *corev1.Secret) { s.Name = name; mutate(s) })
	}
	key := func(name, account string, uid types.UID) Key {
		return Key{Kind: "Secret", Namespace: "ns", Name: name, UID: "23456", ServiceAccountName: account, ServiceAccountUID: uid}
	}
	const own, first = "default-token-bcdfg", "first-token-bcdfg"
	for _, tt := range []struct {
		name   string
		secret *corev1.Secret
		typ    watch.EventType
		want   []Key
	}{
		{"its own account", called(own, func(*corev1.Secret) {}), watch.Deleted, []Key{key(own, "default", "12345")}},
		{"given away", called(first, func(*corev1.Secret) {}), watch.Deleted, []Key{key(first, "default", "12345"), key(first, "first", "")}},
		{"given away and there", called(first, func(*corev1.Secret) {}), watch.Modified, []Key{key(first, "default", "12345")}},
		{"annotations removed", called(first, func(s *corev1.Secret) { s.Annotations = nil }), watch.Deleted, []Key{key(first, "first", "")}},
		{"another type", called(first, func(s *corev1.Secret) { s.Type = "Opaque" }), watch.Deleted, nil},
	} {
		if diff := cmp.Diff(tt.want, (*Tokens)(nil).Due(Change{Type: tt.typ, Object: tt.secret})); diff != "" {
			t.Errorf("%s: Due() (-want +got):\n%s", tt.name, diff)
		}
	}
}

// SAC-2
func TestServiceAccountsDue(t *testing.T) {
	want := []Key{{Kind: "Namespace", Name: "ns"}}
	testDue(t, (*ServiceAccounts)(nil).Due, []dueCase{
		{name: "namespace", types: []watch.EventType{watch.Added, watch.Modified}, object: namespace("ns", corev1.NamespaceActive), want: want},
		{name: "terminating", types: []watch.EventType{watch.Added, watch.Modified}, object: namespace("ns", corev1.NamespaceTerminating), want: want},
		{name: "account of any name", types: []watch.EventType{watch.Deleted}, object: goodAccount(), want: want},
		{name: "Secret", object: goodSecret()},
		{name: "nil namespace", object: (*corev1.Namespace)(nil)},
		{name: "nil account", object: (*corev1.ServiceAccount)(nil)},
		{name: "nothing"},
		{name: "namespace without a name", object: namespace("", corev1.NamespaceActive)},
		{name: "account without a namespace", object: &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}},
	})
}

// RCA-3
func TestRootCAPublisherDue(t *testing.T) {
	want := []Key{{Kind: "Namespace", Name: "ns"}}
	other := goodRootCA()
	other.Name = "other"
	testDue(t, (*RootCAPublisher)(nil).Due, []dueCase{
		{name: "active namespace", types: []watch.EventType{watch.Added, watch.Modified}, object: namespace("ns", corev1.NamespaceActive), want: want},
		{name: "terminating namespace", types: []watch.EventType{watch.Added}, object: namespace("ns", corev1.NamespaceTerminating), want: want},
		{name: "namespace without phase", types: []watch.EventType{watch.Added}, object: namespace("ns", ""), want: want},
		{name: "ConfigMap", types: []watch.EventType{watch.Modified, watch.Deleted}, object: goodRootCA(), want: want},
		{name: "other ConfigMap", object: other},
		{name: "nil ConfigMap", object: (*corev1.ConfigMap)(nil)},
		{name: "nil namespace", object: (*corev1.Namespace)(nil)},
	})
}

// CLN-1, CLN-20
func TestTrackingDue(t *testing.T) {
	want := []Key{{Kind: "ConfigMap", Namespace: "kube-system", Name: "kube-apiserver-legacy-service-account-token-tracking"}}
	tracking := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-apiserver-legacy-service-account-token-tracking"}}
	elsewhere := tracking.DeepCopy()
	elsewhere.Namespace = "default"
	testDue(t, (*LegacyTokenTracker)(nil).Due, []dueCase{
		{name: "ConfigMap", object: tracking, want: want},
		{name: "ConfigMap elsewhere", object: elsewhere},
		{name: "other ConfigMap", object: goodRootCA()},
		{name: "kube-system", types: []watch.EventType{watch.Added}, object: namespace("kube-system", corev1.NamespaceActive), want: want},
		{name: "other namespace", object: namespace("ns", corev1.NamespaceActive)},
		{name: "nil namespace", object: (*corev1.Namespace)(nil)},
	})
	testDue(t, (*LegacyTokenCleaner)(nil).Due, []dueCase{
		{name: "ConfigMap", types: []watch.EventType{watch.Added, watch.Modified}, object: tracking, want: want},
		{name: "ConfigMap elsewhere", object: elsewhere},
		{name: "nil ConfigMap", object: (*corev1.ConfigMap)(nil)},
		{name: "kube-system", object: namespace("kube-system", corev1.NamespaceActive)},
	})
}

// Keys that no change gives are ignored (CTL-8).
func TestReconcileForeignKeys(t *testing.T) {
	for _, c := range []Controller{new(Tokens), new(ServiceAccounts), new(RootCAPublisher), new(LegacyTokenTracker), new(LegacyTokenCleaner)} {
		for _, key := range []Key{
			{},
			{Kind: "Pod", Namespace: "ns", Name: "p", UID: "1"},
			{Kind: "Secret", Namespace: "ns", Name: "s", UID: "1"},
			{Kind: "ServiceAccount", Namespace: "ns", Name: "s"},
			{Kind: "ConfigMap", Namespace: "ns", Name: "m"},
			{Kind: "Namespace"},
			{Kind: "Namespace", Name: "../x"},
			{Kind: "Secret", Namespace: "../x", Name: "s", UID: "1", ServiceAccountName: "sa"},
			{Kind: "Secret", Namespace: "ns", Name: "../s", UID: "1", ServiceAccountName: "sa"},
			{Kind: "ServiceAccount", Namespace: "ns", Name: "a/b", UID: "1"},
		} {
			// A controller that does anything reaches for its nil Reader here.
			if result, err := c.Reconcile(context.Background(), key); err != nil || result != (Result{}) {
				t.Errorf("%s: Reconcile(%v) = %v, %v, want nothing done", c.Name(), key, result, err)
			}
		}
	}
}

func TestKeyString(t *testing.T) {
	for want, key := range map[string]Key{
		"Namespace ns":  {Kind: "Namespace", Name: "ns", UID: "1"},
		"Secret ns/tok": {Kind: "Secret", Namespace: "ns", Name: "tok", UID: "1", ServiceAccountName: "sa", ServiceAccountUID: "2"},
	} {
		if got := key.String(); got != want {
			t.Errorf("String() = %q, want %q", got, want)
		}
	}
}
