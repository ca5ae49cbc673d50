package payload_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kubesa/serviceaccount/tokens/internal/payload"
)

// What is encoded is canonical, and decoded again.
func TestEncodeBound(t *testing.T) {
	bind := func(change func(*payload.Claims)) *payload.Claims {
		c := boundClaims()
		c.Issuer = "https://iss"
		change(c)
		return c
	}
	ref := payload.Ref{Name: "x", UID: "u2"}
	for _, tt := range []struct {
		name   string
		claims *payload.Claims
		extra  []payload.Extra
		want   string
	}{
		{"unbound", bind(func(*payload.Claims) {}), nil, `{"aud":["a","b"],"exp":1767272400,"iat":1767268800,"iss":"https://iss","jti":"id-1",` +
			`"kubernetes.io":{"namespace":"ci","serviceaccount":{"name":"builder","uid":"u1"}},"nbf":1767268801,"sub":"system:serviceaccount:ci:builder"}`},
		{"pod, node, cluster and extra claims", bind(func(c *payload.Claims) { c.Pod, c.Node, c.Cluster, c.WarnAfter = ref, payload.Ref{Name: "n"}, "c", 7 }),
			[]payload.Extra{{Name: "A", Value: []byte("1")}, {Name: "k", Value: []byte("2")}, {Name: "z", Value: []byte("[]")}},
			`{"A":1,"aud":["a","b"],"exp":1767272400,"iat":1767268800,"iss":"https://iss","jti":"id-1","k":2,"kubernetes.io":{"namespace":"ci","node":{"name":"n"},"ocluster":"c",` +
				`"pod":{"name":"x","uid":"u2"},"serviceaccount":{"name":"builder","uid":"u1"},"warnafter":7},"nbf":1767268801,"sub":"system:serviceaccount:ci:builder","z":[]}`},
		{"mutating webhook", bind(func(c *payload.Claims) {
			c.Mutating, c.Attestations = ref, map[string][]string{"b": {"x", "y"}, "a": {}}
		}), nil,
			`{"aud":["a","b"],"exp":1767272400,"iat":1767268800,"iss":"https://iss","jti":"id-1","kubernetes.io":{"attestations":{"a":[],"b":["x","y"]},` +
				`"mutatingwebhookconfiguration":{"name":"x","uid":"u2"},"namespace":"ci","serviceaccount":{"name":"builder","uid":"u1"}},"nbf":1767268801,"sub":"system:serviceaccount:ci:builder"}`},
		{"validating webhook", bind(func(c *payload.Claims) { c.Validating = ref }), nil,
			`{"aud":["a","b"],"exp":1767272400,"iat":1767268800,"iss":"https://iss","jti":"id-1","kubernetes.io":{"namespace":"ci","serviceaccount":{"name":"builder","uid":"u1"},` +
				`"validatingwebhookconfiguration":{"name":"x","uid":"u2"}},"nbf":1767268801,"sub":"system:serviceaccount:ci:builder"}`},
		{"secret", bind(func(c *payload.Claims) { c.Secret = ref }), nil,
			`{"aud":["a","b"],"exp":1767272400,"iat":1767268800,"iss":"https://iss","jti":"id-1","kubernetes.io":{"namespace":"ci","secret":{"name":"x","uid":"u2"},` +
				`"serviceaccount":{"name":"builder","uid":"u1"}},"nbf":1767268801,"sub":"system:serviceaccount:ci:builder"}`},
		{"further kind", bind(func(c *payload.Claims) {
			c.Object = payload.Object{APIVersion: "batch/v1", Kind: "Job", Name: "x", UID: "u2"}
		}), nil, `{"aud":["a","b"],"exp":1767272400,"iat":1767268800,"iss":"https://iss","jti":"id-1","kubernetes.io":{"namespace":"ci",` +
			`"object":{"apiVersion":"batch/v1","kind":"Job","name":"x","uid":"u2"},"serviceaccount":{"name":"builder","uid":"u1"}},"nbf":1767268801,"sub":"system:serviceaccount:ci:builder"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := string(tt.claims.EncodeBound("ocluster", tt.extra))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Fatalf("EncodeBound() (-want +got):\n%s", diff)
			}
			cluster := ""
			if tt.claims.Cluster != "" {
				cluster = "ocluster"
			}
			read, fault := read(false, cluster, got)
			if fault != nil {
				t.Fatal(fault)
			}
			read.Issuer = tt.claims.Issuer
			if diff := cmp.Diff(tt.claims, read, cmpopts.IgnoreUnexported(payload.Claims{})); diff != "" {
				t.Errorf("decoded again (-want +got):\n%s", diff)
			}
		})
	}
}

// The cluster is the last member if its name is.
func TestEncodeLastCluster(t *testing.T) {
	c := boundClaims()
	c.Cluster, c.WarnAfter = "c", 7
	if got, want := string(c.EncodeBound("zz", nil)), `,"warnafter":7,"zz":"c"},"nbf"`; !strings.Contains(got, want) {
		t.Errorf("EncodeBound() = %s, want it to contain %s", got, want)
	}
}

// Plain texts cost no allocation, so a payload costs one.
func TestEncodeAllocations(t *testing.T) {
	bound, legacy := boundClaims(), legacyClaims()
	bound.Audiences = []string{" !#az{|}~", strings.Repeat("x", 500)}
	bound.Issuer, legacy.Issuer = "https://iss", payload.LegacyIssuer
	n := testing.AllocsPerRun(100, func() {
		bound.EncodeBound("", nil)
		legacy.EncodeLegacy("")
	})
	if n > 2 {
		t.Errorf("two payloads cost %v allocations, want one each", n)
	}
}

// Texts are what encoding/json writes.
func TestEncodeTexts(t *testing.T) {
	for b := range 256 {
		text := "a" + string([]byte{byte(b)}) + "z"
		c := payload.Claims{Audiences: []string{text}}
		quoted, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		want := `{"aud":[` + string(quoted) + `],"exp":0,"iat":0,"iss":"","jti":"","kubernetes.io":{},"nbf":0,"sub":""}`
		if diff := cmp.Diff(want, string(c.EncodeBound("", nil))); diff != "" {
			t.Errorf("byte %#x (-want +got):\n%s", b, diff)
		}
	}
}

func TestEncodeLegacy(t *testing.T) {
	for cluster, want := range map[string]string{
		"": `{"iss":"kubernetes/serviceaccount",` + legacyText[1:],
		"c": `{"iss":"kubernetes/serviceaccount","` + legacyPrefix + `namespace":"ci","` + legacyPrefix + `ocluster":"c","` + legacyPrefix + `secret.name":"t","` + legacyPrefix +
			`service-account.name":"builder","` + legacyPrefix + `service-account.uid":"u1","sub":"system:serviceaccount:ci:builder"}`,
	} {
		c := legacyClaims()
		c.Issuer, c.Cluster = payload.LegacyIssuer, cluster
		if diff := cmp.Diff(want, string(c.EncodeLegacy("ocluster"))); diff != "" {
			t.Errorf("EncodeLegacy() of cluster %q (-want +got):\n%s", cluster, diff)
		}
	}
}
