package tokensecret_test

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/internal/tokensecret"
)

func goodAccount() *corev1.ServiceAccount {
	return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder", UID: "uid-1"}}
}

func goodSecret() *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder-token", Annotations: map[string]string{
			"kubernetes.io/service-account.name": "builder",
			"kubernetes.io/service-account.uid":  "uid-1",
		}},
		Type: "kubernetes.io/service-account-token",
	}
}

// CST-7, CST-8, TOK-85
func TestOwnership(t *testing.T) {
	tests := []struct {
		name      string
		secret    func(*corev1.Secret)
		account   func(*corev1.ServiceAccount)
		belongs   bool
		owner     string
		uid       string
		noSecret  bool
		noAccount bool
	}{
		{name: "good", belongs: true, owner: "builder", uid: "uid-1"},
		{name: "no UID", secret: func(s *corev1.Secret) { delete(s.Annotations, "kubernetes.io/service-account.uid") }, belongs: true, owner: "builder"},
		{name: "empty UID", secret: func(s *corev1.Secret) { s.Annotations["kubernetes.io/service-account.uid"] = "" }, belongs: true, owner: "builder"},
		{name: "account created again", account: func(a *corev1.ServiceAccount) { a.UID = "uid-2" }, owner: "builder", uid: "uid-1"},
		{name: "another account", account: func(a *corev1.ServiceAccount) { a.Name = "deployer" }, owner: "builder", uid: "uid-1"},
		{name: "another namespace", secret: func(s *corev1.Secret) { s.Namespace = "kube-system" }, owner: "builder", uid: "uid-1"},
		{name: "another type", secret: func(s *corev1.Secret) { s.Type = "Opaque" }},
		{name: "no annotations", secret: func(s *corev1.Secret) { s.Annotations = nil }},
		{name: "no Secret", noSecret: true},
		{name: "no account", noAccount: true, owner: "builder", uid: "uid-1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			secret, account := goodSecret(), goodAccount()
			if tt.secret != nil {
				tt.secret(secret)
			}
			if tt.account != nil {
				tt.account(account)
			}
			if tt.noSecret {
				secret = nil
			}
			if tt.noAccount {
				account = nil
			}
			if got := tokensecret.BelongsTo(secret, account); got != tt.belongs {
				t.Errorf("BelongsTo() = %t, want %t", got, tt.belongs)
			}
			if name, uid := tokensecret.Owner(secret); name != tt.owner || string(uid) != tt.uid {
				t.Errorf("Owner() = %q, %q, want %q, %q", name, uid, tt.owner, tt.uid)
			}
			if got, want := tokensecret.Is(secret), !tt.noSecret && secret.Type != "Opaque"; got != want {
				t.Errorf("Is() = %t, want %t", got, want)
			}
		})
	}
}

func TestListed(t *testing.T) {
	account := goodAccount()
	account.Secrets = []corev1.ObjectReference{{Name: "a"}, {Name: "b"}}
	account.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "c"}}
	if !tokensecret.Listed(account, "b") || tokensecret.Listed(account, "c") || tokensecret.Listed(account, "") || tokensecret.Listed(nil, "a") {
		t.Error("Listed() isn't whether the account's secrets have the name")
	}
}

// CST-10
func TestDays(t *testing.T) {
	late := time.Date(2026, 1, 1, 23, 30, 0, 0, time.FixedZone("", -3600))
	day := tokensecret.FormatDay(late)
	if day != "2026-01-02" {
		t.Errorf("FormatDay() = %s, want the day in UTC", day)
	}
	if got, err := tokensecret.ParseDay(day); err != nil || !got.Equal(time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("ParseDay() = %v, %v", got, err)
	}
	for s, want := range map[string]bool{"2026-01-02": true, "2026-01-02T00:00:00Z": false, "2026-1-2": false, "2026-02-30": false, "": false} {
		if got := tokensecret.IsDay(s); got != want {
			t.Errorf("IsDay(%q) = %t, want %t", s, got, want)
		}
	}
}

// CLN-12, CLN-29
func TestLabelPatch(t *testing.T) {
	got := string(tokensecret.LabelPatch("ci", "builder-token", "uid", tokensecret.InvalidSinceLabel, "2024-12-31"))
	want := `{"kind":"Secret","apiVersion":"v1","metadata":{"name":"builder-token","namespace":"ci","uid":"uid","labels":{"kubernetes.io/legacy-token-invalid-since":"2024-12-31"}}}`
	if got != want {
		t.Errorf("LabelPatch() = %s, want %s", got, want)
	}
}

// CST-19
func TestGeneratedName(t *testing.T) {
	for x, want := range map[uint64]string{0: "v-bbbbb", 1: "v-cbbbb", 26: "v-9bbbb", 27: "v-bcbbb", 14348906: "v-99999", 14348907: "v-bbbbb"} {
		if got := tokensecret.GeneratedName("v-", x); got != want {
			t.Errorf("GeneratedName(v-, %d) = %q, want %q", x, got, want)
		}
	}
	long := strings.Repeat("x", 58)
	if got := tokensecret.GeneratedName(long+"yz", 0); got != long+"bbbbb" {
		t.Errorf("GeneratedName() of a long base = %q, want it cut to 58 bytes", got)
	}
	for _, account := range []string{"default", strings.Repeat("a", 51), strings.Repeat("a", 200)} {
		if got := tokensecret.GeneratedName(tokensecret.NameBase(account), 12345); !tokensecret.IsGeneratedName(account, got) || len(got) > 63 {
			t.Errorf("GeneratedName() for account %.60q = %q, want a name that IsGeneratedName accepts", account, got)
		}
	}
}

// CST-19
func TestIsGeneratedName(t *testing.T) {
	for name, want := range map[string]bool{
		"default-token-x7k2q":  true,
		"default-token-x7k2":   false,
		"default-token-x7k2qq": false,
		"default-token-a7k2q":  false, // a vowel
		"default-token-x1k2q":  false, // a digit that looks like a letter
		"default-token-":       false,
		"other-token-x7k2q":    false,
		"x7k2q":                false,
		"":                     false,
	} {
		if got := tokensecret.IsGeneratedName("default", name); got != want {
			t.Errorf("IsGeneratedName(default, %q) = %t, want %t", name, got, want)
		}
	}
}

// CST-19
func TestGeneratedFor(t *testing.T) {
	long := strings.Repeat("a", 51) // with "-token-" and the suffix: 63
	for name, want := range map[string]string{
		"default-token-bcdfg":             "default",
		"a-token-b-token-bcdfg":           "a-token-b",
		long + "-token-bcdfg":             long,
		long + "a-tokenbcdfg":             "", // cut
		long + "a-token-bcdfg":            "", // too long to be generated
		"default-token-bcdfgh":            "",
		"default-token-abcde":             "", // not of the alphabet
		"default-tokens-bcdfg":            "",
		"default-token-":                  "",
		"bcdfg":                           "",
		"":                                "",
		strings.Repeat("bcdfg", 100_000):  "",
		strings.Repeat("-token-", 10_000): "",
	} {
		if got := tokensecret.GeneratedFor(name); got != want {
			t.Errorf("GeneratedFor(%.80q) = %q, want %q", name, got, want)
		}
	}
}
