package tokens_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/tenant"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/internal/tokentest"
	"github.com/kubesa/serviceaccount/tokens/userinfo"
)

func kcpClaim() tokens.ClusterClaim {
	return tokens.ClusterClaim{Name: "clusterName", Extra: userinfo.ExtraClusterName}
}

func TestClusterClaimIsChecked(t *testing.T) {
	claims := func(cluster any) object {
		c := tokentest.BoundClaims()
		if cluster != nil {
			private(c)["clusterName"] = cluster
		}
		return c
	}
	legacy := func(name string, cluster any) object {
		c := tokentest.LegacyClaims()
		c[name] = cluster
		return c
	}
	const legacyName = "kubernetes.io/serviceaccount/clusterName"
	bothKinds := claims("a")
	bothKinds[legacyName] = "a"
	for _, tt := range []struct {
		name   string
		claims object
		in     string // the cluster of the context
		want   error
	}{
		{name: "its own cluster", claims: claims("a"), in: "a"},
		{name: "another cluster", claims: claims("a"), in: "b", want: &tokens.InvalidError{Reason: tokens.ReasonOtherCluster}},
		{name: "another case", claims: claims("a"), in: "A", want: &tokens.InvalidError{Reason: tokens.ReasonOtherCluster}},
		{name: "no claim", claims: claims(nil), in: "a", want: &tokens.InvalidError{Reason: tokens.ReasonMissingClaim, Subject: "clusterName"}},
		{name: "an empty claim", claims: claims(""), in: "a", want: &tokens.InvalidError{Reason: tokens.ReasonMissingClaim, Subject: "clusterName"}},
		{name: "no text", claims: claims([]string{"a"}), in: "a", want: &tokens.InvalidError{Reason: tokens.ReasonInvalidClaim, Subject: "clusterName"}},
		{name: "null", claims: claims(object(nil)), in: "a", want: &tokens.InvalidError{Reason: tokens.ReasonInvalidClaim, Subject: "clusterName"}},
		{name: "the claim of Secret-based tokens", claims: bothKinds, in: "a", want: &tokens.InvalidError{Reason: tokens.ReasonInvalidClaim, Subject: legacyName}},
		{name: "Secret-based", claims: legacy(legacyName, "a"), in: "a"},
		{name: "Secret-based of another cluster", claims: legacy(legacyName, "a"), in: "b", want: &tokens.InvalidError{Reason: tokens.ReasonOtherCluster}},
		{name: "Secret-based without the claim", claims: tokentest.LegacyClaims(), in: "a", want: &tokens.InvalidError{Reason: tokens.ReasonMissingClaim, Subject: "clusterName"}},
		{name: "Secret-based, no text", claims: legacy(legacyName, 1), in: "a", want: &tokens.InvalidError{Reason: tokens.ReasonInvalidClaim, Subject: "clusterName"}},
		{name: "Secret-based with the other claim", claims: legacy("clusterName", "a"), in: "a", want: &tokens.InvalidError{Reason: tokens.ReasonMissingClaim, Subject: "clusterName"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := tokentest.NewWorld()
			token := tokentest.Mint(t, ecKey, tt.claims)
			w.Secrets["ci/builder-token"].Data[corev1.ServiceAccountTokenKey] = []byte(token)
			var seen tokens.Event
			a := tokentest.NewAuthenticator(t, w, func(cfg *tokens.AuthenticatorConfig) {
				cfg.Cluster = kcpClaim()
				cfg.Observe = func(_ context.Context, e tokens.Event) { seen = e }
			})
			for range 2 { // the second time from the signature cache
				id, err := a.Authenticate(tenant.NewContext(t.Context(), tt.in), token)
				if diff := cmp.Diff(tt.want, err); diff != "" {
					t.Fatalf("Authenticate() error (-want +got):\n%s", diff)
				}
				if isOther(err) && !strings.Contains(seen.Detail, `the token is of the cluster "a"`) {
					t.Errorf("the detail is %q, want the cluster of the token", seen.Detail)
				}
				if err != nil {
					continue
				}
				if extra := id.UserInfo().Extra[userinfo.ExtraClusterName]; id.Cluster != tt.in || !cmp.Equal(extra, authenticationv1.ExtraValue{tt.in}) || seen.Cluster != tt.in {
					t.Errorf("cluster %q, extra %q, event %q, want %q", id.Cluster, extra, seen.Cluster, tt.in)
				}
				if _, err := a.Authenticate(tenant.NewContext(t.Context(), tt.in+"x"), token); !isOther(err) {
					t.Errorf("Authenticate() elsewhere = %v, want %s", err, tokens.ReasonOtherCluster)
				}
			}
			if _, err := a.Authenticate(t.Context(), tokentest.Mint(t, ecKey, claims("a"))); !isUnavailable(err) {
				t.Errorf("Authenticate() without a cluster = %v, want an UnavailableError", err)
			}
		})
	}
}

