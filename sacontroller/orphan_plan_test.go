package sacontroller

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/internal/tokensecret/tokensecrettest"
)

var (
	deletedAt   = tokensecrettest.DeletedAt
	goodAccount = tokensecrettest.Account
	goodSecret  = tokensecrettest.Secret
	noUID       = tokensecrettest.WithoutUID
	refs        = tokensecrettest.References
)

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

func secretWith(mutate func(*corev1.Secret)) *corev1.Secret {
	s := goodSecret()
	mutate(s)
	return s
}
