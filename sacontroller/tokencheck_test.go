package sacontroller_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/internal/satest"
)

// stubCheck accepts the tokens of stubIssuer that were signed with one of keys.
func stubCheck(keys ...string) sacontroller.TokenCheck {
	return func(_ context.Context, account *corev1.ServiceAccount, secret *corev1.Secret) (string, error) {
		got := string(secret.Data["token"])
		for _, k := range keys {
			if got == stubToken(k, account, secret) {
				return "", nil
			}
		}
		if strings.HasPrefix(got, "tokenOLD(") {
			return "signed by a key that is to be retired", nil
		}
		return "not a token of this account and Secret", nil
	}
}

func checking(replace bool, check sacontroller.TokenCheck) func(*sacontroller.TokensConfig) {
	return func(cfg *sacontroller.TokensConfig) {
		cfg.Issuer, cfg.CheckToken, cfg.ReplaceInvalid = &stubIssuer{key: "NEW"}, check, replace
	}
}

// invalidWorld holds one Secret of each kind that a check can meet.
func invalidWorld() *fake.Cluster {
	variant := func(name string, mutate func(*corev1.Secret)) *corev1.Secret {
		return satest.TokenWith(func(s *corev1.Secret) {
			s.Name, s.UID = name, *satest.UID(name)
			s.Data["token"] = []byte(stubToken("NEW", satest.Account(), s))
			if mutate != nil {
				mutate(s)
			}
		})
	}
	return fake.New(satest.Account(), satest.Opaque(),
		variant("good", nil),
		variant("old", func(s *corev1.Secret) { s.Data["token"] = []byte(stubToken("OLD", satest.Account(), s)) }),
		variant("garbage", func(s *corev1.Secret) { s.Data["token"] = []byte("garbage") }),
		variant("another-uid", func(s *corev1.Secret) { s.Data["token"] = []byte(stubToken("NEW", again(satest.Account()), s)) }),
		variant("another-secret", func(s *corev1.Secret) { s.Data["token"] = []byte(stubToken("NEW", satest.Account(), satest.Opaque())) }),
		variant("deleting", func(s *corev1.Secret) {
			s.Data["token"] = []byte("garbage")
			s.DeletionTimestamp, s.Finalizers = &metav1.Time{Time: fake.Epoch}, []string{"a/b"}
		}),
		variant("orphan", func(s *corev1.Secret) {
			s.Annotations[corev1.ServiceAccountUIDKey] = "gone"
			s.Data["token"] = []byte("garbage")
		}),
		variant("empty", func(s *corev1.Secret) { delete(s.Data, "token") }),
	)
}

func TestInvalidTokens(t *testing.T) {
	const notOurs = "not a token of this account and Secret"
	want := []sacontroller.InvalidToken{
		{Namespace: "ns", Name: "another-secret", ServiceAccountName: "default", Problem: notOurs},
		{Namespace: "ns", Name: "another-uid", ServiceAccountName: "default", Problem: notOurs},
		{Namespace: "ns", Name: "garbage", ServiceAccountName: "default", Problem: notOurs},
		{Namespace: "ns", Name: "old", ServiceAccountName: "default", Problem: "signed by a key that is to be retired"},
	}
	cluster := invalidWorld()
	c := newTokens(t, cluster, checking(false, stubCheck("NEW")), func(cfg *sacontroller.TokensConfig) { cfg.Reader = backwards{cluster.Reader()} })
	got, err := c.InvalidTokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	satest.Diff(t, "InvalidTokens()", want, got)
	if n := len(cluster.Writes()); n != 0 {
		t.Errorf("InvalidTokens() made %d writes, want none", n)
	}
	satest.Settle(t, cluster, c)
	got, err = c.InvalidTokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	satest.Diff(t, "InvalidTokens() after a Settle without ReplaceInvalid", want, got)

	replacing := newTokens(t, cluster, checking(true, stubCheck("NEW")))
	cluster.ClearActions()
	satest.Settle(t, cluster, replacing)
	satest.Diff(t, "writes of ReplaceInvalid", []string{
		"update secrets ns/another-secret", "update secrets ns/another-uid", "update secrets ns/garbage", "update secrets ns/old",
	}, writes(cluster))
	if got, err = replacing.InvalidTokens(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("InvalidTokens() after ReplaceInvalid = %v, %v, want none", got, err)
	}
}

