package tokens

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// LegacyIssuer is the "iss" of every token that stands in a Secret (CST-17).
const LegacyIssuer = "kubernetes/serviceaccount"

// Names on token Secrets, which are those of type
// [corev1.SecretTypeServiceAccountToken] (CST-7..9). The keys of their data are
// [corev1.ServiceAccountTokenKey], [corev1.ServiceAccountRootCAKey] and
// [corev1.ServiceAccountNamespaceKey].
const (
	AccountNameAnnotation = corev1.ServiceAccountNameKey // kubernetes.io/service-account.name
	AccountUIDAnnotation  = corev1.ServiceAccountUIDKey  // kubernetes.io/service-account.uid

	// LastUsedLabel holds the day on which the token was last accepted, and
	// InvalidSinceLabel the day since which it is refused because nobody used
	// it. Both are written as [FormatDay] does (CST-10).
	LastUsedLabel     = "kubernetes.io/legacy-token-last-used"
	InvalidSinceLabel = "kubernetes.io/legacy-token-invalid-since"
)

// dayLayout is the layout of the labels' values.
const dayLayout = "2006-01-02"

// IsTokenSecret reports whether secret is one that holds the token of a
// ServiceAccount, going by its type alone.
func IsTokenSecret(secret *corev1.Secret) bool {
	return secret != nil && secret.Type == corev1.SecretTypeServiceAccountToken
}

// TokenSecretOwner returns which account secret says it belongs to. Both are
// empty unless it is a token Secret; uid is empty until a controller or the
// user has filled it in.
func TokenSecretOwner(secret *corev1.Secret) (name string, uid types.UID) {
	if !IsTokenSecret(secret) {
		return "", ""
	}
	return secret.Annotations[AccountNameAnnotation], types.UID(secret.Annotations[AccountUIDAnnotation])
}

// IsTokenSecretOf reports whether secret is a token Secret of account: it has
// the type, is in the account's namespace, names the account, and has either
// no UID or the account's (TOK-85).
func IsTokenSecretOf(secret *corev1.Secret, account *corev1.ServiceAccount) bool {
	if !IsTokenSecret(secret) || account == nil || secret.Namespace != account.Namespace {
		return false
	}
	name, uid := TokenSecretOwner(secret)
	return name == account.Name && (uid == "" || uid == account.UID)
}

// ReferencesSecret reports whether account lists the Secret called name, as it
// lists those that were generated for it.
func ReferencesSecret(account *corev1.ServiceAccount, name string) bool {
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

// FormatDay returns the day of t in UTC as the labels of token Secrets have it.
func FormatDay(t time.Time) string { return t.UTC().Format(dayLayout) }

// ParseDay reads what [FormatDay] writes.
func ParseDay(s string) (time.Time, error) { return time.Parse(dayLayout, s) }
