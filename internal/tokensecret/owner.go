package tokensecret

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Is reports whether secret is a token Secret, by its type alone. A nil Secret
// is none.
func Is(secret *corev1.Secret) bool {
	return secret != nil && secret.Type == corev1.SecretTypeServiceAccountToken
}

// Owner returns the account that a token Secret names in its annotations. Both
// results are empty if secret is no token Secret, uid alone if nobody has set it
// yet (CST-7, CST-8).
func Owner(secret *corev1.Secret) (name string, uid types.UID) {
	if !Is(secret) {
		return "", ""
	}
	return secret.Annotations[corev1.ServiceAccountNameKey], types.UID(secret.Annotations[corev1.ServiceAccountUIDKey])
}

// BelongsTo reports whether secret is a token Secret of account: of its
// namespace, annotated with its name, and with its UID or none (TOK-85). Whether
// it holds a token doesn't matter.
func BelongsTo(secret *corev1.Secret, account *corev1.ServiceAccount) bool {
	if !Is(secret) || account == nil || secret.Namespace != account.Namespace {
		return false
	}
	name, uid := Owner(secret)
	return name == account.Name && (uid == "" || uid == account.UID)
}

// Listed reports whether account lists a Secret called name, as it lists the
// Secrets that were generated for it.
func Listed(account *corev1.ServiceAccount, name string) bool {
	if account == nil {
		return false
	}
	for i := range account.Secrets {
		if account.Secrets[i].Name == name {
			return true
		}
	}
	return false
}
