package admissiontest

import (
	"math/rand/v2"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/admission"
)

// RandomPod returns a pod of the kind that admission has to think about, the same
// for the same r.
func RandomPod(r *rand.Rand) *corev1.Pod {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	some := func(f func()) {
		for range r.IntN(4) {
			f()
		}
	}
	p := Pod()
	p.Spec.Containers = nil
	if r.IntN(8) == 0 {
		Mirror(p)
	}
	if r.IntN(4) == 0 {
		p.Annotations = map[string]string{"example.com/no-token": pick("", "a", "b,c", " a , c")}
	}
	p.Spec.ServiceAccountName = pick("", "", "default", "robot", "gone")
	p.Spec.DeprecatedServiceAccount = pick("", p.Spec.ServiceAccountName, "robot")
	p.Spec.AutomountServiceAccountToken = Automount(pick("unset", "unset", "true", "false"))
	some(func() {
		p.Spec.ImagePullSecrets = append(p.Spec.ImagePullSecrets, corev1.LocalObjectReference{Name: pick("registry", "foo", "")})
	})
	some(func() {
		name := pick("data", "kube-api-access-", "kube-api-access-x", TokenVolumeName, "t1", "t1-abc12")
		v := SecretVolume(name, pick("foo", "t1", "s"))
		if r.IntN(4) == 0 {
			v.Secret.Items = []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}}
		}
		switch r.IntN(5) {
		case 0:
			v = TokenVolume(name)
			some(func() { tweak(r, v.Projected) })
		case 1:
			v = corev1.Volume{Name: name}
		case 2:
			v.Secret, v.CSI = nil, &corev1.CSIVolumeSource{NodePublishSecretRef: &corev1.LocalObjectReference{Name: pick("foo", "s")}}
		}
		p.Spec.Volumes = append(p.Spec.Volumes, v)
	})
	container := func() corev1.Container {
		c := corev1.Container{Name: pick("a", "b", "c")}
		some(func() {
			c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "data", MountPath: pick("/data", MountPath, MountPath+"/", MountPath+"/x")})
		})
		if r.IntN(6) == 0 {
			c.Env = SecretEnv(pick("foo", "s"))
		}
		if r.IntN(6) == 0 {
			c.EnvFrom = SecretEnvFrom(pick("foo", "t1", "s"))
		}
		return c
	}
	some(func() { p.Spec.InitContainers = append(p.Spec.InitContainers, container()) })
	some(func() { p.Spec.Containers = append(p.Spec.Containers, container()) })
	if r.IntN(4) == 0 {
		Debug(container())(p)
	}
	return p
}

// tweak changes p, a token volume, in one respect: in what tells it from another.
func tweak(r *rand.Rand, p *corev1.ProjectedVolumeSource) {
	mode, number := int32(0o644), int64(3607)
	source := &p.Sources[r.IntN(len(p.Sources))]
	switch r.IntN(12) {
	case 0:
		p.DefaultMode = nil
	case 1:
		mode = int32(r.IntN(0o1000))
		p.DefaultMode = &mode
	case 2:
		p.Sources = append(p.Sources, corev1.VolumeProjection{})
	case 3:
		source.Secret = &corev1.SecretProjection{}
	case 4:
		source.ClusterTrustBundle = &corev1.ClusterTrustBundleProjection{Path: "x"}
	case 5:
		source.PodCertificate = &corev1.PodCertificateProjection{}
	case 6, 7, 8:
		source.ServiceAccountToken = &corev1.ServiceAccountTokenProjection{
			Audience: []string{"vault", ""}[r.IntN(2)], Path: []string{"token", "token", "other"}[r.IntN(3)], ExpirationSeconds: &number,
		}
		if r.IntN(4) == 0 {
			source.ServiceAccountToken.ExpirationSeconds = nil
		}
	case 9:
		source.ConfigMap = &corev1.ConfigMapProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"},
			Items:                []corev1.KeyToPath{{Key: "ca.crt", Path: []string{"ca.crt", "x"}[r.IntN(2)]}, {Mode: &mode}}[:1+r.IntN(2)],
		}
	case 10:
		source.DownwardAPI = &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{Path: "namespace"}, {Mode: &mode}}[:r.IntN(3)]}
		for i := range source.DownwardAPI.Items {
			source.DownwardAPI.Items[i].FieldRef = &corev1.ObjectFieldSelector{FieldPath: []string{"metadata.namespace", "metadata.name"}[r.IntN(2)]}
		}
	case 11:
		p.Sources[0].ServiceAccountToken = &corev1.ServiceAccountTokenProjection{Path: "token", Audience: "vault", ExpirationSeconds: &number}
	}
}

// RandomPlugin returns a Plugin, its accounts and its configuration.
func RandomPlugin(t testing.TB, r *rand.Rand) (*admission.Plugin, *Objects, admission.Config) {
	t.Helper()
	enforce := func(a *corev1.ServiceAccount) {
		if r.IntN(2) == 0 {
			Enforces("true")(a)
		}
		a.AutomountServiceAccountToken = Automount([]string{"unset", "unset", "true", "false"}[r.IntN(4)])
	}
	o := Have(
		Account("default", Lists("foo", "t1"), Pulls("registry"), enforce), Account("robot", enforce),
		TokenSecret("t1", "default", "uid-1"),
	)
	cfg := admission.Config{
		ServiceAccounts: o, NewName: FixedName, DisableWait: true,
		Strict: r.IntN(2) == 0, LimitSecretReferences: r.IntN(4) == 0,
	}
	if r.IntN(3) == 0 {
		cfg.TokenVolume, cfg.Secrets, cfg.AllowMissingToken = admission.SecretBacked, o, r.IntN(2) == 0
	}
	if r.IntN(2) == 0 {
		cfg.Audience = "vault"
	}
	if r.IntN(2) == 0 {
		cfg.OptOutAnnotation = "example.com/no-token"
	}
	p, err := admission.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p, o, cfg
}
