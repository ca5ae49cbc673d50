package rootca

import (
	"slices"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// CTB-14, CTB-15: the next attempt is when the first of those that are left may go, in
// whatever order the Reader has them.
func TestPlanTrustBundles(t *testing.T) {
	begin := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	made := func(content string, after time.Duration) *certificatesv1.ClusterTrustBundle {
		b := &certificatesv1.ClusterTrustBundle{Spec: certificatesv1.ClusterTrustBundleSpec{SignerName: ServingSigner, TrustBundle: content}}
		b.Name, b.Labels = trustBundleName(content), map[string]string{OwnerLabel: "owner"}
		b.CreationTimestamp = metav1.NewTime(begin.Add(after))
		return b
	}
	elsewhere := made("of another signer", -time.Hour)
	elsewhere.Spec.SignerName = "example.com/signer"
	bundles := []*certificatesv1.ClusterTrustBundle{
		made("current", 0), made("older", -time.Hour), made("newer", 10*time.Minute), made("newest", 20*time.Minute), elsewhere,
	}
	for _, tt := range []struct {
		after   time.Duration
		deletes []string
		again   time.Duration
	}{
		{after: 30 * time.Minute, again: 30 * time.Minute},
		{after: time.Hour, deletes: []string{"older"}, again: 70 * time.Minute},
		{after: 130 * time.Minute, deletes: []string{"newer", "older"}, again: 10 * time.Minute},
		{after: 140 * time.Minute, deletes: []string{"newer", "newest", "older"}},
	} {
		for range 2 {
			slices.Reverse(bundles)
			plan := planTrustBundles(bundles, "current", "owner", begin.Add(tt.after), time.Hour)
			var deletes []string
			for _, b := range plan.deletes {
				deletes = append(deletes, b.Spec.TrustBundle)
			}
			slices.Sort(deletes)
			if plan.write != nil || plan.again != tt.again || !slices.Equal(deletes, tt.deletes) {
				t.Errorf("planTrustBundles() after %v = %+v with the deletes %q, want %q, and again after %v", tt.after, plan, deletes, tt.deletes, tt.again)
			}
		}
	}
}
