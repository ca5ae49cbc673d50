package tokens_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/internal/tokentest"
)

// TOK-80..82
func TestUserInfo(t *testing.T) {
	type extra = map[string]authenticationv1.ExtraValue
	tests := []struct {
		name  string
		token func(w *tokentest.World) string
		want  extra
	}{
		{"pod", func(*tokentest.World) string { return tokentest.Mint(t, ecKey, tokentest.BoundClaims()) }, extra{
			"authentication.kubernetes.io/credential-id": {"JTI=id-1"},
			"authentication.kubernetes.io/pod-name":      {"job"},
			"authentication.kubernetes.io/pod-uid":       {"uid-of-job"},
			"authentication.kubernetes.io/node-name":     {"worker"},
			"authentication.kubernetes.io/node-uid":      {"uid-of-worker"},
		}},
		{"pod and node without UID", func(*tokentest.World) string {
			claims := tokentest.BoundClaims()
			private(claims)["node"] = object{"name": "worker"}
			return tokentest.Mint(t, ecKey, claims)
		}, extra{
			"authentication.kubernetes.io/credential-id": {"JTI=id-1"},
			"authentication.kubernetes.io/pod-name":      {"job"},
			"authentication.kubernetes.io/pod-uid":       {"uid-of-job"},
			"authentication.kubernetes.io/node-name":     {"worker"},
		}},
		{"attestations without a webhook", func(*tokentest.World) string {
			claims := tokentest.BoundClaims()
			bind(claims, "secret", "settings")
			private(claims)["attestations"] = object{tokens.AttestedAPIGroups: []string{"apps"}}
			return tokentest.Mint(t, ecKey, claims)
		}, extra{
			"authentication.kubernetes.io/credential-id": {"JTI=id-1"},
		}},
		{"secret", func(*tokentest.World) string {
			claims := tokentest.BoundClaims()
			bind(claims, "secret", "settings")
			return tokentest.Mint(t, ecKey, claims)
		}, extra{
			"authentication.kubernetes.io/credential-id": {"JTI=id-1"},
		}},
		{"validating webhook", func(*tokentest.World) string {
			claims := tokentest.BoundClaims()
			bind(claims, "validatingwebhookconfiguration", "checks")
			return tokentest.Mint(t, ecKey, claims)
		}, extra{
			"authentication.kubernetes.io/credential-id":                        {"JTI=id-1"},
			"authentication.kubernetes.io/validatingwebhookconfiguration-name":  {"checks"},
			"authentication.kubernetes.io/validatingwebhookconfiguration-uid":   {"uid-of-checks"},
			"attestation.authentication.kubernetes.io/admissionReviewAPIGroups": {"apps"},
		}},
		{"mutating webhook", func(*tokentest.World) string {
			claims := tokentest.BoundClaims()
			bind(claims, "mutatingwebhookconfiguration", "defaults")
			return tokentest.Mint(t, ecKey, claims)
		}, extra{
			"authentication.kubernetes.io/credential-id":                        {"JTI=id-1"},
			"authentication.kubernetes.io/mutatingwebhookconfiguration-name":    {"defaults"},
			"authentication.kubernetes.io/mutatingwebhookconfiguration-uid":     {"uid-of-defaults"},
			"attestation.authentication.kubernetes.io/admissionReviewAPIGroups": {"apps"},
		}},
		{"nothing", func(*tokentest.World) string {
			claims := tokentest.BoundClaims()
			delete(private(claims), "pod")
			delete(private(claims), "node")
			delete(claims, "jti")
			return tokentest.Mint(t, ecKey, claims)
		}, nil},
		{"legacy", func(w *tokentest.World) string {
			claims := tokentest.LegacyClaims()
			claims["jti"] = "id-1"
			token := tokentest.Mint(t, ecKey, claims)
			w.Secrets["ci/builder-token"].Data["token"] = []byte(token)
			return token
		}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := tokentest.NewWorld()
			id, err := tokentest.NewAuthenticator(t, w, nil).Authenticate(t.Context(), tt.token(w))
			if err != nil {
				t.Fatal(err)
			}
			want := authenticationv1.UserInfo{
				Username: "system:serviceaccount:ci:builder",
				UID:      "uid-of-builder",
				Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:ci"},
				Extra:    tt.want,
			}
			if diff := cmp.Diff(want, id.UserInfo()); diff != "" {
				t.Errorf("UserInfo() (-want +got):\n%s", diff)
			}
		})
	}
}

// A UID without a name is of no object.
func TestUserInfoOfUIDs(t *testing.T) {
	uid := tokens.ObjectRef{UID: "1"}
	id := &tokens.Identity{Namespace: "ci", Name: "builder", Pod: uid, Node: uid, ValidatingWebhook: uid, MutatingWebhook: uid}
	if got := id.UserInfo().Extra; got != nil {
		t.Errorf("the extra is %v, want none", got)
	}
}

func TestLogValueOfIdentity(t *testing.T) {
	if got := (*tokens.Identity)(nil).LogValue(); got.Any() != nil {
		t.Errorf("LogValue() of nil = %v, want nil", got)
	}
	if got := (&tokens.Identity{Namespace: "ci", Name: "builder"}).LogValue().String(); !strings.Contains(got, "system:serviceaccount:ci:builder") {
		t.Errorf("LogValue() = %s, want the username", got)
	}
}

func TestClaimOf(t *testing.T) {
	claims := tokentest.BoundClaims()
	claims["team"] = object{"name": "hunter2", "size": 3}
	id, err := tokentest.NewAuthenticator(t, tokentest.NewWorld(), nil).Authenticate(t.Context(), tokentest.Mint(t, ecKey, claims))
	if err != nil {
		t.Fatal(err)
	}
	type team struct {
		Name string
		Size int
	}
	if got, ok, err := tokens.ClaimOf[team](id, "team"); got != (team{"hunter2", 3}) || !ok || err != nil {
		t.Errorf("ClaimOf() = %v, %v, %v, want the claim", got, ok, err)
	}
	if got, ok, err := tokens.ClaimOf[string](id, "Team"); got != "" || ok || err != nil {
		t.Errorf("ClaimOf() of another name = %q, %v, %v, want none", got, ok, err)
	}
	if _, ok, err := tokens.ClaimOf[int](id, "team"); !ok || err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("ClaimOf() of another type = %v, %v, want an error without the value", ok, err)
	}
}
