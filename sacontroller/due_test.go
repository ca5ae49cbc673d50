package sacontroller_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount/internal/tokensecret/tokensecrettest"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/internal/satest"
)

func variant(mutate func(*corev1.Secret)) *corev1.Secret {
	s := tokensecrettest.Secret()
	mutate(s)
	return s
}

// CTL-4..8, CTL-T12
func TestTokensDue(t *testing.T) {
	account := sacontroller.Key{Kind: "ServiceAccount", Namespace: "ns", Name: "default", UID: "12345"}
	secret := sacontroller.Key{Kind: "Secret", Namespace: "ns", Name: "token-secret-1", UID: "23456", ServiceAccountName: "default", ServiceAccountUID: "12345"}
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
	namesake := tokensecrettest.Account()
	namesake.Name = "first-token-bcdfg"
	annotated := func(size int) *corev1.Secret {
		return variant(func(s *corev1.Secret) {
			s.Annotations[corev1.ServiceAccountNameKey] = strings.Repeat("n", size)
			s.Annotations[corev1.ServiceAccountUIDKey] = strings.Repeat("u", size)
		})
	}
	long := secret
	long.ServiceAccountName, long.ServiceAccountUID = strings.Repeat("n", 256), types.UID(strings.Repeat("u", 256))
	satest.Due(t, (*sacontroller.Tokens)(nil).Due, []satest.DueCase{
		{Name: "account", Object: tokensecrettest.Account(), Want: []sacontroller.Key{account}},
		{Name: "account changed", Object: tokensecrettest.Account(), Old: tokensecrettest.Account(), Want: []sacontroller.Key{account}},
		{Name: "account created again unseen", Object: tokensecrettest.AccountWithUID("999"), Old: tokensecrettest.Account(), Want: []sacontroller.Key{account, accountAgain}},
		{Name: "account called as a generated Secret is", Object: namesake, Want: []sacontroller.Key{{Kind: "ServiceAccount", Namespace: "ns", Name: "first-token-bcdfg", UID: "12345"}}},
		{Name: "account without UID", Object: tokensecrettest.AccountWithUID("")},
		{Name: "token Secret", Object: tokensecrettest.Secret(), Want: []sacontroller.Key{secret}},
		{Name: "token Secret changed", Object: tokensecrettest.Secret(), Old: tokensecrettest.Secret(), Want: []sacontroller.Key{secret}},
		{Name: "annotations as long as a key holds", Object: annotated(256), Want: []sacontroller.Key{long}},
		{Name: "annotations longer by a byte", Object: annotated(257), Want: []sacontroller.Key{long}},
		{Name: "Secret without UID annotation", Object: variant(tokensecrettest.WithoutUID), Want: []sacontroller.Key{unbound}},
		{
			Name: "annotation edited", Old: tokensecrettest.Secret(), Want: []sacontroller.Key{account, renamed},
			Object: variant(func(s *corev1.Secret) { s.Annotations["kubernetes.io/service-account.name"] = "other" }),
		},
		{
			Name: "annotation edited that named no UID", Old: variant(tokensecrettest.WithoutUID), Want: []sacontroller.Key{renamed},
			Object: variant(func(s *corev1.Secret) { s.Annotations["kubernetes.io/service-account.name"] = "other" }),
		},
		{
			Name: "annotations removed", Old: tokensecrettest.Secret(), Want: []sacontroller.Key{account},
			Object: variant(func(s *corev1.Secret) { s.Annotations = nil }),
		},
		{Name: "Secret created again unseen", Object: variant(func(s *corev1.Secret) { s.UID = "999" }), Old: tokensecrettest.Secret(), Want: []sacontroller.Key{secret, again}},
		{
			Name: "Secret created again unseen with another type", Old: tokensecrettest.Secret(), Want: []sacontroller.Key{secret},
			Object: variant(func(s *corev1.Secret) { s.UID, s.Type = "999", "Opaque" }),
		},
		{
			Name: "generated Secret given away, created again unseen", Want: []sacontroller.Key{generated, first, again}, Old: variant(func(s *corev1.Secret) { s.Name = "first-token-bcdfg" }),
			Object: variant(func(s *corev1.Secret) { s.UID = "999" }),
		},
		{Name: "Secret without UID", Object: variant(func(s *corev1.Secret) { s.UID = "" })},
		{Name: "Secret without annotations", Object: variant(func(s *corev1.Secret) { s.Annotations = nil })},
		{Name: "opaque Secret", Object: variant(func(s *corev1.Secret) { s.Type = "Opaque" })},
		{Name: "namespace", Object: satest.Namespace("ns", corev1.NamespaceActive)},
		{Name: "nil account", Object: (*corev1.ServiceAccount)(nil)},
		{Name: "nil Secret", Object: (*corev1.Secret)(nil), Old: (*corev1.Secret)(nil)},
		{Name: "nothing"},
	})
}

