package tokens_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/internal/tokentest"
)

// TOK-85, CST-7, CST-8
// CST-7..9
func TestIsTokenSecretOf(t *testing.T) {
	tests := []struct {
		name   string
		change func(*corev1.Secret)
		want   bool
	}{
		{"match", func(*corev1.Secret) {}, true},
		{"no UID", func(s *corev1.Secret) { delete(s.Annotations, "kubernetes.io/service-account.uid") }, true},
		{"other name", func(s *corev1.Secret) { s.Annotations["kubernetes.io/service-account.name"] = "other" }, false},
		{"no name", func(s *corev1.Secret) { delete(s.Annotations, "kubernetes.io/service-account.name") }, false},
		{"other UID", func(s *corev1.Secret) { s.Annotations["kubernetes.io/service-account.uid"] = "other" }, false},
		{"other type", func(s *corev1.Secret) { s.Type = corev1.SecretTypeOpaque }, false},
		{"other namespace", func(s *corev1.Secret) { s.Namespace = "other" }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := tokentest.NewWorld()
			secret := w.Secrets["ci/builder-token"]
			tt.change(secret)
			if got := tokens.IsTokenSecretOf(secret, w.Accounts["ci/builder"]); got != tt.want {
				t.Errorf("IsTokenSecretOf() = %v, want %v", got, tt.want)
			}
		})
	}
	if tokens.IsTokenSecretOf(nil, &corev1.ServiceAccount{ObjectMeta: tokentest.Meta("ci", "builder")}) || tokens.IsTokenSecretOf(tokentest.NewWorld().Secrets["ci/builder-token"], nil) {
		t.Error("IsTokenSecretOf() = true for nothing")
	}
	if name, uid := tokens.TokenSecretOwner(tokentest.NewWorld().Secrets["ci/settings"]); name != "" || uid != "" {
		t.Errorf("TokenSecretOwner() = %s, %s for another Secret, want none", name, uid)
	}
}
