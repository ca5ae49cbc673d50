package legacytoken

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/internal/tokensecret/tokensecrettest"
)

// CLN-2, CLN-6, CLN-7
func TestPlanTracking(t *testing.T) {
	tests := []struct {
		name     string
		data     map[string]string
		absent   bool
		deleting bool
		want     trackingPlan
	}{
		{name: "good", data: map[string]string{"since": "2024-01-31"}, want: trackingGood},
		{name: "absent", absent: true, want: trackingCreate},
		{name: "no data", want: trackingUpdate},
		{name: "no date", data: map[string]string{"x": "y"}, want: trackingUpdate},
		{name: "RFC 3339", data: map[string]string{"since": "2024-01-31T00:00:00Z"}, want: trackingUpdate},
		{name: "garbage", data: map[string]string{"since": "BAD_TIMESTAMP"}, want: trackingUpdate},
		{name: "no such day", data: map[string]string{"since": "2024-02-31"}, want: trackingUpdate},
		{name: "being deleted", deleting: true, want: trackingGood},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := &corev1.ConfigMap{Data: tt.data}
			if tt.absent {
				m = nil
			}
			if tt.deleting {
				m.DeletionTimestamp = &tokensecrettest.DeletedAt
			}
			if got := planTracking(m); got != tt.want {
				t.Errorf("planTracking() = %d, want %d", got, tt.want)
			}
		})
	}
}
