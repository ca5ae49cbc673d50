package sacontroller

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/internal/tokensecret"
)

var deletedAt = metav1.Unix(1700000000, 0)

// goodAccount and goodSecret are the account and the complete token Secret of the
// cases below, which break one thing each.
func goodAccount() *corev1.ServiceAccount {
	return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default", Namespace: "ns", UID: "12345", ResourceVersion: "1"}}
}

func goodSecret() *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name: "token-secret-1", Namespace: "ns", UID: "23456", ResourceVersion: "1",
			Annotations: map[string]string{
				"kubernetes.io/service-account.name": "default",
				"kubernetes.io/service-account.uid":  "12345",
				"team":                               "a",
			},
		},
		Type: "kubernetes.io/service-account-token",
		Data: map[string][]byte{"token": []byte("ABC"), "ca.crt": []byte("CA Data"), "namespace": []byte("ns"), "extra": []byte("kept")},
	}
}

// CTL-43, CTL-44, CTL-50, CTL-54, CTL-55, CTL-T6, CTL-T8, SECURITY C18
func TestPlanFill(t *testing.T) {
	tests := []struct {
		name    string
		secret  func(*corev1.Secret)
		account func(*corev1.ServiceAccount)
		noCA    bool
		want    fill
	}{
		{name: "complete"},
		{name: "no data", secret: func(s *corev1.Secret) { s.Data = nil }, want: fill{CA: true, Namespace: true, Token: true}},
		{name: "no token", secret: func(s *corev1.Secret) { delete(s.Data, "token") }, want: fill{Token: true}},
		{name: "empty token", secret: func(s *corev1.Secret) { s.Data["token"] = []byte{} }, want: fill{Token: true}},
		{name: "token of somebody else", secret: func(s *corev1.Secret) { s.Data["token"] = []byte("garbage") }},
		{name: "no CA", secret: func(s *corev1.Secret) { delete(s.Data, "ca.crt") }, want: fill{CA: true}},
		{name: "another CA", secret: func(s *corev1.Secret) { s.Data["ca.crt"] = []byte("mismatched") }, want: fill{CA: true}},
		{name: "no CA and none configured", secret: func(s *corev1.Secret) { delete(s.Data, "ca.crt") }, noCA: true},
		{name: "another CA and none configured", secret: func(s *corev1.Secret) { s.Data["ca.crt"] = []byte("mismatched") }, noCA: true},
		{name: "no namespace", secret: func(s *corev1.Secret) { delete(s.Data, "namespace") }, want: fill{Namespace: true}},
		{name: "custom namespace", secret: func(s *corev1.Secret) { s.Data["namespace"] = []byte("custom") }},
		{name: "no UID annotation", secret: func(s *corev1.Secret) { delete(s.Annotations, "kubernetes.io/service-account.uid") }},
		{name: "Secret being deleted", secret: func(s *corev1.Secret) { s.Data = nil; s.DeletionTimestamp = &deletedAt }},
		{name: "account being deleted", secret: func(s *corev1.Secret) { s.Data = nil }, account: func(a *corev1.ServiceAccount) { a.DeletionTimestamp = &deletedAt }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			secret, account, rootCA := goodSecret(), goodAccount(), []byte("CA Data")
			if tt.secret != nil {
				tt.secret(secret)
			}
			if tt.account != nil {
				tt.account(account)
			}
			if tt.noCA {
				rootCA = nil
			}
			if got := planFill(secret, account, rootCA); got != tt.want {
				t.Errorf("planFill() = %+v, want %+v", got, tt.want)
			}
		})
	}
}

