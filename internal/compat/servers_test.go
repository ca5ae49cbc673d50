package compat

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditinternal "k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	tokenunion "k8s.io/apiserver/pkg/authentication/token/union"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy"

	"github.com/kubesa/serviceaccount/apiserver"
)

// A serverAnswer is what a server makes of a token, and what it tells about it.
type serverAnswer struct {
	OK, Failed  bool
	Response    *authenticator.Response
	Annotations map[string]string // of the audit event
	Warnings    []string
}

// AddWarning implements warning.Recorder.
func (a *serverAnswer) AddWarning(_, text string) { a.Warnings = append(a.Warnings, text) }

// askWithAudit calls authenticate in the context of a request that is audited.
func askWithAudit(t *testing.T, c *tokenCase, authenticate func(context.Context) (*authenticator.Response, bool, error)) *serverAnswer {
	t.Helper()
	var a serverAnswer
	ctx := audit.WithAuditContext(warning.WithWarningRecorder(t.Context(), &a))
	if err := audit.AuditContextFrom(ctx).Init(audit.RequestAuditConfig{Level: auditinternal.LevelMetadata}, nil); err != nil {
		t.Fatal(err)
	}
	if c.requested != nil {
		ctx = authenticator.WithAudiences(ctx, c.requested)
	}
	response, ok, err := authenticate(ctx)
	a.Response, a.OK, a.Failed = response, ok, err != nil
	a.Annotations = audit.AuditContextFrom(ctx).GetEventAnnotations()
	return &a
}

// requestWith returns a request with nothing but a token.
func requestWith(ctx context.Context, token string) *http.Request {
	r := (&http.Request{Header: http.Header{}}).WithContext(ctx)
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// SRV-1, SRV-3, SRV-4, SRV-6, SRV-7, SRV-11, SRV-13..15: a server gives the answers of
// kube-apiserver with our authenticators, and audits the same.
func TestServerAuthenticators(t *testing.T) {
	klog.LogToStderr(false) // upstream logs what it refuses
	klog.SetOutput(io.Discard)
	at := func(c *tokenCase, seconds int) string { return fmt.Sprint(c.now.Unix() + int64(seconds)) }
	private := func(name, value string) string {
		o := object{{"namespace", quote("team")}, {"serviceaccount", `{"name":"builder","uid":"account-uid"}`}}
		o.set(name, value)
		return o.String()
	}
	legacy := func(c *tokenCase) { c.legacy = true; c.legacyClaims() }
	for _, tt := range []struct {
		name        string
		mutate      func(*tokenCase) // of claims and objects
		damage      func(string) string
		ok          bool
		failed      bool
		annotations int // how many there are
		warnings    int
	}{
		{name: "valid", ok: true},
		{name: "audience asked for", mutate: func(c *tokenCase) { c.requested = []string{"x", "api"} }, ok: true},
		{name: "other audience asked for", mutate: func(c *tokenCase) { c.requested = []string{"x"} }, failed: true},
		{name: "for another audience", mutate: func(c *tokenCase) { c.payload.set("aud", `["vault"]`) }, failed: true},
		{name: "for another audience, asked for", mutate: func(c *tokenCase) { c.payload.set("aud", `["vault","api"]`); c.requested = []string{"vault"} }, ok: true},
		{name: "expired", mutate: func(c *tokenCase) { c.payload.set("exp", at(c, -3600)) }, failed: true},
		{name: "not yet valid", mutate: func(c *tokenCase) { c.payload.set("nbf", at(c, 3600)) }, failed: true},
		{name: "stale", mutate: func(c *tokenCase) { c.payload.set("kubernetes.io", private("warnafter", at(c, -5))) }, ok: true, annotations: 1},
		{name: "not stale", mutate: func(c *tokenCase) { c.payload.set("kubernetes.io", private("warnafter", at(c, 5))) }, ok: true},
		{name: "bound to a pod", mutate: func(c *tokenCase) { c.payload.set("kubernetes.io", private("pod", `{"name":"web","uid":"pod-uid"}`)) }, ok: true},
		{name: "deleted pod", mutate: func(c *tokenCase) {
			c.payload.set("kubernetes.io", private("pod", `{"name":"web","uid":"pod-uid"}`))
			c.pod.missing = true
		}, failed: true},
		{name: "deleted account", mutate: func(c *tokenCase) { c.account.missing = true }, failed: true},
		{name: "re-created account", mutate: func(c *tokenCase) { c.account.uid = "another" }, failed: true},
		{name: "account that is being deleted", mutate: func(c *tokenCase) { c.account.deleted = new(metav1.NewTime(c.now.Add(-time.Hour))) }, failed: true},
		{name: "lookup fails", mutate: func(c *tokenCase) { c.account.err = context.DeadlineExceeded }, failed: true},
		{name: "unknown issuer", mutate: func(c *tokenCase) { c.payload.set("iss", quote("https://other.example")) }},
		{name: "unknown key", mutate: func(c *tokenCase) { c.header.set("kid", quote("unknown")) }, failed: true},
		{name: "bad signature", damage: func(token string) string { return token[:len(token)-8] + "AAAAAAAA" }, failed: true},
		{name: "garbage", damage: func(string) string { return "nonsense" }},
		{name: "three parts of garbage", damage: func(string) string { return "a.b.c" }},
		{name: "legacy", mutate: legacy, ok: true, annotations: 2},
		{name: "legacy, generated", mutate: func(c *tokenCase) { legacy(c); c.listed = true }, ok: true, annotations: 2, warnings: 1},
		{name: "legacy, for another audience", mutate: func(c *tokenCase) { legacy(c); c.requested = []string{"vault"} }, failed: true, annotations: 1},
		{name: "legacy, Secret deleted", mutate: func(c *tokenCase) { legacy(c); c.secret.missing = true }, failed: true, annotations: 1},
		{name: "legacy, account deleted", mutate: func(c *tokenCase) { legacy(c); c.account.missing = true }, failed: true, annotations: 1},
		{name: "legacy, marked invalid", mutate: func(c *tokenCase) {
			legacy(c)
			c.listed, c.secretLabels = true, map[string]string{"kubernetes.io/legacy-token-invalid-since": "2024-01-01"}
		}, failed: true, annotations: 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // upstream's clock can't be set: it stands still
				key := tokenKeys()[0]
				good := state{uid: "account-uid"}
				c := &tokenCase{now: time.Now(), secretType: corev1.SecretTypeServiceAccountToken, account: good, secret: state{uid: "secret-uid"}, pod: state{uid: "pod-uid"}, node: state{uid: "node-uid"}}
				c.header = object{{"alg", quote(key.alg)}, {"kid", quote(key.id)}}
				c.payload = object{
					{"aud", `["api"]`}, {"exp", at(c, 600)}, {"iat", at(c, -10)}, {"iss", quote(testIssuer)}, {"jti", quote("0a1b2c")},
					{"kubernetes.io", object{{"namespace", quote("team")}, {"serviceaccount", `{"name":"builder","uid":"account-uid"}`}}.String()},
					{"nbf", at(c, -10)}, {"sub", quote(goodUsername)},
				}
				if tt.mutate != nil {
					tt.mutate(c)
				}
				text := encode([]byte(c.header.String())) + "." + encode([]byte(c.payload.String()))
				c.token = text + "." + encode(key.sign(key.alg, text))
				c.secretToken = c.token
				if tt.damage != nil {
					c.token = tt.damage(c.token)
				}
				both := newBothAuthenticators()
				both.current = c
				upstream := tokenunion.New(both.union...)
				ours := must(apiserver.NewTokenAuthenticator(both.ours))
				for _, pair := range []struct {
					name           string
					upstream, ours func(context.Context) (*authenticator.Response, bool, error)
				}{
					{"token",
						func(ctx context.Context) (*authenticator.Response, bool, error) {
							return upstream.AuthenticateToken(ctx, c.token)
						},
						func(ctx context.Context) (*authenticator.Response, bool, error) {
							return ours.AuthenticateToken(ctx, c.token)
						}},
					{"request",
						func(ctx context.Context) (*authenticator.Response, bool, error) {
							return bearertoken.New(upstream).AuthenticateRequest(requestWith(ctx, c.token))
						},
						func(ctx context.Context) (*authenticator.Response, bool, error) {
							return apiserver.NewBearerAuthenticator(ours).AuthenticateRequest(requestWith(ctx, c.token))
						}},
				} {
					want, got := askWithAudit(t, c, pair.upstream), askWithAudit(t, c, pair.ours)
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("%s: upstream and we differ (-upstream +ours):\n%s", pair.name, diff)
					}
					failed := tt.failed || pair.name == "request" && !tt.ok
					if got.OK != tt.ok || got.Failed != failed || len(got.Annotations) != tt.annotations || len(got.Warnings) != tt.warnings {
						t.Errorf("%s: got %+v", pair.name, got)
					}
				}
			})
		})
	}
}

