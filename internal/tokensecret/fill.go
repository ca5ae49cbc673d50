package tokensecret

import (
	"bytes"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A Fill says what a token Secret lacks (CTL-43).
type Fill struct {
	CA, Namespace, Token bool
}

// Lacking returns what secret lacks to be a complete token Secret of account.
// An empty rootCA asks for nothing (CTL-50), and neither does a Secret or an
// account that is being deleted (CTL-54, CTL-55 as we differ).
func Lacking(secret *corev1.Secret, account *corev1.ServiceAccount, rootCA []byte) Fill {
	if secret.DeletionTimestamp != nil || account.DeletionTimestamp != nil {
		return Fill{}
	}
	return Fill{
		CA:        len(rootCA) > 0 && !bytes.Equal(secret.Data[corev1.ServiceAccountRootCAKey], rootCA),
		Namespace: len(secret.Data[corev1.ServiceAccountNamespaceKey]) == 0,
		Token:     len(secret.Data[corev1.ServiceAccountTokenKey]) == 0,
	}
}

// Filled returns a copy of secret with what f asks for, and with the annotations
// that tie it to account (CTL-49). Everything else stays as it is.
func Filled(secret *corev1.Secret, account *corev1.ServiceAccount, f Fill, rootCA []byte, token string) *corev1.Secret {
	s := secret.DeepCopy()
	if s.Data == nil {
		s.Data = map[string][]byte{}
	}
	if f.CA {
		s.Data[corev1.ServiceAccountRootCAKey] = slices.Clone(rootCA)
	}
	if f.Namespace {
		s.Data[corev1.ServiceAccountNamespaceKey] = []byte(s.Namespace)
	}
	if f.Token {
		s.Data[corev1.ServiceAccountTokenKey] = []byte(token)
	}
	if s.Annotations == nil {
		s.Annotations = map[string]string{}
	}
	s.Annotations[corev1.ServiceAccountNameKey] = account.Name
	s.Annotations[corev1.ServiceAccountUIDKey] = string(account.UID)
	return s
}

// DataSize returns how many bytes of data secret holds, as its limit counts them.
func DataSize(secret *corev1.Secret) int {
	size := 0
	for _, value := range secret.Data {
		size += len(value)
	}
	return size
}

// New returns the complete token Secret called name that is generated
// for account (CTL-85).
func New(account *corev1.ServiceAccount, name string, rootCA []byte, token string) *corev1.Secret {
	empty := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: account.Namespace},
		Type:       corev1.SecretTypeServiceAccountToken,
	}
	return Filled(empty, account, Fill{CA: len(rootCA) > 0, Namespace: true, Token: true}, rootCA, token)
}