// A Secret that was generated for one account and annotated with another since is
// gone for both (CTL-60..69, SECURITY E4).
func TestTokensDueGone(t *testing.T) {
	called := func(name string, mutate func(*corev1.Secret)) *corev1.Secret {
		return variant(func(s *corev1.Secret) { s.Name = name; mutate(s) })
	}
	key := func(name, account string, uid types.UID) sacontroller.Key {
		return sacontroller.Key{Kind: "Secret", Namespace: "ns", Name: name, UID: "23456", ServiceAccountName: account, ServiceAccountUID: uid}
	}
	const own, first = "default-token-bcdfg", "first-token-bcdfg"
	for _, tt := range []struct {
		name   string
		secret *corev1.Secret
		typ    watch.EventType
		want   []sacontroller.Key
	}{
		{"its own account", called(own, func(*corev1.Secret) {}), watch.Deleted, []sacontroller.Key{key(own, "default", "12345")}},
		{"given away", called(first, func(*corev1.Secret) {}), watch.Deleted, []sacontroller.Key{key(first, "default", "12345"), key(first, "first", "")}},
		{"given away and there", called(first, func(*corev1.Secret) {}), watch.Modified, []sacontroller.Key{key(first, "default", "12345")}},
		{"annotations removed", called(first, func(s *corev1.Secret) { s.Annotations = nil }), watch.Deleted, []sacontroller.Key{key(first, "first", "")}},
		{"without UID", called(first, func(s *corev1.Secret) { s.UID = "" }), watch.Deleted, nil},
		{"another type", called(first, func(s *corev1.Secret) { s.Type = "Opaque" }), watch.Deleted, nil},
	} {
		if diff := cmp.Diff(tt.want, (*sacontroller.Tokens)(nil).Due(sacontroller.Change{Type: tt.typ, Object: tt.secret})); diff != "" {
			t.Errorf("%s: Due() (-want +got):\n%s", tt.name, diff)
		}
	}
}

// SAC-2
func TestServiceAccountsDue(t *testing.T) {
	want := []sacontroller.Key{{Kind: "Namespace", Name: "ns"}}
	satest.Due(t, (*sacontroller.ServiceAccounts)(nil).Due, []satest.DueCase{
		{Name: "namespace", Types: []watch.EventType{watch.Added, watch.Modified}, Object: satest.Namespace("ns", corev1.NamespaceActive), Want: want},
		{Name: "terminating", Types: []watch.EventType{watch.Added, watch.Modified}, Object: satest.Namespace("ns", corev1.NamespaceTerminating), Want: want},
		{Name: "account of any name", Types: []watch.EventType{watch.Deleted}, Object: tokensecrettest.Account(), Want: want},
		{Name: "Secret", Object: tokensecrettest.Secret()},
		{Name: "nil namespace", Object: (*corev1.Namespace)(nil)},
		{Name: "nil account", Object: (*corev1.ServiceAccount)(nil)},
		{Name: "nothing"},
		{Name: "namespace without a name", Object: satest.Namespace("", corev1.NamespaceActive)},
		{Name: "account without a namespace", Object: &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}},
	})
}

func TestKeyString(t *testing.T) {
	for want, key := range map[string]sacontroller.Key{
		"Namespace ns":               {Kind: "Namespace", Name: "ns", UID: "1"},
		"Namespace ns of tenant red": {Tenant: "red", Kind: "Namespace", Name: "ns"},
		"Secret ns/tok":              {Kind: "Secret", Namespace: "ns", Name: "tok", UID: "1", ServiceAccountName: "sa", ServiceAccountUID: "2"},
	} {
		if got := key.String(); got != want {
			t.Errorf("String() = %q, want %q", got, want)
		}
	}
}

// CTL-8
func TestReconcileForeignKeys(t *testing.T) {
	satest.Foreign(t, new(sacontroller.Tokens), new(sacontroller.ServiceAccounts))
	key := sacontroller.Key{Kind: "Pod", Namespace: "ns", Name: "p", UID: "1", ServiceAccountName: "sa"}
	if result, err := new(sacontroller.Tokens).Reconcile(t.Context(), key); err != nil || result != (sacontroller.Result{}) {
		t.Errorf("Reconcile(%v) = %v, %v, want nothing done", key, result, err)
	}
}
