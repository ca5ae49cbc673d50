package tokensecret

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/internal/tokensecret/tokensecrettest"
)

var (
	deletedAt   = tokensecrettest.DeletedAt
	goodAccount = tokensecrettest.Account
	goodSecret  = tokensecrettest.Secret
	withUID     = tokensecrettest.AccountWithUID
	noUID       = tokensecrettest.WithoutUID
	refs        = tokensecrettest.References
)

// CTL-43, CTL-44, CTL-50, CTL-54, CTL-55, CTL-T6, CTL-T8, SECURITY C18
func TestLacking(t *testing.T) {
	tests := []struct {
		name    string
		secret  func(*corev1.Secret)
		account func(*corev1.ServiceAccount)
		noCA    bool
		rootCA  string
		want    Fill
	}{
		{name: "complete"},
		{name: "no data", secret: func(s *corev1.Secret) { s.Data = nil }, want: Fill{CA: true, Namespace: true, Token: true}},
		{name: "no token", secret: func(s *corev1.Secret) { delete(s.Data, "token") }, want: Fill{Token: true}},
		{name: "empty token", secret: func(s *corev1.Secret) { s.Data["token"] = []byte{} }, want: Fill{Token: true}},
		{name: "token of somebody else", secret: func(s *corev1.Secret) { s.Data["token"] = []byte("garbage") }},
		{name: "no CA", secret: func(s *corev1.Secret) { delete(s.Data, "ca.crt") }, want: Fill{CA: true}},
		{name: "another CA", secret: func(s *corev1.Secret) { s.Data["ca.crt"] = []byte("mismatched") }, want: Fill{CA: true}},
		{name: "no CA and none configured", secret: func(s *corev1.Secret) { delete(s.Data, "ca.crt") }, noCA: true},
		{name: "another CA and none configured", secret: func(s *corev1.Secret) { s.Data["ca.crt"] = []byte("mismatched") }, noCA: true},
		{name: "a CA of one byte", secret: func(s *corev1.Secret) { delete(s.Data, "ca.crt") }, rootCA: "x", want: Fill{CA: true}},
		{name: "no namespace", secret: func(s *corev1.Secret) { delete(s.Data, "namespace") }, want: Fill{Namespace: true}},
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
			if tt.rootCA != "" {
				rootCA = []byte(tt.rootCA)
			}
			if tt.noCA {
				rootCA = nil
			}
			if got := Lacking(secret, account, rootCA); got != tt.want {
				t.Errorf("Lacking() = %+v, want %+v", got, tt.want)
			}
		})
	}
}

// CTL-49, SECURITY S3, S9
func TestFilled(t *testing.T) {
	bare := goodSecret()
	bare.Data, bare.Annotations = nil, nil
	before := bare.DeepCopy()
	got := Filled(bare, goodAccount(), Fill{CA: true, Namespace: true, Token: true}, []byte("CA Data"), "ABC")
	want := goodSecret()
	delete(want.Data, "extra")
	delete(want.Annotations, "team")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("a bare Secret is filled to (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, bare); diff != "" {
		t.Errorf("Filled changed its argument (-before +after):\n%s", diff)
	}

	mismatch := goodSecret()
	mismatch.Data["ca.crt"] = []byte("mismatched")
	mismatch.Data["namespace"] = []byte("custom")
	mismatch.Annotations["kubernetes.io/service-account.uid"] = ""
	got = Filled(mismatch, goodAccount(), Fill{CA: true}, []byte("CA Data"), "")
	want = goodSecret()
	want.Data["namespace"] = []byte("custom")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("a Secret with another CA becomes (-want +got):\n%s", diff)
	}
}

// CTL-85
func TestNew(t *testing.T) {
	got := New(goodAccount(), "default-token-x7k2q", []byte("CA Data"), "ABC")
	want := goodSecret()
	want.ObjectMeta = metav1.ObjectMeta{
		Name: "default-token-x7k2q", Namespace: "ns",
		Annotations: map[string]string{"kubernetes.io/service-account.name": "default", "kubernetes.io/service-account.uid": "12345"},
	}
	delete(want.Data, "extra")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("New() (-want +got):\n%s", diff)
	}
	if got := New(goodAccount(), "n", []byte("x"), "ABC").Data["ca.crt"]; string(got) != "x" {
		t.Errorf("New() with a root CA of one byte has ca.crt %q", got)
	}
	if _, ok := New(goodAccount(), "n", nil, "ABC").Data["ca.crt"]; ok {
		t.Error("New() without a root CA has ca.crt, want none")
	}
}