// CTL-49, SECURITY S3, S9
func TestFilled(t *testing.T) {
	bare := goodSecret()
	bare.Data, bare.Annotations = nil, nil
	before := bare.DeepCopy()
	got := filled(bare, goodAccount(), fill{CA: true, Namespace: true, Token: true}, []byte("CA Data"), "ABC")
	want := goodSecret()
	delete(want.Data, "extra")
	delete(want.Annotations, "team")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("a bare Secret is filled to (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, bare); diff != "" {
		t.Errorf("filled changed its argument (-before +after):\n%s", diff)
	}

	mismatch := goodSecret()
	mismatch.Data["ca.crt"] = []byte("mismatched")
	mismatch.Data["namespace"] = []byte("custom")
	mismatch.Annotations["kubernetes.io/service-account.uid"] = ""
	got = filled(mismatch, goodAccount(), fill{CA: true}, []byte("CA Data"), "")
	want = goodSecret()
	want.Data["namespace"] = []byte("custom")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("a Secret with another CA becomes (-want +got):\n%s", diff)
	}
}

// CTL-85
func TestNewTokenSecret(t *testing.T) {
	got := newTokenSecret(goodAccount(), "default-token-x7k2q", []byte("CA Data"), "ABC")
	want := goodSecret()
	want.ObjectMeta = metav1.ObjectMeta{
		Name: "default-token-x7k2q", Namespace: "ns",
		Annotations: map[string]string{"kubernetes.io/service-account.name": "default", "kubernetes.io/service-account.uid": "12345"},
	}
	delete(want.Data, "extra")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("newTokenSecret() (-want +got):\n%s", diff)
	}
	if _, ok := newTokenSecret(goodAccount(), "n", nil, "ABC").Data["ca.crt"]; ok {
		t.Error("newTokenSecret() without a root CA has ca.crt, want none")
	}
}

// CTL-22, CTL-23, CTL-42, SECURITY C10
func TestIsOrphan(t *testing.T) {
	tests := []struct {
		name   string
		mutate func(*corev1.Secret)
		live   *corev1.ServiceAccount
		want   bool
	}{
		{name: "account there", live: goodAccount()},
		{name: "account gone", want: true},
		{name: "account created again", live: withUID("99999"), want: true},
		{name: "account created again, Secret without UID", live: withUID("99999"), mutate: noUID},
		{name: "account gone, Secret without UID", mutate: noUID, want: true},
		{name: "not a token Secret", mutate: func(s *corev1.Secret) { s.Type = "Opaque" }},
		{name: "names no account", mutate: func(s *corev1.Secret) { s.Annotations = nil }},
		{name: "being deleted", mutate: func(s *corev1.Secret) { s.DeletionTimestamp = &deletedAt }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			secret := goodSecret()
			if tt.mutate != nil {
				tt.mutate(secret)
			}
			if got := isOrphan(secret, tt.live); got != tt.want {
				t.Errorf("isOrphan() = %t, want %t", got, tt.want)
			}
		})
	}
}

func withUID(uid types.UID) *corev1.ServiceAccount {
	a := goodAccount()
	a.UID = uid
	return a
}

func noUID(s *corev1.Secret) { delete(s.Annotations, "kubernetes.io/service-account.uid") }

// CTL-22
func TestOrphansOf(t *testing.T) {
	variant := func(name string, mutate func(*corev1.Secret)) *corev1.Secret {
		s := goodSecret()
		s.Name = name
		mutate(s)
		return s
	}
	secrets := []*corev1.Secret{
		variant("same", func(*corev1.Secret) {}),
		variant("no-uid", noUID),
		variant("other-uid", func(s *corev1.Secret) { s.Annotations["kubernetes.io/service-account.uid"] = "999" }),
		variant("other-name", func(s *corev1.Secret) { s.Annotations["kubernetes.io/service-account.name"] = "x" }),
		variant("opaque", func(s *corev1.Secret) { s.Type = "Opaque" }),
		variant("deleting", func(s *corev1.Secret) { s.DeletionTimestamp = &deletedAt }),
	}
	var got []string
	for _, s := range orphansOf(secrets, Key{Namespace: "ns", Name: "default", UID: "12345"}, "") {
		got = append(got, s.name)
	}
	if diff := cmp.Diff([]string{"same", "no-uid"}, got); diff != "" {
		t.Errorf("orphansOf() (-want +got):\n%s", diff)
	}
}

func refs(names ...string) []corev1.ObjectReference {
	r := []corev1.ObjectReference{}
	for _, n := range names {
		r = append(r, corev1.ObjectReference{Name: n})
	}
	return r
}