func isOther(err error) bool {
	e, ok := errors.AsType[*tokens.InvalidError](err)
	return ok && e.Reason == tokens.ReasonOtherCluster
}

func isUnavailable(err error) bool {
	_, ok := errors.AsType[*tokens.UnavailableError](err)
	return ok
}

// Claims that mean nothing without the configuration are ignored, as ever.
func TestClusterClaimIsUnknownByDefault(t *testing.T) {
	claims := tokentest.BoundClaims()
	private(claims)["clusterName"] = []int{1}
	id, err := tokentest.NewAuthenticator(t, tokentest.NewWorld(), nil).Authenticate(t.Context(), tokentest.Mint(t, ecKey, claims))
	if err != nil || id.Cluster != "" {
		t.Errorf("Authenticate() = %+v, %v, want an Identity without a cluster", id, err)
	}
}

func TestClusterClaimEnter(t *testing.T) {
	failure := errors.New("no connection")
	var looked, observed string
	var seen tokens.Event
	isForeign := func(err error) bool { return errors.Is(err, tokens.ErrNotRecognized) }
	for _, tt := range []struct {
		cluster string
		in      string
		check   func(error) bool
		reason  tokens.Reason
		detail  string // after "the token is of the cluster …: "
	}{
		{cluster: "a", in: "a", check: func(err error) bool { return err == nil }},
		{cluster: "refused", check: isOther, reason: tokens.ReasonOtherCluster, detail: "tokens: service account token is of another cluster"},
		{cluster: "refused, with more", check: isOther, reason: tokens.ReasonOtherCluster, detail: "no entry: tokens: service account token is of another cluster"},
		{cluster: "foreign", check: isForeign, reason: tokens.ReasonForeignIssuer, detail: "tokens: token is not recognized"},
		{cluster: "foreign, with more", check: isForeign, reason: tokens.ReasonForeignUser, detail: "no entry: tokens: token is not recognized"},
		{cluster: "down", check: func(err error) bool { return isUnavailable(err) && errors.Is(err, failure) }, reason: tokens.ReasonUnavailable,
			detail: "tokens: looking up the cluster: no connection"},
		{cluster: "nothing", check: isUnavailable, reason: tokens.ReasonUnavailable,
			detail: "tokens: looking up the cluster: ClusterClaim.Enter returned neither a context nor an error"},
	} {
		t.Run(tt.cluster, func(t *testing.T) {
			w := tokentest.NewWorld()
			looked, observed = "", ""
			a := tokentest.NewAuthenticator(t, w, func(cfg *tokens.AuthenticatorConfig) {
				cfg.ServiceAccounts = tokentest.AccountFunc(func(ctx context.Context) (*corev1.ServiceAccount, error) {
					looked = tenant.Of(ctx)
					return w.Accounts["ci/builder"], nil
				})
				cfg.Observe = func(ctx context.Context, e tokens.Event) { observed, seen = tenant.Of(ctx), e }
				cfg.Cluster = tokens.ClusterClaim{Name: "clusterName", Enter: func(ctx context.Context, cluster string) (context.Context, error) {
					switch cluster {
					case "refused":
						return nil, &tokens.InvalidError{Reason: tokens.ReasonOtherCluster}
					case "refused, with more":
						return nil, fmt.Errorf("no entry: %w", &tokens.InvalidError{Reason: tokens.ReasonOtherCluster})
					case "foreign":
						return nil, tokens.ErrNotRecognized
					case "foreign, with more":
						return nil, fmt.Errorf("no entry: %w", &tokens.NotRecognizedError{Reason: tokens.ReasonForeignUser})
					case "down":
						return nil, failure
					case "nothing":
						return nil, nil
					}
					return ctx, nil
				}}
			})
			claims := tokentest.BoundClaims()
			private(claims)["clusterName"] = tt.cluster
			_, err := a.Authenticate(t.Context(), tokentest.Mint(t, ecKey, claims))
			if !tt.check(err) || looked != tt.in || observed != tt.in {
				t.Errorf("Authenticate() = %v, looked up in %q, observed in %q, want %q", err, looked, observed, tt.in)
			}
			want := tokens.ResultAccepted
			switch {
			case isOther(err):
				want = tokens.ResultRejected
			case isForeign(err):
				want = tokens.ResultNotRecognized
			case err != nil:
				want = tokens.ResultUnavailable
			}
			if seen.Result != want || seen.Reason != tt.reason || isUnavailable(err) != (seen.Subject == "cluster") {
				t.Errorf("the event says %s, %q of %q, want %s, %q", seen.Result, seen.Reason, seen.Subject, want, tt.reason)
			}
			if detail := fmt.Sprintf("the token is of the cluster %q: %s", tt.cluster, tt.detail); tt.detail != "" && seen.Detail != detail {
				t.Errorf("the detail is %q, want %q", seen.Detail, detail)
			}
		})
	}
}