// CTL-22, CTL-23, CTL-42, SECURITY C10
func TestOrphaned(t *testing.T) {
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
			if got := Orphaned(secret, tt.live); got != tt.want {
				t.Errorf("Orphaned() = %t, want %t", got, tt.want)
			}
		})
	}
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
			if diff := cmp.Diff(want, WithReferences(account, tt.drop, tt.add)); diff != "" {
				t.Errorf("WithReferences() (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, account); diff != "" {
				t.Errorf("WithReferences changed its argument (-before +after):\n%s", diff)
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
			if got := Leftover(account, []*corev1.Secret{secret}) != nil; got != tt.want {
				t.Errorf("Leftover() found it: %t, want %t", got, tt.want)
			}
		})
	}
}

// CST-19, CTL-87
// What is left over by several attempts, in whatever order it is listed: the first
// by name, and none that the account lists.
func TestLeftoverOfSeveral(t *testing.T) {
	account := goodAccount()
	secrets := map[string]*corev1.Secret{}
	for _, suffix := range []string{"bbbbb", "ccccc", "ddddd"} {
		secrets[suffix] = goodSecret()
		secrets[suffix].Name = "default-token-" + suffix
	}
	for _, order := range [][]string{{"bbbbb", "ccccc", "ddddd"}, {"ddddd", "ccccc", "bbbbb"}, {"ccccc", "bbbbb", "ddddd"}} {
		var list []*corev1.Secret
		for _, suffix := range order {
			list = append(list, secrets[suffix])
		}
		if got := Leftover(account, list); got != secrets["bbbbb"] {
			t.Errorf("Leftover() of %q = %s, want the first by name", order, got.Name)
		}
	}
	other := goodAccount()
	other.UID = "another"
	for name, tt := range map[string]struct {
		account *corev1.ServiceAccount
		listed  string
		want    bool
	}{
		"unlisted":               {account, "", true},
		"listed":                 {account, "default-token-bbbbb", false},
		"another one is listed":  {account, "default-token-ccccc", true},
		"of an account that was": {other, "", false},
	} {
		a := tt.account.DeepCopy()
		if tt.listed != "" {
			a.Secrets = refs(tt.listed)
		}
		if got := IsLeftover(a, secrets["bbbbb"]); got != tt.want {
			t.Errorf("%s: IsLeftover() = %t, want %t", name, got, tt.want)
		}
	}
}

func TestDataSize(t *testing.T) {
	secret := &corev1.Secret{}
	if got := DataSize(secret); got != 0 {
		t.Errorf("DataSize() of nothing = %d", got)
	}
	secret.Data = map[string][]byte{"a": []byte("12"), "b": nil, "longer name": []byte("345")}
	if got := DataSize(secret); got != 5 {
		t.Errorf("DataSize() = %d, want 5", got)
	}
}

func TestStableName(t *testing.T) {
	account := goodAccount()
	base := NameBase(account.Name)
	name := StableName(account, base, 0)
	if !IsGeneratedName("default", name) || !strings.HasPrefix(name, "default-token-") {
		t.Errorf("StableName() = %q, want default-token- and five letters of the alphabet", name)
	}
	if again := StableName(goodAccount(), base, 0); again != name {
		t.Errorf("StableName() = %q, then %q, want the same for the same account", name, again)
	}
	seen := map[string]bool{name: true}
	for i := range 100 {
		account.ResourceVersion = fmt.Sprint(i + 2)
		next := StableName(account, base, 0)
		if seen[next] {
			t.Errorf("StableName() = %q for another resourceVersion too, want a new name", next)
		}
		seen[next] = true
	}
	if other := StableName(goodAccount(), base, 1); other == name {
		t.Errorf("StableName() = %q for attempt 1 too, want a new name", other)
	}
	long := strings.Repeat("x", 100)
	if got := StableName(account, NameBase(long), 0); len(got) != 63 || !IsGeneratedName(long, got) {
		t.Errorf("StableName() for a long account = %q, want 63 characters", got)
	}
}