// SRV-32: our roles and bindings are those that kube-apiserver starts with.
func TestBootstrapRoles(t *testing.T) {
	rules := cmp.Transformer("rules", func(rules []rbacv1.PolicyRule) []string { // in any order
		var texts []string
		for _, r := range rules {
			slices.Sort(r.Resources)
			slices.Sort(r.NonResourceURLs)
			texts = append(texts, r.String())
		}
		slices.Sort(texts)
		return texts
	})
	upstream := map[string]rbacv1.ClusterRole{}
	for _, role := range bootstrappolicy.ClusterRoles() {
		upstream[role.Name] = role
	}
	var names []string
	for _, role := range apiserver.ClusterRoles() {
		names = append(names, role.Name)
		if diff := cmp.Diff(upstream[role.Name], role, rules); diff != "" {
			t.Errorf("%s (-upstream +ours):\n%s", role.Name, diff)
		}
	}
	var want []rbacv1.ClusterRoleBinding
	for _, binding := range bootstrappolicy.ClusterRoleBindings() {
		if slices.Contains(names, binding.RoleRef.Name) {
			want = append(want, binding)
		}
	}
	got := apiserver.ClusterRoleBindings()
	byName := func(a, b rbacv1.ClusterRoleBinding) int { return strings.Compare(a.Name, b.Name) }
	slices.SortFunc(want, byName)
	slices.SortFunc(got, byName)
	if diff := cmp.Diff(want, got); diff != "" || len(got) == 0 {
		t.Errorf("bindings (-upstream +ours):\n%s", diff)
	}
}