// A key is retired while the controller runs.
func TestRecheck(t *testing.T) {
	retired := false
	old, after := stubCheck("OLD", "NEW"), stubCheck("NEW")
	cluster := fake.New(satest.Account(), satest.TokenWith(func(s *corev1.Secret) { s.Data["token"] = []byte(stubToken("OLD", satest.Account(), s)) }))
	c := newTokens(t, cluster, checking(true, func(ctx context.Context, a *corev1.ServiceAccount, s *corev1.Secret) (string, error) {
		if retired {
			return after(ctx, a, s)
		}
		return old(ctx, a, s)
	}))
	satest.Settle(t, cluster, c)
	satest.Diff(t, "writes before", []string(nil), writes(cluster))
	retired = true
	c.Recheck()
	<-c.Resync()
	cluster.Forget(c) // what a driver does for a resync
	satest.Settle(t, cluster, c)
	satest.Diff(t, "writes after", []string{updateSec}, writes(cluster))
}

// A check that fails, and one that accepts nothing, lead to no write and to no
// deletion.
func TestReplaceInvalidErrors(t *testing.T) {
	garbage := satest.TokenWith(func(s *corev1.Secret) { s.Data["token"] = []byte("garbage-token") })
	checks := map[string]sacontroller.TokenCheck{
		"checking the token of Secret ns/token-secret-1: no keys": func(context.Context, *corev1.ServiceAccount, *corev1.Secret) (string, error) {
			return "", errors.New("no keys")
		},
		"the new token of Secret ns/token-secret-1 is invalid too: ugly": func(context.Context, *corev1.ServiceAccount, *corev1.Secret) (string, error) {
			return "ugly", nil
		},
	}
	for want, check := range checks {
		cluster := fake.New(satest.Account(), garbage)
		c := newTokens(t, cluster, checking(true, check))
		_, err := c.Reconcile(t.Context(), secretKey)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Reconcile() = %v, want an error with %q", err, want)
		}
		if strings.Contains(err.Error(), "garbage-token") {
			t.Errorf("Reconcile() = %q, which shows the token", err)
		}
		satest.Diff(t, "calls", []string(nil), satest.Calls(cluster))
	}
}

func TestInvalidTokensErrors(t *testing.T) {
	cluster := invalidWorld()
	fails := func(context.Context, *corev1.ServiceAccount, *corev1.Secret) (string, error) {
		return "", errors.New("no keys")
	}
	broken := cluster.Reader()
	broken.Inject(fault.On("list", "secrets", satest.ErrBusy))
	noAccounts := cluster.Reader()
	noAccounts.Inject(fault.On("get", "serviceaccounts", satest.ErrBusy))
	tests := []struct {
		want   string
		mutate func(*sacontroller.TokensConfig)
	}{
		{want: "CheckToken is nil", mutate: func(*sacontroller.TokensConfig) {}},
		{want: "no keys", mutate: checking(false, fails)},
		{want: "want one with ListSecrets", mutate: func(cfg *sacontroller.TokensConfig) {
			cfg.CheckToken, cfg.Reader = fails, onlyTokensReader{cluster.Reader()}
		}},
		{want: "etcd is busy", mutate: func(cfg *sacontroller.TokensConfig) { cfg.CheckToken, cfg.Reader = stubCheck(), broken }},
		{want: "etcd is busy", mutate: func(cfg *sacontroller.TokensConfig) { cfg.CheckToken, cfg.Reader = stubCheck(), noAccounts }},
	}
	for _, tt := range tests {
		invalid, err := newTokens(t, cluster, tt.mutate).InvalidTokens(t.Context())
		if invalid != nil || err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("InvalidTokens() = %v, %v, want an error with %q", invalid, err, tt.want)
		}
	}
}

// backwards is a Reader that lists Secrets in the wrong order.
type backwards struct{ *fake.Reader }

func (b backwards) ListSecrets(ctx context.Context, namespace string) ([]*corev1.Secret, error) {
	secrets, err := b.Reader.ListSecrets(ctx, namespace)
	slices.Reverse(secrets)
	return secrets, err
}

// onlyTokensReader has what Reconcile needs, and nothing else.
type onlyTokensReader struct{ sacontroller.TokensReader }
