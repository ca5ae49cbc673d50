package sacontroller_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/sacontroller/internal/satest"
)

// CTL-60, CTL-69: a Secret that is created again keeps its reference, but if it then
// goes because it has no account, so does the reference, whatever it is annotated
// with and in whatever order that is noticed.
func TestTokensDanglingReference(t *testing.T) {
	for name, annotations := range map[string]map[string]string{
		"another UID":  {corev1.ServiceAccountNameKey: "default", corev1.ServiceAccountUIDKey: "54321"},
		"another name": {corev1.ServiceAccountNameKey: "nobody"},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(8) {
				cluster := fake.New(satest.Active("ns"), satest.AccountListing("token-secret-1"), satest.Token())
				cluster.Shuffle(seed)
				tokens := newTokens(t, cluster)
				satest.Settle(t, cluster, tokens)
				if err := cluster.DeleteSecret(t.Context(), "ns", "token-secret-1", metav1.DeleteOptions{}); err != nil {
					t.Fatal(err)
				}
				again := satest.Token()
				again.UID, again.Annotations = "", annotations
				if _, err := cluster.CreateSecret(t.Context(), again); err != nil {
					t.Fatal(err)
				}
				satest.Settle(t, cluster, tokens)
				satest.Diff(t, "the Secrets", []string{}, satest.SecretNames(t, cluster, "ns"))
				satest.Diff(t, "the references", []string{}, references(getAccount(t, cluster, "ns", "default")))
			}
		})
	}
}
