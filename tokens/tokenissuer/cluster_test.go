package tokenissuer_test

import (
	"context"
	"strings"
	"testing"

	"github.com/kubesa/serviceaccount/tenant"
	"github.com/kubesa/serviceaccount/tokens/internal/tokentest"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
)

// The claims are those that kcp's fork of Kubernetes writes, and where it writes them.
func TestClusterClaimIsIssued(t *testing.T) {
	w := tokentest.NewWorld()
	issuer := tokentest.NewIssuer(t, func(cfg *tokenissuer.Config) { cfg.ClusterClaim = "clusterName" })
	account, pod := w.Accounts["ci/builder"], w.Pods["ci/job"]
	token, err := issuer.Issue(tenant.NewContext(t.Context(), "root:org"), tokenissuer.Request{ServiceAccount: account, Audiences: []string{"api"}, Pod: pod})
	if err != nil {
		t.Fatal(err)
	}
	legacy, err := issuer.IssueLegacy(tenant.NewContext(t.Context(), "root:org"), account, w.Secrets["ci/builder-token"])
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		token.Value: `"kubernetes.io":{"clusterName":"root:org","namespace":"ci",`,
		legacy:      `{"iss":"kubernetes/serviceaccount","kubernetes.io/serviceaccount/clusterName":"root:org","kubernetes.io/serviceaccount/namespace":"ci",`,
	} {
		if got := part(t, text, 1); !strings.Contains(got, want) {
			t.Errorf("payload %s, want it to contain %s", got, want)
		}
	}
	for _, ctx := range []context.Context{t.Context(), tenant.NewContext(t.Context(), "\xff")} {
		if _, err := issuer.Issue(ctx, tokenissuer.Request{ServiceAccount: account, Audiences: []string{"api"}}); err == nil || !strings.Contains(err.Error(), "Config.ClusterClaim: the context names no cluster") {
			t.Errorf("Issue() without a cluster = %v, want a RequestError", err)
		}
		if _, err := issuer.IssueLegacy(ctx, account, w.Secrets["ci/builder-token"]); err == nil || !strings.Contains(err.Error(), "the context names no cluster") {
			t.Errorf("IssueLegacy() without a cluster = %v, want a RequestError", err)
		}
	}
}

// Members are in byte order wherever the claim's name belongs (TOK-2).
func TestClusterClaimOrder(t *testing.T) {
	for name, want := range map[string]string{
		"a":        `"kubernetes.io":{"a":"c","namespace"`,
		"clusterB": `"kubernetes.io":{"clusterB":"c","namespace"`,
		"oz":       `"node":{"name":"worker","uid":"uid-of-worker"},"oz":"c","pod"`,
		"zz":       `"uid":"uid-of-builder"},"warnafter":1767272407,"zz":"c"},`,
	} {
		issuer := tokentest.NewIssuer(t, func(cfg *tokenissuer.Config) {
			cfg.ClusterClaim = name
		})
		w := tokentest.NewWorld()
		token, err := issuer.Issue(tenant.NewContext(t.Context(), "c"), tokenissuer.Request{
			ServiceAccount: w.Accounts["ci/builder"], Audiences: []string{"api"}, Pod: w.Pods["ci/job"], Node: w.Nodes["worker"], WarnAfter: 3607e9,
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := part(t, token.Value, 1); !strings.Contains(got, want) {
			t.Errorf("%s: payload %s, want it to contain %s", name, got, want)
		}
	}
}
