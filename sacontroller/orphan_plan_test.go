package sacontroller

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

var deletedAt = metav1.Unix(1700000000, 0)

// goodAccount and goodSecret are the account and the complete token Secret of the
// cases below, which break one thing each.
func goodAccount() *corev1.ServiceAccount {
	return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default", Namespace: "ns", UID: "12345", ResourceVersion: "1"}}
}

func goodSecret() *corev1.Secret {
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

func withUID(uid types.UID) *corev1.ServiceAccount {
	a := goodAccount()
	a.UID = uid
	return a
}

func noUID(s *corev1.Secret) { delete(s.Annotations, "kubernetes.io/service-account.uid") }

func refs(names ...string) []corev1.ObjectReference {
	r := []corev1.ObjectReference{}
	for _, n := range names {
		r = append(r, corev1.ObjectReference{Name: n})
	}
	return r
}

// CTL-22
func TestOrphansOf(t *testing.T) {
	variant := func(name string, mutate func(*corev1.Secret)) *corev1.Secret {
		s := goodSecret()
		s.Name = name
		mutate(s)
		return s
	}
	secrets := []*corev1.Secret{
		variant("same", func(*corev1.Secret) {}),
		variant("no-uid", noUID),
		variant("other-uid", func(s *corev1.Secret) { s.Annotations["kubernetes.io/service-account.uid"] = "999" }),
		variant("other-name", func(s *corev1.Secret) { s.Annotations["kubernetes.io/service-account.name"] = "x" }),
		variant("opaque", func(s *corev1.Secret) { s.Type = "Opaque" }),
		variant("deleting", func(s *corev1.Secret) { s.DeletionTimestamp = &deletedAt }),
	}
	var got []string
	for _, s := range orphansOf(secrets, Key{Namespace: "ns", Name: "default", UID: "12345"}, "") {
		got = append(got, s.name)
	}
	if diff := cmp.Diff([]string{"same", "no-uid"}, got); diff != "" {
		t.Errorf("orphansOf() (-want +got):\n%s", diff)
	}
}