// CTL-65, CTL-70, CTL-89, SECURITY S3
func TestWithReferences(t *testing.T) {
	tests := []struct {
		name string
		have []string
		drop []string
		add  string
		want []string
	}{
		{name: "drop the only one", have: []string{"a"}, drop: []string{"a"}, want: []string{}},
		{name: "drop every entry of the name, keep the order", have: []string{"c", "a", "b", "a"}, drop: []string{"a"}, want: []string{"c", "b"}},
		{name: "append last", have: []string{"b", "a"}, add: "c", want: []string{"b", "a", "c"}},
		{name: "drop and append", have: []string{"b", "a"}, drop: []string{"b"}, add: "c", want: []string{"a", "c"}},
		{name: "already there", have: []string{"b", "a"}, add: "b", want: []string{"b", "a"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			account := goodAccount()
			account.Secrets = refs(tt.have...)
			account.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "a"}}
			before := account.DeepCopy()
			want := account.DeepCopy()
			want.Secrets = refs(tt.want...)
			if diff := cmp.Diff(want, withReferences(account, tt.drop, tt.add)); diff != "" {
				t.Errorf("withReferences() (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, account); diff != "" {
				t.Errorf("withReferences changed its argument (-before +after):\n%s", diff)
			}
		})
	}
}

// CTL-82, SECURITY C12
func TestLeftover(t *testing.T) {
	good := func() *corev1.Secret {
		s := goodSecret()
		s.Name = "default-token-x7k2q"
		return s
	}
	tests := []struct {
		name   string
		mutate func(*corev1.Secret)
		refs   []string
		want   bool
	}{
		{name: "good", want: true},
		{name: "listed", refs: []string{"default-token-x7k2q"}},
		{name: "manual name", mutate: func(s *corev1.Secret) { s.Name = "token-secret-1" }},
		{name: "no UID", mutate: noUID},
		{name: "other UID", mutate: func(s *corev1.Secret) { s.Annotations["kubernetes.io/service-account.uid"] = "9" }},
		{name: "other account", mutate: func(s *corev1.Secret) { s.Annotations["kubernetes.io/service-account.name"] = "x" }},
		{name: "opaque", mutate: func(s *corev1.Secret) { s.Type = "Opaque" }},
		{name: "being deleted", mutate: func(s *corev1.Secret) { s.DeletionTimestamp = &deletedAt }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			account, secret := goodAccount(), good()
			account.Secrets = refs(tt.refs...)
			if tt.mutate != nil {
				tt.mutate(secret)
			}
			if got := leftover(account, []*corev1.Secret{secret}) != nil; got != tt.want {
				t.Errorf("leftover() found it: %t, want %t", got, tt.want)
			}
		})
	}
}

// CST-19, CTL-87
func TestStableName(t *testing.T) {
	account := goodAccount()
	base := tokensecret.NameBase(account.Name)
	name := stableName(account, base, 0)
	if !tokensecret.IsGeneratedName("default", name) || !strings.HasPrefix(name, "default-token-") {
		t.Errorf("stableName() = %q, want default-token- and five letters of the alphabet", name)
	}
	if again := stableName(goodAccount(), base, 0); again != name {
		t.Errorf("stableName() = %q, then %q, want the same for the same account", name, again)
	}
	seen := map[string]bool{name: true}
	for i := range 100 {
		account.ResourceVersion = fmt.Sprint(i + 2)
		next := stableName(account, base, 0)
		if seen[next] {
			t.Errorf("stableName() = %q for another resourceVersion too, want a new name", next)
		}
		seen[next] = true
	}
	if other := stableName(goodAccount(), base, 1); other == name {
		t.Errorf("stableName() = %q for attempt 1 too, want a new name", other)
	}
	long := strings.Repeat("x", 100)
	if got := stableName(account, tokensecret.NameBase(long), 0); len(got) != 63 || !tokensecret.IsGeneratedName(long, got) {
		t.Errorf("stableName() for a long account = %q, want 63 characters", got)
	}
}
