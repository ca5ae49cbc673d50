// Package tokensecrettest has an account and its token Secret, of which tests break one
// thing each.
package tokensecrettest

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// DeletedAt is a deletion timestamp.
var DeletedAt = metav1.Unix(1700000000, 0)

// Account returns the account of [Secret].
func Account() *corev1.ServiceAccount {
	return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default", Namespace: "ns", UID: "12345", ResourceVersion: "1"}}
}

// Secret returns a complete token Secret of [Account].
func Secret() *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name: "token-secret-1", Namespace: "ns", UID: "23456", ResourceVersion: "1",
			Annotations: map[string]string{
				"kubernetes.io/service-account.name": "default",
				"kubernetes.io/service-account.uid":  "12345",
				"team":                               "a",
			},
		},
		Type: "kubernetes.io/service-account-token",
		Data: map[string][]byte{"token": []byte("ABC"), "ca.crt": []byte("CA Data"), "namespace": []byte("ns"), "extra": []byte("kept")},
	}
}

// AccountWithUID returns [Account] with another UID.
func AccountWithUID(uid types.UID) *corev1.ServiceAccount {
	a := Account()
	a.UID = uid
	return a
}

// WithoutUID removes the annotation with the account's UID.
func WithoutUID(s *corev1.Secret) { delete(s.Annotations, "kubernetes.io/service-account.uid") }

// References returns the list of Secrets of an account.
func References(names ...string) []corev1.ObjectReference {
	r := []corev1.ObjectReference{}
	for _, n := range names {
		r = append(r, corev1.ObjectReference{Name: n})
	}
	return r
}
