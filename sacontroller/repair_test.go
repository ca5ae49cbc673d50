package sacontroller_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/sacontroller"
)

// stubJudge likes the tokens of stubIssuer that were made with one of keys.
func stubJudge(keys ...string) sacontroller.TokenJudge {
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

func judged(repair bool, judge sacontroller.TokenJudge) func(*sacontroller.TokensConfig) {
	return func(cfg *sacontroller.TokensConfig) {
		cfg.Issuer, cfg.Judge, cfg.Repair = &stubIssuer{key: "NEW"}, judge, repair
	}
}

// staleWorld holds one Secret of each kind that a judge can meet.
func staleWorld() *fake.Cluster {
	variant := func(name string, mutate func(*corev1.Secret)) *corev1.Secret {
		return tokenWith(func(s *corev1.Secret) {
			s.Name, s.UID = name, *uid(name)
			s.Data["token"] = []byte(stubToken("NEW", account(), s))
			if mutate != nil {
				mutate(s)
			}
		})
	}
	return fake.New(account(), opaque(),
		variant("good", nil),
		variant("old", func(s *corev1.Secret) { s.Data["token"] = []byte(stubToken("OLD", account(), s)) }),
		variant("garbage", func(s *corev1.Secret) { s.Data["token"] = []byte("garbage") }),
		variant("another-uid", func(s *corev1.Secret) { s.Data["token"] = []byte(stubToken("NEW", again(account()), s)) }),
		variant("another-secret", func(s *corev1.Secret) { s.Data["token"] = []byte(stubToken("NEW", account(), opaque())) }),
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

func TestStaleAndRepair(t *testing.T) {
	const notOurs = "not a token of this account and Secret"
	want := []sacontroller.StaleToken{
		{Namespace: "ns", Name: "another-secret", ServiceAccountName: "default", Fault: notOurs},
		{Namespace: "ns", Name: "another-uid", ServiceAccountName: "default", Fault: notOurs},
		{Namespace: "ns", Name: "garbage", ServiceAccountName: "default", Fault: notOurs},
		{Namespace: "ns", Name: "old", ServiceAccountName: "default", Fault: "signed by a key that is to be retired"},
	}
	cluster := staleWorld()
	c := newTokens(t, cluster, judged(false, stubJudge("NEW")))
	got, err := c.Stale(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "Stale()", want, got)
	if n := len(cluster.Writes()); n != 0 {
		t.Errorf("Stale() made %d writes, want none", n)
	}
	settle(t, cluster, c)
	got, err = c.Stale(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "Stale() after a Settle without Repair", want, got)

	repairer := newTokens(t, cluster, judged(true, stubJudge("NEW")))
	cluster.ClearActions()
	settle(t, cluster, repairer)
	diff(t, "writes of Repair", []string{
		"update secrets ns/another-secret", "update secrets ns/another-uid", "update secrets ns/garbage", "update secrets ns/old",
	}, writes(cluster))
	if got, err = repairer.Stale(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("Stale() after Repair = %v, %v, want none", got, err)
	}
}

// A key is retired while the controller runs.
func TestRecheck(t *testing.T) {
	retired := false
	old, after := stubJudge("OLD", "NEW"), stubJudge("NEW")
	cluster := fake.New(account(), tokenWith(func(s *corev1.Secret) { s.Data["token"] = []byte(stubToken("OLD", account(), s)) }))
	c := newTokens(t, cluster, judged(true, func(ctx context.Context, a *corev1.ServiceAccount, s *corev1.Secret) (string, error) {
		if retired {
			return after(ctx, a, s)
		}
		return old(ctx, a, s)
	}))
	settle(t, cluster, c)
	diff(t, "writes before", []string(nil), writes(cluster))
	retired = true
	c.Recheck()
	<-c.Resync()
	cluster.Forget(c) // what a driver does for a resync
	settle(t, cluster, c)
	diff(t, "writes after", []string{updateSec}, writes(cluster))
}

// A judge that can't tell, and one that likes nothing, lead to no write and to no
// deletion.
func TestRepairErrors(t *testing.T) {
	garbage := tokenWith(func(s *corev1.Secret) { s.Data["token"] = []byte("garbage-token") })
	judges := map[string]sacontroller.TokenJudge{
		"judging the token of Secret ns/token-secret-1: no keys": func(context.Context, *corev1.ServiceAccount, *corev1.Secret) (string, error) {
			return "", errors.New("no keys")
		},
		"the new token of Secret ns/token-secret-1 is no better than the old one: ugly": func(context.Context, *corev1.ServiceAccount, *corev1.Secret) (string, error) {
			return "ugly", nil
		},
	}
	for want, judge := range judges {
		cluster := fake.New(account(), garbage)
		c := newTokens(t, cluster, judged(true, judge))
		_, err := c.Reconcile(t.Context(), secretKey)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Reconcile() = %v, want an error with %q", err, want)
		}
		if strings.Contains(err.Error(), "garbage-token") {
			t.Errorf("Reconcile() = %q, which shows the token", err)
		}
		diff(t, "calls", []string(nil), calls(cluster))
	}
}

func TestStaleErrors(t *testing.T) {
	cluster := staleWorld()
	fails := func(context.Context, *corev1.ServiceAccount, *corev1.Secret) (string, error) {
		return "", errors.New("no keys")
	}
	broken := cluster.Reader()
	broken.Inject(fake.On("list", "secrets", errBusy))
	noAccounts := cluster.Reader()
	noAccounts.Inject(fake.On("get", "serviceaccounts", errBusy))
	tests := []struct {
		want   string
		mutate func(*sacontroller.TokensConfig)
	}{
		{want: "Judge is nil", mutate: func(*sacontroller.TokensConfig) {}},
		{want: "no keys", mutate: judged(false, fails)},
		{want: "want one with ListSecrets", mutate: func(cfg *sacontroller.TokensConfig) {
			cfg.Judge, cfg.Reader = fails, onlyTokensReader{cluster.Reader()}
		}},
		{want: "etcd is busy", mutate: func(cfg *sacontroller.TokensConfig) { cfg.Judge, cfg.Reader = stubJudge(), broken }},
		{want: "etcd is busy", mutate: func(cfg *sacontroller.TokensConfig) { cfg.Judge, cfg.Reader = stubJudge(), noAccounts }},
	}
	for _, tt := range tests {
		stale, err := newTokens(t, cluster, tt.mutate).Stale(t.Context())
		if stale != nil || err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Stale() = %v, %v, want an error with %q", stale, err, tt.want)
		}
	}
}

// onlyTokensReader has what Reconcile needs, and nothing else.
type onlyTokensReader struct{ sacontroller.TokensReader }
