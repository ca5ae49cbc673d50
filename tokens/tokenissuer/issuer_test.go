package tokenissuer_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/internal/tokentest"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
)

func account() *corev1.ServiceAccount {
	return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "myns", Name: "mysvcacct", UID: "mysvcacct-uid"}}
}

func pod() *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "myns", Name: "mypod", UID: "mypod-uid"}}
}

func secret() *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "myns", Name: "mysecret", UID: "mysecret-uid"}}
}

func node() *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "mynode", UID: "mynode-uid"}}
}

// part decodes one part of a token.
func part(t *testing.T, token string, i int) string {
	t.Helper()
	return string(must(base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[i])))
}

// then is the time of the claims that were seen from Kubernetes.
var then = time.Unix(1514764800, 999_999_999) // TOK-5: sub-seconds are cut

func fixedIssuer(t *testing.T, change func(*tokenissuer.Config)) *tokenissuer.Issuer {
	t.Helper()
	return tokentest.NewIssuer(t, func(cfg *tokenissuer.Config) {
		cfg.Issuer = "https://iss"
		cfg.Now = func() time.Time { return then }
		cfg.NewID = func() string { return "fixed" }
		if change != nil {
			change(cfg)
		}
	})
}

// TOK-1..6, TOK-15..17, TOK-19, TOK-20
func TestIssueClaims(t *testing.T) {
	const start = `{"aud":["1"],"exp":1514768400,"iat":1514764800,"iss":"https://iss","jti":"fixed","kubernetes.io":{`
	const account1 = `"serviceaccount":{"name":"mysvcacct","uid":"mysvcacct-uid"}`
	const end = `},"nbf":1514764800,"sub":"system:serviceaccount:myns:mysvcacct"}`
	webhook := &metav1.ObjectMeta{Name: "mywebhook", UID: "mywebhook-uid"}
	attestations := map[string][]string{"other": {}, tokens.AttestedAPIGroups: {"apps", "*"}}

	tests := []struct {
		name   string
		change func(*tokenissuer.Request)
		want   string
	}{
		// TOK-T4, TOK-T9
		{"not bound", func(*tokenissuer.Request) {}, start + `"namespace":"myns",` + account1 + end},
		{"two audiences and a repetition", func(r *tokenissuer.Request) { r.Audiences = []string{"2", "1", "2"} },
			strings.Replace(start, `["1"]`, `["2","1"]`, 1) + `"namespace":"myns",` + account1 + end},
		// TOK-T2
		{"pod and lifetime", func(r *tokenissuer.Request) { r.Pod, r.Lifetime = pod(), 100*time.Second+1 },
			strings.Replace(start, "1514768400", "1514764900", 1) + `"namespace":"myns","pod":{"name":"mypod","uid":"mypod-uid"},` + account1 + end},
		// TOK-T3
		{"secret", func(r *tokenissuer.Request) { r.Secret = secret() },
			start + `"namespace":"myns","secret":{"name":"mysecret","uid":"mysecret-uid"},` + account1 + end},
		// TOK-T5
		{"warning", func(r *tokenissuer.Request) { r.Lifetime, r.WarnAfter = 24*time.Hour, time.Hour },
			strings.Replace(start, "1514768400", "1514851200", 1) + `"namespace":"myns",` + account1 + `,"warnafter":1514768400` + end},
		// TOK-T6
		{"node", func(r *tokenissuer.Request) { r.Node = node() },
			start + `"namespace":"myns","node":{"name":"mynode","uid":"mynode-uid"},` + account1 + end},
		// TOK-T7
		{"pod and node", func(r *tokenissuer.Request) { r.Pod, r.Node = pod(), node() },
			start + `"namespace":"myns","node":{"name":"mynode","uid":"mynode-uid"},"pod":{"name":"mypod","uid":"mypod-uid"},` + account1 + end},
		{"pod and node without UID", func(r *tokenissuer.Request) { r.Pod, r.Node = pod(), node(); r.Node.UID = "" },
			start + `"namespace":"myns","node":{"name":"mynode"},"pod":{"name":"mypod","uid":"mypod-uid"},` + account1 + end},
		// TOK-T10
		{"validating webhook", func(r *tokenissuer.Request) { r.ValidatingWebhook, r.Attestations = webhook, attestations },
			start + `"attestations":{"admissionReviewAPIGroups":["apps","*"],"other":[]},"namespace":"myns",` + account1 +
				`,"validatingwebhookconfiguration":{"name":"mywebhook","uid":"mywebhook-uid"}` + end},
		{"mutating webhook", func(r *tokenissuer.Request) { r.MutatingWebhook, r.Attestations = webhook, attestations },
			start + `"attestations":{"admissionReviewAPIGroups":["apps","*"],"other":[]},"mutatingwebhookconfiguration":{"name":"mywebhook","uid":"mywebhook-uid"},"namespace":"myns",` + account1 + end},
		{"pod of the account", func(r *tokenissuer.Request) { r.Pod = pod(); r.Pod.Spec.ServiceAccountName = "mysvcacct" },
			start + `"namespace":"myns","pod":{"name":"mypod","uid":"mypod-uid"},` + account1 + end},
		{"64 audiences and a repetition", func(r *tokenissuer.Request) { r.Audiences = append(numbers(64), "0") },
			strings.Replace(start, `["1"]`, string(must(json.Marshal(numbers(64)))), 1) + `"namespace":"myns",` + account1 + end},
		{"a second", func(r *tokenissuer.Request) { r.Lifetime, r.WarnAfter = time.Second, time.Second },
			strings.Replace(start, "1514768400", "1514764801", 1) + `"namespace":"myns",` + account1 + `,"warnafter":1514764801` + end},
		{"a warning after less than a second", func(r *tokenissuer.Request) { r.WarnAfter = time.Second - 1 }, start + `"namespace":"myns",` + account1 + end},
		{"2^32 s", func(r *tokenissuer.Request) {
			r.Lifetime, r.WarnAfter = tokenissuer.MaxLifetime, tokenissuer.MaxLifetime
		},
			strings.Replace(start, "1514768400", "5809732096", 1) + `"namespace":"myns",` + account1 + `,"warnafter":5809732096` + end},
		{"further kind", func(r *tokenissuer.Request) {
			r.Object = tokens.BoundObject{APIVersion: "batch/v1", Kind: "Job", Name: "nightly", UID: "1"}
		}, start + `"namespace":"myns","object":{"apiVersion":"batch/v1","kind":"Job","name":"nightly","uid":"1"},` + account1 + end},
		{"characters that JSON escapes", func(r *tokenissuer.Request) { r.Audiences = []string{"a&b", `"<é>\`, "\u2028"} },
			strings.Replace(start, `["1"]`, `["a\u0026b","\"\u003cé\u003e\\","\u2028"]`, 1) + `"namespace":"myns",` + account1 + end},
	}
	issuer := fixedIssuer(t, nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req := tokenissuer.Request{ServiceAccount: account(), Audiences: []string{"1"}}
			tt.change(&req)
			token, err := issuer.Issue(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, part(t, token.Value, 1)); diff != "" {
				t.Errorf("claims (-want +got):\n%s", diff)
			}
			header := fmt.Sprintf(`{"alg":"ES256","kid":%q}`, must(keys.ID(ecKey.Public())))
			if got := part(t, token.Value, 0); got != header {
				t.Errorf("header %s, want %s", got, header)
			}
			if token.ID != "fixed" || token.CredentialID() != "JTI=fixed" || !token.IssuedAt.Equal(then.Truncate(time.Second)) {
				t.Errorf("Issue() = %+v, want its id and time", token)
			}
		})
	}
}

// TOK-10
func TestIssueLegacy(t *testing.T) {
	issuer := fixedIssuer(t, func(cfg *tokenissuer.Config) { cfg.Signer = must(keys.NewSigner(rsaKey)) })
	value, err := issuer.IssueLegacy(t.Context(), account(), secret())
	if err != nil {
		t.Fatal(err)
	}
	want := `{"iss":"kubernetes/serviceaccount","kubernetes.io/serviceaccount/namespace":"myns",` +
		`"kubernetes.io/serviceaccount/secret.name":"mysecret","kubernetes.io/serviceaccount/service-account.name":"mysvcacct",` +
		`"kubernetes.io/serviceaccount/service-account.uid":"mysvcacct-uid","sub":"system:serviceaccount:myns:mysvcacct"}`
	if diff := cmp.Diff(want, part(t, value, 1)); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	if again, err := issuer.IssueLegacy(t.Context(), account(), secret()); err != nil || again != value {
		t.Errorf("IssueLegacy() gives another token the second time, %v", err)
	}

	elsewhere := secret()
	elsewhere.Namespace = "other"
	nameless := account()
	nameless.Name = ""
	for name, err := range map[string]error{
		"no account":                  second(issuer.IssueLegacy(t.Context(), nil, secret())),
		"account without name":        second(issuer.IssueLegacy(t.Context(), nameless, secret())),
		"no secret":                   second(issuer.IssueLegacy(t.Context(), account(), nil)),
		"secret without name":         second(issuer.IssueLegacy(t.Context(), account(), &corev1.Secret{})),
		"secret in another namespace": second(issuer.IssueLegacy(t.Context(), account(), elsewhere)),
	} {
		if _, ok := errors.AsType[*tokenissuer.RequestError](err); !ok {
			t.Errorf("%s: got %v, want a RequestError", name, err)
		}
	}
}

// numbers returns n different texts.
func numbers(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprint(i)
	}
	return list
}

func second[A, B any](_ A, b B) B { return b }

// TOK-16, M02, M04, M06
func TestIssueRefuses(t *testing.T) {
	other := pod()
	other.Spec.ServiceAccountName = "other"
	elsewhere := pod()
	elsewhere.Namespace = "other"
	secretElsewhere := secret()
	secretElsewhere.Namespace = "other"
	webhook := &metav1.ObjectMeta{Name: "w", UID: "u"}
	groups := map[string][]string{tokens.AttestedAPIGroups: {"*"}}

	tests := []struct {
		name   string
		change func(*tokenissuer.Request)
		field  string
		fault  string
	}{
		{"no account", func(r *tokenissuer.Request) { r.ServiceAccount = nil }, "Request.ServiceAccount", "is nil"},
		{"no UID", func(r *tokenissuer.Request) { r.ServiceAccount.UID = "" }, "Request.ServiceAccount", "no UID"},
		{"no namespace", func(r *tokenissuer.Request) { r.ServiceAccount.Namespace = "" }, "Request.ServiceAccount", "namespace and name"},
		{"bad name", func(r *tokenissuer.Request) { r.ServiceAccount.Name = "a:b" }, "Request.ServiceAccount", "namespace and name"},
		{"no audience", func(r *tokenissuer.Request) { r.Audiences = nil }, "Request.Audiences", "is empty"},
		{"65 audiences", func(r *tokenissuer.Request) { r.Audiences = numbers(65) }, "Request.Audiences", "more than 64"},
		{"audience that is not text", func(r *tokenissuer.Request) { r.Audiences = []string{"\xff"} }, "Request.Audiences", "UTF-8"},
		{"long audience", func(r *tokenissuer.Request) { r.Audiences = []string{strings.Repeat("a", 16<<10)} }, "Request", "16 KiB"},
		{"negative lifetime", func(r *tokenissuer.Request) { r.Lifetime = -1 }, "Request.Lifetime", "not within 1 s and 2^32 s"},
		{"lifetime below a second", func(r *tokenissuer.Request) { r.Lifetime = time.Second - 1 }, "Request.Lifetime", "not within 1 s and 2^32 s"},
		{"lifetime above 2^32 s", func(r *tokenissuer.Request) { r.Lifetime = tokenissuer.MaxLifetime + 1 }, "Request.Lifetime", "not within 1 s and 2^32 s"},
		{"lifetime of 2^63-1", func(r *tokenissuer.Request) { r.Lifetime = 1<<63 - 1 }, "Request.Lifetime", "not within 1 s and 2^32 s"},
		{"negative warning", func(r *tokenissuer.Request) { r.WarnAfter = -1 }, "Request.WarnAfter", "not within 0 s and 2^32 s"},
		{"warning above 2^32 s", func(r *tokenissuer.Request) { r.WarnAfter = tokenissuer.MaxLifetime + 1 }, "Request.WarnAfter", "not within 0 s and 2^32 s"},
		// TOK-T1, TOK-T8
		{"pod and secret", func(r *tokenissuer.Request) { r.Pod, r.Secret = pod(), secret() }, "Request.Secret", "internal error, token can only be bound to one object type"},
		{"node and secret", func(r *tokenissuer.Request) { r.Node, r.Secret = node(), secret() }, "Request.Secret", "internal error, token can only be bound to one object type"},
		{"pod and webhook", func(r *tokenissuer.Request) { r.Pod, r.MutatingWebhook, r.Attestations = pod(), webhook, groups }, "Request", "one object type"},
		{"pod of another account", func(r *tokenissuer.Request) { r.Pod = other }, "Request.Pod", "runs as another"},
		{"pod of another namespace", func(r *tokenissuer.Request) { r.Pod = elsewhere }, "Request.Pod", "not in the namespace"},
		{"pod without UID", func(r *tokenissuer.Request) { r.Pod = pod(); r.Pod.UID = "" }, "Request.Pod", "no UID"},
		{"pod without name", func(r *tokenissuer.Request) { r.Pod = pod(); r.Pod.Name = "" }, "Request.Pod", "no name"},
		{"secret of another namespace", func(r *tokenissuer.Request) { r.Secret = secretElsewhere }, "Request.Secret", "not in the namespace"},
		{"secret without UID", func(r *tokenissuer.Request) { r.Secret = secret(); r.Secret.UID = "" }, "Request.Secret", "no UID"},
		{"secret without name", func(r *tokenissuer.Request) { r.Secret = secret(); r.Secret.Name = "" }, "Request.Secret", "no name"},
		{"node without name", func(r *tokenissuer.Request) { r.Node = node(); r.Node.Name = "" }, "Request.Node", "no name"},
		{"pod and node without name", func(r *tokenissuer.Request) { r.Pod, r.Node = pod(), node(); r.Node.Name = "" }, "Request.Node", "no name"},
		{"node without UID", func(r *tokenissuer.Request) { r.Node = node(); r.Node.UID = "" }, "Request.Node", "no UID"},
		{"webhook without UID", func(r *tokenissuer.Request) { r.ValidatingWebhook = &metav1.ObjectMeta{Name: "w"} }, "Request.ValidatingWebhook", "no UID"},
		{"mutating webhook without name", func(r *tokenissuer.Request) { r.MutatingWebhook = &metav1.ObjectMeta{UID: "w"} }, "Request.MutatingWebhook", "no name"},
		{"webhook without name", func(r *tokenissuer.Request) {
			r.ValidatingWebhook, r.Attestations = &metav1.ObjectMeta{UID: "w"}, groups
		}, "Request.ValidatingWebhook", "no name"},
		{"mutating webhook without UID", func(r *tokenissuer.Request) {
			r.MutatingWebhook, r.Attestations = &metav1.ObjectMeta{Name: "w"}, groups
		}, "Request.MutatingWebhook", "no UID"},
		{"mutating webhook without attestation", func(r *tokenissuer.Request) { r.MutatingWebhook = webhook }, "Request.Attestations", "no admissionReviewAPIGroups"},
		{"webhook without attestation", func(r *tokenissuer.Request) { r.ValidatingWebhook = webhook }, "Request.Attestations", "no admissionReviewAPIGroups"},
		{"nil pointer as webhook", func(r *tokenissuer.Request) { r.ValidatingWebhook, r.Attestations = (*metav1.ObjectMeta)(nil), groups }, "Request.ValidatingWebhook", "is a nil pointer"},
		{"nil pointer as mutating webhook", func(r *tokenissuer.Request) { r.MutatingWebhook = (*metav1.ObjectMeta)(nil) }, "Request.MutatingWebhook", "is a nil pointer"},
		{"attestations that read alike", func(r *tokenissuer.Request) {
			r.ValidatingWebhook, r.Attestations = webhook, map[string][]string{tokens.AttestedAPIGroups: {"*"}, "\xfe": nil, "\xff": nil}
		}, "Request.Attestations", "no verifier would read"},
		{"attestation with a claim's name in another case", func(r *tokenissuer.Request) {
			r.ValidatingWebhook, r.Attestations = webhook, map[string][]string{tokens.AttestedAPIGroups: {"*"}, "Name": {"x"}}
		}, "Request.Attestations", "no verifier would read"},
		{"attestation without webhook", func(r *tokenissuer.Request) { r.Attestations = groups }, "Request.Attestations", "only for tokens"},
	}
	issuer := fixedIssuer(t, nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req := tokenissuer.Request{ServiceAccount: account(), Audiences: []string{"1"}}
			tt.change(&req)
			token, err := issuer.Issue(t.Context(), req)
			e, ok := errors.AsType[*tokenissuer.RequestError](err)
			if !ok || token != nil || e.Field != tt.field || !strings.Contains(e.Problem, tt.fault) {
				t.Fatalf("Issue() = %v, %v, want a RequestError: %s: %s", token, err, tt.field, tt.fault)
			}
		})
	}
}

// M06
func TestIssueShortens(t *testing.T) {
	issuer := fixedIssuer(t, func(cfg *tokenissuer.Config) { cfg.MaxLifetime = 2 * time.Hour })
	for asked, want := range map[time.Duration]time.Duration{
		0: time.Hour, time.Second: time.Second, 2 * time.Hour: 2 * time.Hour,
		2*time.Hour + 1: 2 * time.Hour, tokenissuer.MaxLifetime: 2 * time.Hour,
	} {
		token, err := issuer.Issue(t.Context(), tokenissuer.Request{ServiceAccount: account(), Audiences: []string{"1"}, Lifetime: asked})
		if err != nil {
			t.Fatal(err)
		}
		if got := token.Expiry.Sub(token.IssuedAt); got != want || token.Shortened != (asked > 2*time.Hour) {
			t.Errorf("Issue() with a lifetime of %v gives %v, shortened %v, want %v", asked, got, token.Shortened, want)
		}
	}
	if tokenissuer.MinLifetime != 600*time.Second {
		t.Errorf("the minimum of a TokenRequest is %v, want that of Kubernetes, 600 s", tokenissuer.MinLifetime)
	}
	token, err := issuer.Issue(t.Context(), tokenissuer.Request{ServiceAccount: account(), Audiences: []string{"1"}, Lifetime: 3 * time.Hour, IgnoreMaxLifetime: true})
	if err != nil || token.Shortened || token.Expiry.Sub(token.IssuedAt) != 3*time.Hour {
		t.Errorf("Issue() that ignores the maximum = %v, %v, want a token of 3 h", token, err)
	}
}

// M09: whatever the clock says, no token expires before it was issued.
func TestIssueWithOddClock(t *testing.T) {
	for _, clock := range []time.Time{{}, time.Unix(0, 0), time.Unix(253402300799-3599, 0), time.Unix(253402300799, 0), time.Unix(1<<60, 0)} {
		issuer := fixedIssuer(t, func(cfg *tokenissuer.Config) { cfg.Now = func() time.Time { return clock } })
		_, err := issuer.Issue(t.Context(), tokenissuer.Request{ServiceAccount: account(), Audiences: []string{"1"}})
		if e, ok := errors.AsType[*tokenissuer.RequestError](err); !ok || e.Field != "Config.Now" {
			t.Errorf("Issue() at %v = %v, want a RequestError about the clock", clock, err)
		}
	}
	for _, clock := range []time.Time{time.Unix(1, 0), time.Unix(253402300799-3600, 0)} {
		issuer := fixedIssuer(t, func(cfg *tokenissuer.Config) { cfg.Now = func() time.Time { return clock } })
		token, err := issuer.Issue(t.Context(), tokenissuer.Request{ServiceAccount: account(), Audiences: []string{"1"}})
		if err != nil || !token.IssuedAt.Equal(clock) || !issuer.Now().Equal(clock) {
			t.Errorf("Issue() at %v = %v, %v, want a token of that time", clock, token, err)
		}
	}
}

// KEY-52, KEY-53
func TestNewIssuerRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(*tokenissuer.Config)
		want   string
	}{
		{"no issuer", func(cfg *tokenissuer.Config) { cfg.Issuer = "" }, "Config.Issuer is empty"},
		{"legacy issuer", func(cfg *tokenissuer.Config) { cfg.Issuer = tokens.LegacyIssuer }, "Config.Issuer is \"kubernetes/serviceaccount\""},
		{"not a URL", func(cfg *tokenissuer.Config) { cfg.Issuer = "http://[" }, "not a valid URL"},
		{"not UTF-8", func(cfg *tokenissuer.Config) { cfg.Issuer = "\xff" }, "not valid UTF-8"},
		{"no signer", func(cfg *tokenissuer.Config) { cfg.Signer = nil }, "Config.Signer is required"},
		{"negative maximum", func(cfg *tokenissuer.Config) { cfg.MaxLifetime = -1 }, "Config.MaxLifetime is -1ns"},
		{"maximum below a second", func(cfg *tokenissuer.Config) { cfg.MaxLifetime = time.Second - 1 }, "Config.MaxLifetime is 999.999999ms"},
		{"typed nil of keys", func(cfg *tokenissuer.Config) { cfg.Keys = (*keys.Set)(nil) }, "Config.Keys is a nil *keys.Set"},
		{"cluster with a meaning", func(cfg *tokenissuer.Config) { cfg.ClusterClaim = "pod" }, "Config.ClusterClaim is \"pod\""},
		{"maximum above 2^32 s", func(cfg *tokenissuer.Config) { cfg.MaxLifetime = tokenissuer.MaxLifetime + 1 }, "Config.MaxLifetime"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := tokentest.IssuerConfig()
			tt.change(&cfg)
			if _, err := tokenissuer.New(cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("New() = %v, want %q", err, tt.want)
			}
		})
	}
	for _, maximum := range []time.Duration{0, time.Second, tokenissuer.MaxLifetime} {
		issuer := tokentest.NewIssuer(t, func(cfg *tokenissuer.Config) { cfg.MaxLifetime = maximum })
		if got := issuer.MaxLifetime(); got != maximum {
			t.Errorf("MaxLifetime() = %v, want %v", got, maximum)
		}
	}
	_, err := tokenissuer.New(tokenissuer.Config{})
	if err == nil || !strings.Contains(err.Error(), "Issuer is empty") || !strings.Contains(err.Error(), "Signer is required") {
		t.Errorf("New() of nothing = %v, want every mistake", err)
	}
}

// TOK-3, M01, L03
func TestIssueExtended(t *testing.T) {
	issue := func(claims map[string]any, err error) (*tokens.Token, error) {
		issuer := fixedIssuer(t, func(cfg *tokenissuer.Config) {
			cfg.Extend = func(_ context.Context, req tokenissuer.Request) (map[string]any, error) {
				if req.ServiceAccount.Name != "mysvcacct" {
					t.Errorf("the extender got %v", req.ServiceAccount)
				}
				return claims, err
			}
		})
		return issuer.Issue(t.Context(), tokenissuer.Request{ServiceAccount: account(), Audiences: []string{"1"}})
	}

	type team struct {
		Zone string `json:"zone"`
		Area string `json:"area"`
	}
	token, err := issue(map[string]any{"team": team{"z", "a"}, "A": 1, "cost/center": []int64{1 << 60}, "zz": nil}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"A":1,"aud":["1"],"cost/center":[1152921504606846976],"exp":1514768400,"iat":1514764800,"iss":"https://iss","jti":"fixed",` +
		`"kubernetes.io":{"namespace":"myns","serviceaccount":{"name":"mysvcacct","uid":"mysvcacct-uid"}},"nbf":1514764800,` +
		`"sub":"system:serviceaccount:myns:mysvcacct","team":{"area":"a","zone":"z"},"zz":null}`
	if diff := cmp.Diff(want, part(t, token.Value, 1)); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}

	if _, err := issue(map[string]any{"x": strings.Repeat("a", 4<<10-len(`x""`))}, nil); err != nil {
		t.Errorf("Issue() with claims of 4 KiB = %v", err)
	}

	const secretValue = "hunter2"
	problems := map[string]string{ // of the others: a reserved name
		"not JSON": "can't be encoded as JSON", "failing": "can't be encoded as JSON", "nested too deeply": "no verifier would read",
		"imitating name inside": "no verifier would read", "too long": "more than 4 KiB",
	}
	for name, claims := range map[string]map[string]any{
		"iss": {"iss": "x"}, "sub": {"sub": "x"}, "exp": {"exp": 1}, "aud": {"aud": "x"}, "nbf": {"nbf": 1}, "iat": {"iat": 1}, "jti": {"jti": 1},
		"other case": {"ISS": "x"}, "long s": {"\u017fub": "x"}, "private": {"kubernetes.io": map[string]any{}}, "legacy": {"kubernetes.io/serviceaccount/namespace": "x"},
		"empty name": {"": 1}, "not text": {"\xff": 1}, "not JSON": {"x": func() string { return secretValue }},
		"failing": {"x": failing{secretValue}}, "nested too deeply": {"x": [][][][][][][][]int{{{{{{{{1}}}}}}}}},
		"imitating name inside": {"x": map[string]any{"NAME": 1}}, "too long": {"x": strings.Repeat("a", 4<<10-len(`x""`)+1)},
	} {
		want := problems[name]
		if want == "" {
			want = "is reserved or no name"
		}
		_, err := issue(claims, nil)
		if e, ok := errors.AsType[*tokenissuer.RequestError](err); !ok || e.Field != "Config.Extend" {
			t.Errorf("%s: Issue() = %v, want a RequestError about the extender", name, err)
		} else if !strings.Contains(e.Problem, want) {
			t.Errorf("%s: Issue() = %v, want that %s", name, err, want)
		} else if strings.Contains(err.Error(), secretValue) {
			t.Errorf("%s: the error holds the value: %v", name, err)
		}
	}

	refused := errors.New("not today")
	if _, err := issue(nil, refused); !errors.Is(err, refused) {
		t.Errorf("Issue() = %v, want what the extender returned", err)
	}
}

type failing struct{ secret string }

func (f failing) MarshalJSON() ([]byte, error) { return nil, errors.New(f.secret) }

// M07
func TestIssueWithUntrustedSigner(t *testing.T) {
	good := must(keys.NewSigner(ecKey))
	wrong := must(keys.NewSigner(otherKey))
	broken := errors.New("broken")
	tests := []struct {
		name   string
		sign   tokentest.SignerFunc
		source keys.Source
		want   string
	}{
		{"good", good.Sign, must(keys.NewSet(ecKey)), ""},
		{"good, keys unknown", good.Sign, nil, ""},
		{"good, the second key of its id", good.Sign, tokentest.SourceFunc(func() []keys.PublicKey {
			return []keys.PublicKey{{Key: otherKey.Public()}, {Key: ecKey.Public()}}
		}), ""},
		{"fails", func(context.Context, []byte) (string, error) { return "", broken }, nil, "tokenissuer: signing: broken"},
		{"panics", func(context.Context, []byte) (string, error) { panic("hunter2") }, nil, "tokenissuer: signing: the signer panicked"},
		{"returns nothing", func(context.Context, []byte) (string, error) { return "", nil }, nil, "is not a token"},
		{"signs something else", func(ctx context.Context, _ []byte) (string, error) { return good.Sign(ctx, []byte("{}")) }, nil, "is another token"},
		{"changes the payload", func(ctx context.Context, payload []byte) (string, error) {
			copy(payload, `{"aud":["2"]`)
			return good.Sign(ctx, payload)
		}, nil, "is another token"},
		{"other key", afterwards(good, wrong.Sign), must(keys.NewSet(ecKey)), "does not verify"},
		{"other key of the same id", afterwards(good, func(ctx context.Context, payload []byte) (string, error) {
			return tokentest.MintAs(t, otherKey, must(keys.ID(ecKey.Public())), string(payload)), nil
		}), must(keys.NewSet(ecKey)), "does not verify"},
		{"keys unavailable", good.Sign, tokentest.FailingSource{}, "can't be verified"},
		{"hangs", func(context.Context, []byte) (string, error) { select {} }, nil, "context deadline exceeded"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			issuer := fixedIssuer(t, func(cfg *tokenissuer.Config) { cfg.Signer, cfg.Keys = tt.sign, tt.source })
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if tt.name == "hangs" {
				ctx, cancel = context.WithTimeout(t.Context(), 10*time.Millisecond)
			}
			defer cancel()
			token, err := issuer.Issue(ctx, tokenissuer.Request{ServiceAccount: account(), Audiences: []string{"1"}})
			switch {
			case tt.want == "" && err != nil:
				t.Fatal(err)
			case tt.want != "" && (token != nil || err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter2")):
				t.Fatalf("Issue() = %v, %v, want an error with %q", token, err, tt.want)
			}
		})
	}
}

// afterwards signs the self-test with good, and then with sign.
func afterwards(good keys.Signer, sign tokentest.SignerFunc) tokentest.SignerFunc {
	return func(ctx context.Context, payload []byte) (string, error) {
		if string(payload) == "{}" {
			return good.Sign(ctx, payload)
		}
		return sign(ctx, payload)
	}
}

// New calls neither the signer nor the keys: whether they fit, keys.SelfTest
// says. What can't be asked is no mismatch.
func TestSelfTestOfAnIssuer(t *testing.T) {
	good, set := must(keys.NewSigner(ecKey)), must(keys.NewSet(ecKey))
	tests := []struct {
		name     string
		signer   keys.Signer
		source   keys.Source
		mismatch bool
	}{
		{"a pair", good, set, false},
		{"another key", must(keys.NewSigner(otherKey)), set, true},
		{"no keys", good, must(keys.NewSet()), true},
		{"no token", tokentest.SignerFunc(func(context.Context, []byte) (string, error) { return "x", nil }), set, true},
		{"signer fails", tokentest.SignerFunc(func(context.Context, []byte) (string, error) { return "", errors.New("down") }), set, false},
		{"signer panics", tokentest.SignerFunc(func(context.Context, []byte) (string, error) { panic("hunter2") }), set, false},
		{"keys unavailable", good, tokentest.FailingSource{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := tokentest.IssuerConfig()
			cfg.Signer, cfg.Keys = tt.signer, tt.source
			if _, err := tokenissuer.New(cfg); err != nil {
				t.Errorf("New() = %v, want no error", err)
			}
			if err := keys.SelfTest(t.Context(), cfg.Signer, cfg.Keys); errors.Is(err, keys.ErrMismatch) != tt.mismatch {
				t.Errorf("SelfTest() = %v, want a mismatch: %t", err, tt.mismatch)
			}
		})
	}
}

// TOK-6, M08: ids are unique, and what is issued is accepted.
func TestIssuedTokensAuthenticate(t *testing.T) {
	w := tokentest.NewWorld()
	issuer, authenticator := tokentest.NewIssuer(t, nil), tokentest.NewAuthenticator(t, w, nil)
	bindings := []func(*tokenissuer.Request){
		func(*tokenissuer.Request) {},
		func(r *tokenissuer.Request) { r.Pod = w.Pods["ci/job"] },
		func(r *tokenissuer.Request) { r.Pod, r.Node = w.Pods["ci/job"], w.Nodes["worker"] },
		func(r *tokenissuer.Request) { r.Node = w.Nodes["worker"] },
		func(r *tokenissuer.Request) { r.Secret = w.Secrets["ci/settings"] },
		func(r *tokenissuer.Request) {
			r.ValidatingWebhook = w.Validating["checks"]
			r.Attestations = map[string][]string{tokens.AttestedAPIGroups: {"apps"}}
		},
		func(r *tokenissuer.Request) {
			r.MutatingWebhook = w.Mutating["defaults"]
			r.Attestations = map[string][]string{tokens.AttestedAPIGroups: {"apps"}}
		},
	}
	ids := map[string]bool{}
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`) // RFC 9562
	for i := range 500 {
		req := tokenissuer.Request{ServiceAccount: w.Accounts["ci/builder"], Audiences: []string{api, fmt.Sprintf("é<%d>", i)}, Lifetime: time.Duration(i+1) * time.Second, WarnAfter: time.Duration(i) * time.Second}
		bindings[i%len(bindings)](&req)
		token, err := issuer.Issue(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if !uuid.MatchString(token.ID) || ids[token.ID] {
			t.Fatalf("id %q, want a new random UUID", token.ID)
		}
		ids[token.ID] = true
		id, err := authenticator.Authenticate(t.Context(), token.Value, req.Audiences[1])
		if err != nil {
			t.Fatal(err)
		}
		if id.CredentialID != token.CredentialID() || !id.Expiry.Equal(token.Expiry) || !id.WarnAfter.Equal(token.WarnAfter) || token.WarnAfter.IsZero() != (i == 0) || id.Audiences[0] != req.Audiences[1] {
			t.Fatalf("Authenticate() = %+v, want what %v says", id, token)
		}
	}
	// Every digit but the version's is random, and follows from no other one.
	for i := range 36 {
		digits, twins := map[byte]bool{}, map[int]bool{}
		for id := range ids {
			digits[id[i]] = true
			for j := range i {
				if id[i] != id[j] {
					twins[j] = true
				}
			}
		}
		fixed, want := i == 8 || i == 13 || i == 14 || i == 18 || i == 23, 16
		if i == 19 {
			want = 4 // the variant
		}
		if !fixed && (len(digits) != want || len(twins) != i) {
			t.Errorf("digit %d of the ids has %d values and differs from %d of those before it, want %d and %d", i, len(digits), len(twins), want, i)
		}
	}
}

// M04
func TestIssueForFurtherKindRefuses(t *testing.T) {
	good := tokens.BoundObject{APIVersion: "batch/v1", Kind: "Job", Name: "nightly", UID: "1"}
	for _, tt := range []struct {
		name, field string
		change      func(*tokenissuer.Request)
	}{
		{"no UID", "Request.Object", func(r *tokenissuer.Request) { r.Object.UID = "" }},
		{"no name", "Request.Object", func(r *tokenissuer.Request) { r.Object.Name = "" }},
		{"pod", "Request.Object", func(r *tokenissuer.Request) { r.Object.APIVersion, r.Object.Kind = "v1", "Pod" }},
		{"and a pod", "Request", func(r *tokenissuer.Request) { r.Pod = pod() }},
		{"and a node", "Request", func(r *tokenissuer.Request) { r.Node = node() }},
		{"a webhook", "Request.Object", func(r *tokenissuer.Request) {
			r.Object.APIVersion, r.Object.Kind = "admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"
		}},
		{"attestation", "Request.Attestations", func(r *tokenissuer.Request) { r.Attestations = map[string][]string{tokens.AttestedAPIGroups: {"apps"}} }},
	} {
		req := tokenissuer.Request{ServiceAccount: account(), Audiences: []string{api}, Object: good}
		tt.change(&req)
		_, err := tokentest.NewIssuer(t, nil).Issue(t.Context(), req)
		if e, ok := errors.AsType[*tokenissuer.RequestError](err); !ok || e.Field != tt.field {
			t.Errorf("%s: Issue() = %v, want a RequestError on %s", tt.name, err, tt.field)
		}
	}
}

// An id that is none is never issued, and the clock is the system's by default.
func TestIssueDefaults(t *testing.T) {
	for _, id := range []string{"", "\xff"} {
		issuer := fixedIssuer(t, func(cfg *tokenissuer.Config) { cfg.NewID = func() string { return id } })
		_, err := issuer.Issue(t.Context(), tokenissuer.Request{ServiceAccount: account(), Audiences: []string{"1"}})
		if e, ok := errors.AsType[*tokenissuer.RequestError](err); !ok || e.Field != "Config.NewID" {
			t.Errorf("Issue() with the id %q = %v, want a RequestError on Config.NewID", id, err)
		}
	}
	began := time.Now().Truncate(time.Second)
	token, err := fixedIssuer(t, func(cfg *tokenissuer.Config) { cfg.Now = nil }).Issue(t.Context(), tokenissuer.Request{ServiceAccount: account(), Audiences: []string{"1"}})
	if err != nil || token.IssuedAt.Before(began) || token.IssuedAt.After(time.Now()) {
		t.Errorf("Issue() without Config.Now = %v, %v, want one issued now", token, err)
	}
}

// Nor is a token issued that no Authenticator accepts.
func TestNamesOfRequests(t *testing.T) {
	for _, name := range tokentest.HostileNames {
		for what, change := range map[string]func(*tokenissuer.Request){
			"pod":        func(r *tokenissuer.Request) { r.Pod = &corev1.Pod{ObjectMeta: tokentest.Meta("ci", name)} },
			"secret":     func(r *tokenissuer.Request) { r.Secret = &corev1.Secret{ObjectMeta: tokentest.Meta("ci", name)} },
			"node":       func(r *tokenissuer.Request) { r.Node = &corev1.Node{ObjectMeta: tokentest.Meta("", name)} },
			"validating": func(r *tokenissuer.Request) { r.ValidatingWebhook = new(tokentest.Meta("", name)) },
			"mutating":   func(r *tokenissuer.Request) { r.MutatingWebhook = new(tokentest.Meta("", name)) },
			"object": func(r *tokenissuer.Request) {
				r.Object = tokens.BoundObject{APIVersion: "batch/v1", Kind: "Job", Name: "a/" + name, UID: "uid"}
			},
			"kind": func(r *tokenissuer.Request) {
				r.Object = tokens.BoundObject{APIVersion: "batch/v1", Kind: "Job/" + name, Name: "a", UID: "uid"}
			},
		} {
			req := tokenissuer.Request{ServiceAccount: &corev1.ServiceAccount{ObjectMeta: tokentest.Meta("ci", "builder")}, Audiences: []string{api}}
			change(&req)
			if req.ValidatingWebhook != nil || req.MutatingWebhook != nil {
				req.Attestations = map[string][]string{tokens.AttestedAPIGroups: {"apps"}}
			}
			_, err := tokentest.NewIssuer(t, nil).Issue(t.Context(), req)
			if _, ok := errors.AsType[*tokenissuer.RequestError](err); !ok {
				t.Errorf("%s %q: %v, want a RequestError", what, name, err)
			}
		}
		_, err := tokentest.NewIssuer(t, nil).IssueLegacy(t.Context(), &corev1.ServiceAccount{ObjectMeta: tokentest.Meta("ci", "builder")}, &corev1.Secret{ObjectMeta: tokentest.Meta("ci", name)})
		if _, ok := errors.AsType[*tokenissuer.RequestError](err); !ok {
			t.Errorf("Secret %q: %v, want a RequestError", name, err)
		}
	}
}

// An Issuer issues what an Authenticator reads, to the byte.
func TestLongestIssuedToken(t *testing.T) {
	issuer := fixedIssuer(t, nil)
	longest, refused := 0, 0
	for n := range 800 {
		audiences := make([]string, 64)
		for i := range audiences {
			audiences[i] = fmt.Sprintf("%02d%s", i, strings.Repeat("x", 170))
		}
		audiences[0] += strings.Repeat("x", n)
		token, err := issuer.Issue(t.Context(), tokenissuer.Request{ServiceAccount: account(), Audiences: audiences})
		if _, ok := errors.AsType[*tokenissuer.RequestError](err); ok {
			refused++
			continue
		}
		if err != nil || refused > 0 || len(token.Value) > (16<<10) {
			t.Fatalf("Issue() = %v, %v, want tokens of up to 16 KiB", token, err)
		}
		longest = len(token.Value)
	}
	if longest < (16<<10)-1 || refused == 0 {
		t.Errorf("the longest token has %d bytes and %d were refused, want 16 KiB and some", longest, refused)
	}
}
