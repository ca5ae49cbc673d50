package sacontroller

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// ownerOf returns the account that the annotations of a token Secret name. The
// UID may be empty.
func ownerOf(secret *corev1.Secret) (name string, uid types.UID) {
	return secret.Annotations[corev1.ServiceAccountNameKey], types.UID(secret.Annotations[corev1.ServiceAccountUIDKey])
}

// belongsTo reports whether secret is a token Secret of account (TOK-85). The
// tokens package has the same rule; these lines are here so that this package
// doesn't link signing and verifying.
func belongsTo(secret *corev1.Secret, account *corev1.ServiceAccount) bool {
	name, uid := ownerOf(secret)
	return secret.Type == corev1.SecretTypeServiceAccountToken && secret.Namespace == account.Namespace &&
		name == account.Name && (uid == "" || uid == account.UID)
}
