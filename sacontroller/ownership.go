package sacontroller

import (
	corev1 "k8s.io/api/core/v1"
)

// belongsTo reports whether secret is a token Secret of account (TOK-85).
func belongsTo(secret *corev1.Secret, account *corev1.ServiceAccount) bool {
	name, uid := ownerOf(secret)
	return secret.Type == corev1.SecretTypeServiceAccountToken && secret.Namespace == account.Namespace &&
		name == account.Name && (uid == "" || uid == account.UID)
}
