package admission_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/admission"
)

// What older releases did otherwise is not brought back.
func TestFlawsOfOlderReleases(t *testing.T) {
	secretBacked := func(o *objects) func(*admission.Config) {
		return func(c *admission.Config) { c.TokenVolume, c.Secrets = admission.SecretBacked, o }
	}
	t.Run("any Secret is mounted", func(t *testing.T) {
		// ADM-120: the first Secret that exists, token or not. ADM-126: the first in the cache.
		plain := &corev1.Secret{}
		plain.Namespace, plain.Name, plain.Type = "shop", "plain", corev1.SecretTypeOpaque
		o := have(account("default", lists("plain", "t2", "t1")), plain, tokenSecret("t1", "default", "uid-1"), tokenSecret("t2", "default", "uid-1"))
		in := pod()
		wantStatus(t, plugin(t, o, secretBacked(o)).Admit(t.Context(), create(in)), nil)
		if got := in.Spec.Volumes[0].Secret.SecretName; got != "t2" {
			t.Errorf("mounted %s, want t2: the first token that the account lists", got)
		}
	})
	t.Run("a token Secret is needed for a projected token", func(t *testing.T) {
		// ADM-122
		o := have(account("default"))
		wantStatus(t, plugin(t, o).Admit(t.Context(), create(pod())), nil)
		if n := o.Reads.Load(); n != 1 {
			t.Errorf("read %d objects, want only the account", n)
		}
	})
	t.Run("lifetime and mode of the volume", func(t *testing.T) {
		// ADM-121, ADM-124, ADM-125: 3600 s and no mode; no init containers; no way out.
		in := pod(inits(corev1.Container{Name: "first"}))
		wantStatus(t, plugin(t, have(account("default"))).Admit(t.Context(), create(in)), nil)
		wantPod(t, in, pod(runsAs("default"), inits(corev1.Container{Name: "first", VolumeMounts: []corev1.VolumeMount{tokenMount(tokenVolumeName)}}),
			withMounts(tokenMount(tokenVolumeName)), withVolumes(tokenVolume(tokenVolumeName)),
			func(p *corev1.Pod) { p.Spec.ImagePullSecrets = []corev1.LocalObjectReference{} }))
		off := pod(func(p *corev1.Pod) { p.Spec.AutomountServiceAccountToken = new(bool) })
		wantStatus(t, plugin(t, have(account("default"))).Admit(t.Context(), create(off)), nil)
		if len(off.Spec.Volumes) != 0 {
			t.Error("a pod that wants no token got a volume")
		}
	})
	t.Run("mirror pods", func(t *testing.T) {
		// ADM-123: only volumes were looked at, and the text began with a capital letter.
		in := pod(mirror, pullFrom("registry"))
		wantStatus(t, plugin(t, have()).Admit(t.Context(), create(in)), forbidden("a mirror pod may not reference secrets"))
	})
	t.Run("texts of a missing account", func(t *testing.T) {
		// ADM-118
		wantStatus(t, plugin(t, have()).Admit(t.Context(), create(pod(runsAs("gone")))),
			forbidden(`error looking up service account shop/gone: serviceaccount "gone" not found`))
	})
	t.Run("limits", func(t *testing.T) {
		// ADM-227, ADM-228: environments, and those of ephemeral containers, were not limited.
		p := plugin(t, have(account("a", enforces("true"))))
		for _, req := range []admission.Request{
			create(pod(runsAs("a"), main(corev1.Container{Name: "c", Env: secretEnv("s")}))),
			create(pod(runsAs("a"), inits(corev1.Container{Name: "c", EnvFrom: secretEnvFrom("s")}))),
			updateEphemeral(pod(runsAs("a"), debug(corev1.Container{Name: "c", EnvFrom: secretEnvFrom("s")}))),
		} {
			if err := p.Validate(t.Context(), req); err == nil {
				t.Errorf("%s of %v is allowed", req.Operation, req.Pod.Spec)
			}
		}
	})
}
