package replacing

import (
	"context"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/tokens/tokensource"
)

// BearerToken returns a token that doesn't expire, for a cluster that is managed from
// outside: Argo CD's GetServiceAccountBearerToken and getOrCreateServiceAccountTokenSecret
// (util/clusterauth/clusterauth.go).
func BearerToken(ctx context.Context, client tokensource.SecretClient, namespace, account string) (string, error) {
	secret, err := tokensource.EnsureSecret(ctx, client, namespace, account, tokensource.SecretOptions{Name: account + "-long-lived-token"})
	if err != nil {
		return "", err
	}
	return string(secret.Data[corev1.ServiceAccountTokenKey]), nil
}

// MemberCredentials returns the Secret with the token and the CA that Karmada takes over from
// a member cluster: its WaitForServiceAccountSecretCreation (pkg/util/serviceaccount.go).
func MemberCredentials(ctx context.Context, client tokensource.SecretClient, namespace, account string) (*corev1.Secret, error) {
	return tokensource.EnsureSecret(ctx, client, namespace, account, tokensource.SecretOptions{Name: account})
}

// EnsureLabelledSecret is Rancher's EnsureSecretForServiceAccount
// (pkg/serviceaccounttoken/secret.go). The name is that of the account, so two replicas get
// the same Secret without a reference in the account.
func EnsureLabelledSecret(ctx context.Context, client tokensource.SecretClient, namespace, account string) (*corev1.Secret, error) {
	return tokensource.EnsureSecret(ctx, client, namespace, account, tokensource.SecretOptions{
		Labels: map[string]string{"cattle.io/service-account.name": account},
	})
}

// RotateBearerToken replaces the token of [BearerToken]: Argo CD's
// GenerateNewClusterManagerSecret and RotateServiceAccountSecrets (same file). save stores
// the new token where Argo CD reads it; until it has, the old one works.
func RotateBearerToken(ctx context.Context, client tokensource.SecretClient, old *corev1.Secret, save func(ctx context.Context, token string) error) error {
	_, err := tokensource.RotateSecret(ctx, client, old, func(ctx context.Context, secret *corev1.Secret) error {
		return save(ctx, string(secret.Data[corev1.ServiceAccountTokenKey]))
	}, tokensource.SecretOptions{})
	return err
}
