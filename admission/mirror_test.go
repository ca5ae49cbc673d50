package admission_test

import (
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/admission"
)

func TestMirrorPods(t *testing.T) {
	const (
		secrets  = "a mirror pod may not reference secrets"
		accounts = "a mirror pod may not reference service accounts"
		tokens   = "a mirror pod may not use ServiceAccountToken volume projections"
	)
	tests := []struct {
		name   string
		change func(*corev1.Pod)
		want   string
	}{
		// ADM-60, ADM-64, ADM-T4
		{name: "good", change: withVolumes(corev1.Volume{Name: "v"})},
		{name: "value of the annotation", change: func(p *corev1.Pod) { p.Annotations[corev1.MirrorPodAnnotationKey] = "true" }},
		{name: "config map", change: withVolumes(corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{}}})},
		{name: "projection without a token", change: withVolumes(corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{ConfigMap: &corev1.ConfigMapProjection{}}}}}})},
		// ADM-61, ADM-T5, A07
		{"account", runsAs("default"), accounts},
		// ADM-61a is about internal objects; the defaulting of v1 copies the name (ADM-13).
		{"account in the deprecated field", func(p *corev1.Pod) { p.Spec.DeprecatedServiceAccount = "default" }, accounts},
		// ADM-62, ADM-T6, A07
		{"secret volume", withVolumes(secretVolume("v", "s")), secrets},
		{"pull secret", func(p *corev1.Pod) { p.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "s"}} }, secrets},
		{"env", func(p *corev1.Pod) { p.Spec.Containers[0].Env = secretEnv("s") }, secrets},
		{"envFrom of an init container", func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{EnvFrom: secretEnvFrom("s")}}
		}, secrets},
		{"env of an ephemeral container", func(p *corev1.Pod) {
			p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Env: secretEnv("s")}}}
		}, secrets},
		// ADM-71
		{name: "pull secret without a name", change: func(p *corev1.Pod) { p.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{}} }},
		// ADM-63, ADM-T7
		{"token", withVolumes(tokenVolume("v")), tokens},
		// ADM-65
		{"account, secret and token", func(p *corev1.Pod) {
			runsAs("default")(p)
			withVolumes(tokenVolume("v"), secretVolume("w", "s"))(p)
		}, accounts},
		{"secret and token", withVolumes(tokenVolume("v"), secretVolume("w", "s")), secrets},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := failing(errors.New("asked"))
			p := plugin(t, o)
			in := pod(mirror, tt.change)
			before := in.DeepCopy()
			var want *metav1.Status
			if tt.want != "" {
				want = forbidden(tt.want)
			}
			wantStatus(t, p.Admit(t.Context(), create(in)), want)
			wantStatus(t, p.Validate(t.Context(), create(in)), want) // ADM-201
			if err := admission.Mutate(admission.Config{}, create(in), account("default"), ""); err != nil {
				t.Errorf("Mutate() = %v, want nil", err)
			}
			wantPod(t, in, before)
			if n := o.Reads.Load(); n != 0 {
				t.Errorf("the account was looked up %d times, want 0", n)
			}
		})
	}
}

func TestEphemeralContainersOfAMirrorPod(t *testing.T) {
	// ADM-66: treated as those of any other pod.
	in := pod(mirror, runsAs("a"))
	p := plugin(t, have())
	wantStatus(t, p.Validate(t.Context(), updateEphemeral(in)), forbidden(
		`error looking up service account shop/a: serviceaccount "a" not found`))
	wantStatus(t, plugin(t, have(account("a"))).Validate(t.Context(), updateEphemeral(in)), nil)
	cfg := admission.Config{LimitSecretReferences: true}
	in = pod(mirror, runsAs("a"), debug(corev1.Container{Name: "c", EnvFrom: secretEnvFrom("s")}))
	wantStatus(t, admission.Check(cfg, updateEphemeral(in), account("a")), unwrapped(
		`ephemeral container c with envFrom referencing secret.secretName="s" is not allowed because service account a does not reference that secret`))
}
