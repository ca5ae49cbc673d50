package legacytoken

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/internal/tokensecret/tokensecrettest"
)

// The cases below are seen on noon of the last day of 2024 with a period of 30
// days: T is 2024-12-01T12:00Z and D is 2024-12-01 (CLN-23).
var (
	cleanupNow    = time.Date(2024, 12, 31, 12, 0, 0, 0, time.UTC)
	cleanupTest   = Policy{Period: 30 * 24 * time.Hour, Since: day("2024-01-01")}
	cleanupBefore = metav1.NewTime(cleanupNow.Add(-30*24*time.Hour - time.Second))
)

func day(s string) time.Time {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return t
}

func label(name, value string) func(*corev1.Secret, *corev1.ServiceAccount, *corev1.Pod) {
	return func(s *corev1.Secret, _ *corev1.ServiceAccount, _ *corev1.Pod) { s.Labels[name] = value }
}

// CLN-23..30, CLN-T3..T6, SECURITY C19
func TestPolicyDecide(t *testing.T) {
	type mutation = func(*corev1.Secret, *corev1.ServiceAccount, *corev1.Pod)
	const invalid, used = "kubernetes.io/legacy-token-invalid-since", "kubernetes.io/legacy-token-last-used"
	tests := []struct {
		name      string
		mutate    mutation
		noAccount bool
		want      Action
		reason    Reason
	}{
		{name: "unused and invalid", want: Delete, reason: Invalid},
		{name: "opaque", mutate: func(s *corev1.Secret, _ *corev1.ServiceAccount, _ *corev1.Pod) { s.Type = "Opaque" }, want: Keep, reason: NotTokenSecret},
		{name: "created exactly a period ago", mutate: func(s *corev1.Secret, _ *corev1.ServiceAccount, _ *corev1.Pod) {
			s.CreationTimestamp = metav1.NewTime(cleanupNow.Add(-30 * 24 * time.Hour))
		}, want: Keep, reason: TooYoung},
		{name: "being deleted", mutate: func(s *corev1.Secret, _ *corev1.ServiceAccount, _ *corev1.Pod) {
			s.DeletionTimestamp = &tokensecrettest.DeletedAt
		}, want: Keep, reason: BeingDeleted},
		{name: "last used yesterday of long ago", mutate: label(used, "2024-11-30"), want: Delete, reason: Invalid},
		{name: "last used on the day of the threshold", mutate: label(used, "2024-12-01"), want: Keep, reason: Used},
		{name: "last used today", mutate: label(used, "2024-12-31"), want: Keep, reason: Used},
		{name: "last used tomorrow", mutate: label(used, "2025-01-01"), want: Keep, reason: Used},
		{name: "last used is no date", mutate: label(used, "2024-11-30T00"), want: Keep, reason: LastUsedInvalid},
		{name: "last used is empty", mutate: label(used, ""), want: Keep, reason: LastUsedInvalid},
		{name: "no account", noAccount: true, want: Keep, reason: NoAccount},
		{name: "account created again", mutate: func(_ *corev1.Secret, a *corev1.ServiceAccount, _ *corev1.Pod) { a.UID = "123456" }, want: Keep, reason: NoAccount},
		{name: "names no account", mutate: func(s *corev1.Secret, _ *corev1.ServiceAccount, _ *corev1.Pod) { s.Annotations = nil }, want: Keep, reason: NoAccount},
		{name: "names no UID", mutate: func(s *corev1.Secret, _ *corev1.ServiceAccount, _ *corev1.Pod) { tokensecrettest.WithoutUID(s) }, want: Delete, reason: Invalid},
		{name: "created by hand", mutate: func(_ *corev1.Secret, a *corev1.ServiceAccount, _ *corev1.Pod) {
			a.Secrets = tokensecrettest.References("other")
		}, want: Keep, reason: NotListed},
		{name: "used by a finished pod", mutate: func(_ *corev1.Secret, _ *corev1.ServiceAccount, p *corev1.Pod) {
			p.Spec.Volumes[0].Secret.SecretName, p.Status.Phase = "token-secret-1", corev1.PodSucceeded
		}, want: Keep, reason: Mounted},
		{name: "not marked", mutate: func(s *corev1.Secret, _ *corev1.ServiceAccount, _ *corev1.Pod) { delete(s.Labels, invalid) }, want: Invalidate, reason: Unused},
		{name: "mark removed by a person", mutate: label(invalid, ""), want: Invalidate, reason: Unused},
		{name: "mark is no date", mutate: label(invalid, "2024-12-31-1"), want: Invalidate, reason: Unused},
		{name: "marked today", mutate: label(invalid, "2024-12-31"), want: Keep, reason: RecentlyInvalidated},
		{name: "marked on the day of the threshold", mutate: label(invalid, "2024-12-01"), want: Keep, reason: RecentlyInvalidated},
		{name: "marked today, used by a pod", mutate: func(s *corev1.Secret, _ *corev1.ServiceAccount, p *corev1.Pod) {
			s.Labels[invalid], p.Spec.Volumes[0].Secret.SecretName = "2024-12-31", "token-secret-1"
		}, want: Keep, reason: RecentlyInvalidated},
		{name: "used after it was marked", mutate: label(used, "2024-12-30"), want: Keep, reason: Used}, // CLN-32
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			secret, account := tokensecrettest.Secret(), tokensecrettest.Account()
			secret.CreationTimestamp = cleanupBefore
			secret.Labels = map[string]string{invalid: "2024-11-30"}
			account.Secrets = tokensecrettest.References("x", "token-secret-1")
			pod := &corev1.Pod{Spec: corev1.PodSpec{Volumes: []corev1.Volume{{VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "y"}}}}}}
			if tt.mutate != nil {
				tt.mutate(secret, account, pod)
			}
			if tt.noAccount {
				account = nil
			}
			action, reason := cleanupTest.Decide(secret, account, []*corev1.Pod{pod}, cleanupNow)
			if action != tt.want || reason != tt.reason {
				t.Errorf("Decide() = %s (%s), want %s (%s)", action, reason, tt.want, tt.reason)
			}
		})
	}
}

// CLN-22
func TestPolicyTracked(t *testing.T) {
	policy := Policy{Period: 24 * time.Hour, Since: day("2024-12-27")}
	edge := time.Date(2024, 12, 29, 0, 0, 0, 0, time.UTC)
	if policy.Tracked(edge.Add(-1)) || !policy.Tracked(edge) {
		t.Errorf("Tracked() just before and at %v = %t, %t, want false, true", edge, policy.Tracked(edge.Add(-1)), policy.Tracked(edge))
	}
	action, reason := policy.Decide(tokensecrettest.Secret(), tokensecrettest.Account(), nil, edge.Add(-1))
	if action != Keep || reason != NotTracked {
		t.Errorf("Decide() before = %s (%s), want keep because use is not tracked", action, reason)
	}
	zone := Policy{Period: 24 * time.Hour, Since: time.Date(2024, 12, 27, 23, 0, 0, 0, time.FixedZone("", 3600))}
	if !zone.Tracked(edge) {
		t.Error("Tracked() with Since in another zone = false, want its UTC day to count")
	}
}