func TestClusterClaimConfig(t *testing.T) {
	for _, tt := range []struct {
		name  string
		claim tokens.ClusterClaim
		want  string // in the error, empty for none
	}{
		{name: "none"},
		{name: "kcp's", claim: kcpClaim()},
		{name: "a domain of one's own", claim: tokens.ClusterClaim{Name: "c", Extra: "example.org/cluster"}},
		{name: "only Enter", claim: tokens.ClusterClaim{Enter: func(ctx context.Context, _ string) (context.Context, error) { return ctx, nil }}, want: "Cluster.Name is empty"},
		{name: "only extra", claim: tokens.ClusterClaim{Extra: "example.org/cluster"}, want: "Cluster.Name is empty"},
		{name: "a claim of Kubernetes", claim: tokens.ClusterClaim{Name: "pod"}, want: "Cluster.Name is \"pod\", which has a meaning"},
		{name: "in another case", claim: tokens.ClusterClaim{Name: "NameSpace"}, want: "Cluster.Name is \"NameSpace\", which has a meaning"},
		{name: "a member of references in another case", claim: tokens.ClusterClaim{Name: "Name"}, want: "Cluster.Name is \"Name\", which has a meaning"},
		{name: "a registered claim in another case", claim: tokens.ClusterClaim{Name: "ISS"}, want: "which has a meaning"},
		{name: "with a character that folds", claim: tokens.ClusterClaim{Name: "\u212aind"}, want: "which has a meaning"},
		{name: "of Secret-based tokens", claim: tokens.ClusterClaim{Name: "secret.name"}, want: "which has a meaning"},
		{name: "no UTF-8", claim: tokens.ClusterClaim{Name: "\xff"}, want: "Cluster.Name is"},
		{name: "extra of Kubernetes", claim: tokens.ClusterClaim{Name: "c", Extra: userinfo.ExtraPodName}, want: "Cluster.Extra is"},
		{name: "extra without a domain", claim: tokens.ClusterClaim{Name: "c", Extra: "cluster"}, want: "Cluster.Extra is"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			authenticator := tokentest.AuthenticatorConfig(tokentest.NewWorld())
			authenticator.Cluster = tt.claim
			_, err := tokens.NewAuthenticator(authenticator)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
	authenticator := tokentest.AuthenticatorConfig(tokentest.NewWorld())
	authenticator.Cluster = tokens.ClusterClaim{Extra: "cluster"}
	if _, err := tokens.NewAuthenticator(authenticator); err == nil || strings.Contains(err.Error(), "Cluster.Extra") {
		t.Errorf("NewAuthenticator() = %v, want only the name to be missed", err)
	}
	authenticator.Cluster = tokens.ClusterClaim{Name: "c", Extra: "example.org/cluster"}
	authenticator.ExtraClaims = map[string]string{"x": "example.org/cluster"}
	if _, err := tokens.NewAuthenticator(authenticator); err == nil || !strings.Contains(err.Error(), "which ExtraClaims[x] has") {
		t.Errorf("NewAuthenticator() = %v, want one key for one claim", err)
	}
}

func TestPolicyClusters(t *testing.T) {
	check := must(tokens.Policy{Clusters: []string{"a"}}.Checker())
	if err := check(&tokens.Identity{Cluster: "a"}); err != nil {
		t.Error(err)
	}
	for _, cluster := range []string{"", "b"} {
		if diff := cmp.Diff(error(&tokens.InvalidError{Reason: tokens.ReasonPolicy, Subject: "cluster"}), check(&tokens.Identity{Cluster: cluster})); diff != "" {
			t.Errorf("check(%q) (-want +got):\n%s", cluster, diff)
		}
	}
	_, err := tokens.Policy{Clusters: []string{""}}.Checker()
	if mistake, ok := errors.AsType[*tokens.ConfigError](err); !ok || mistake.Field != "Clusters" {
		t.Errorf("Checker() = %v, want a ConfigError on Clusters", err)
	}
}

// What an API server of kcp reports survives the way to an Identity and back.
func TestClusterOfUserInfo(t *testing.T) {
	user := goodUser()
	user.Extra[userinfo.ExtraClusterName] = authenticationv1.ExtraValue{"root:org"}
	id, err := tokens.IdentityOf(user)
	if err != nil || id.Cluster != "root:org" {
		t.Fatalf("IdentityOf() = %+v, %v, want the cluster", id, err)
	}
	if diff := cmp.Diff(user.Extra, id.UserInfo().Extra); diff != "" {
		t.Errorf("extra (-want +got):\n%s", diff)
	}
	user.Extra[userinfo.ExtraClusterName] = authenticationv1.ExtraValue{"a", "b"}
	if _, err := tokens.IdentityOf(user); !cmp.Equal(err, error(&tokens.InvalidError{Reason: tokens.ReasonInvalidUser, Subject: userinfo.ExtraClusterName})) {
		t.Errorf("IdentityOf() = %v, want an InvalidError", err)
	}
}
