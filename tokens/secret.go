package tokens

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/internal/tokensecret"
	"github.com/kubesa/serviceaccount/tokens/internal/payload"
)

// Words in tokens, and on the Secrets that have them.
const (
	// LegacyIssuer is the "iss" of every Secret-based token.
	LegacyIssuer = payload.LegacyIssuer

	// AttestedAPIGroups is the one attestation of Kubernetes 1.37: the API groups
	// of the objects that a webhook may be asked about with the token.
	AttestedAPIGroups = "admissionReviewAPIGroups"

	// LastUsedLabel holds the day, such as 2026-01-31, on which the token of a
	// Secret was last used, and InvalidSinceLabel the day since which it is rejected
	// because it was unused for too long.
	LastUsedLabel     = tokensecret.LastUsedLabel
	InvalidSinceLabel = tokensecret.InvalidSinceLabel
)

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
