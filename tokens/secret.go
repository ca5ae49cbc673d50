package tokens

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/internal/tokensecret"
)

// LegacyIssuer is the "iss" of every Secret-based token.
const LegacyIssuer = "kubernetes/serviceaccount"

// Names on token Secrets, which are those of type
// [corev1.SecretTypeServiceAccountToken]. The keys of their data are
// [corev1.ServiceAccountTokenKey], [corev1.ServiceAccountRootCAKey] and
// [corev1.ServiceAccountNamespaceKey].
const (
	AccountNameAnnotation = corev1.ServiceAccountNameKey // kubernetes.io/service-account.name
	AccountUIDAnnotation  = corev1.ServiceAccountUIDKey  // kubernetes.io/service-account.uid

	// LastUsedLabel holds the day, such as 2026-01-31, on which the token was
	// last used, and InvalidSinceLabel the day since which it is rejected because
	// it was unused for too long.
	LastUsedLabel     = tokensecret.LastUsedLabel
	InvalidSinceLabel = tokensecret.InvalidSinceLabel
)

// IsTokenSecret reports whether secret holds the token of a ServiceAccount, by
// its type alone.
func IsTokenSecret(secret *corev1.Secret) bool { return tokensecret.Is(secret) }

// TokenSecretOwner returns the account that a token Secret names in its
// annotations. Both results are empty unless secret is a token Secret; uid is
// empty until a controller or the user has set it.
func TokenSecretOwner(secret *corev1.Secret) (name string, uid types.UID) {
	return tokensecret.Owner(secret)
}

// IsTokenSecretOf reports whether secret is a token Secret of account: it is in
// the account's namespace, names the account, and has either no UID or the
// account's.
func IsTokenSecretOf(secret *corev1.Secret, account *corev1.ServiceAccount) bool {
	return tokensecret.BelongsTo(secret, account)
}
