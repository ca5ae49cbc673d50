package tokens_test

import (
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/internal/tokentest"
)

// TOK-51, TOK-52, TOK-53, V03, V04
// CST-17
func TestLegacyClaims(t *testing.T) {
	const prefix = "kubernetes.io/serviceaccount/"
	tests := []struct {
		name   string
		change func(object)
		reason tokens.Reason
		what   string
	}{
		{"good", func(object) {}, "", ""},
		{"expired", func(c object) { c["exp"], c["nbf"] = 1, now.Unix()+1000 }, "", ""},
		{"API audience", func(c object) { c["aud"] = api }, "", ""},
		{"exp text", func(c object) { c["exp"] = "1" }, tokens.ReasonInvalidClaim, "exp"},
		{"no sub", func(c object) { delete(c, "sub") }, tokens.ReasonMissingClaim, "sub"},
		{"no namespace", func(c object) { delete(c, prefix+"namespace") }, tokens.ReasonMissingClaim, "namespace"},
		{"no secret", func(c object) { delete(c, prefix+"secret.name") }, tokens.ReasonMissingClaim, "secretName"},
		{"no account", func(c object) { delete(c, prefix+"service-account.name") }, tokens.ReasonMissingClaim, "serviceAccountName"},
		{"no UID", func(c object) { c[prefix+"service-account.uid"] = "" }, tokens.ReasonMissingClaim, "serviceAccountUID"},
		{"namespace number", func(c object) { c[prefix+"namespace"] = 1 }, tokens.ReasonInvalidClaim, "namespace"},
		{"secret null", func(c object) { c[prefix+"secret.name"] = nil }, tokens.ReasonInvalidClaim, "secretName"},
		{"account list", func(c object) { c[prefix+"service-account.name"] = []string{"builder"} }, tokens.ReasonInvalidClaim, "serviceAccountName"},
		{"UID number", func(c object) { c[prefix+"service-account.uid"] = 1 }, tokens.ReasonInvalidClaim, "serviceAccountUID"},
		{"sub not a username", func(c object) { c["sub"] = "builder" }, tokens.ReasonInvalidClaim, "sub"},
		{"sub of another account", func(c object) { c["sub"] = "system:serviceaccount:ci:other" }, tokens.ReasonInvalidClaim, "sub"},
		{"name that no account has", func(c object) {
			c["sub"], c[prefix+"service-account.name"] = "system:serviceaccount:ci:B", "B"
		}, tokens.ReasonInvalidClaim, "sub"},
		{"bound claims", func(c object) { c["kubernetes.io"] = object{} }, tokens.ReasonInvalidClaim, "kubernetes.io"},
		{"another audience", func(c object) { c["aud"] = "vault" }, tokens.ReasonAudience, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := tokentest.NewWorld()
			claims := tokentest.LegacyClaims()
			tt.change(claims)
			token := tokentest.Mint(t, ecKey, claims)
			w.Secrets["ci/builder-token"].Data["token"] = []byte(token)
			_, err := tokentest.NewAuthenticator(t, w, nil).Authenticate(t.Context(), token)
			if tt.reason == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantInvalid(t, err, tt.reason, tt.what)
			if w.Lookups != 0 {
				t.Errorf("%d lookups, want none", w.Lookups)
			}
		})
	}
}

// TOK-55..62, TOK-T27, V10, V15, V16
func TestLegacyObjects(t *testing.T) {
	future := &metav1.Time{Time: now.Add(time.Hour)}
	token := tokentest.Mint(t, ecKey, tokentest.LegacyClaims())
	again := tokentest.Mint(t, ecKey, tokentest.LegacyClaims()) // same claims, another signature
	down := errors.New("etcd is down")
	type parts struct {
		*tokentest.World
		secret  *corev1.Secret
		account *corev1.ServiceAccount
	}
	tests := []struct {
		name   string
		change func(parts)
		reason tokens.Reason
		what   string
	}{
		{"good", func(parts) {}, "", ""},
		{"other annotations", func(p parts) { p.secret.Annotations = nil }, "", ""},
		{"no secret", func(p parts) { delete(p.Secrets, "ci/builder-token") }, tokens.ReasonNotFound, "Secret"},
		{"secret to be deleted", func(p parts) { p.secret.DeletionTimestamp = future }, tokens.ReasonDeleted, "Secret"},
		{"secret of another type", func(p parts) { p.secret.Type = corev1.SecretTypeOpaque }, tokens.ReasonSecretType, "Secret"},
		{"secret without token", func(p parts) { delete(p.secret.Data, "token") }, tokens.ReasonReplaced, "Secret"},
		{"secret with another token", func(p parts) { p.secret.Data["token"] = []byte(again) }, tokens.ReasonReplaced, "Secret"},
		{"secret with another last byte", func(p parts) { p.secret.Data["token"][len(token)-1] ^= 1 }, tokens.ReasonReplaced, "Secret"},
		{"secret with a longer token", func(p parts) { p.secret.Data["token"] = []byte(token + "A") }, tokens.ReasonReplaced, "Secret"},
		{"no account", func(p parts) { delete(p.Accounts, "ci/builder") }, tokens.ReasonNotFound, "ServiceAccount"},
		{"account to be deleted", func(p parts) { p.account.DeletionTimestamp = future }, tokens.ReasonDeleted, "ServiceAccount"},
		{"account recreated", func(p parts) { p.account.UID = "another" }, tokens.ReasonRecreated, "ServiceAccount"},
		{"account recreated and to be deleted", func(p parts) { p.account.UID, p.account.DeletionTimestamp = "another", future }, tokens.ReasonDeleted, "ServiceAccount"},
		{"marked invalid", func(p parts) { p.secret.Labels = map[string]string{tokens.InvalidSinceLabel: "x"} }, tokens.ReasonMarkedInvalid, "Secret"},
		{"not marked", func(p parts) { p.secret.Labels = map[string]string{tokens.InvalidSinceLabel: ""} }, "", ""},
		{"backend down", func(p parts) { p.Err = down }, tokens.ReasonUnavailable, "Secret"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := tokentest.NewWorld()
			p := parts{w, w.Secrets["ci/builder-token"], w.Accounts["ci/builder"]}
			p.secret.Data["token"] = []byte(token)
			tt.change(p)
			id, err := tokentest.NewAuthenticator(t, w, nil).Authenticate(t.Context(), token)
			switch tt.reason {
			case "":
				if err != nil {
					t.Fatal(err)
				}
				if !id.Legacy || id.Secret.Name != "builder-token" || !id.Expiry.IsZero() || len(id.Audiences) != 2 {
					t.Errorf("Authenticate() = %+v, want a legacy identity for the API audiences", id)
				}
			case tokens.ReasonUnavailable:
				if e, ok := errors.AsType[*tokens.UnavailableError](err); !ok || e.Subject != tt.what || !errors.Is(err, down) {
					t.Fatalf("Authenticate() = %v, want an UnavailableError", err)
				}
			default:
				wantInvalid(t, err, tt.reason, tt.what)
			}
		})
	}
}
