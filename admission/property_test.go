package admission_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/admission"
)

// randomPod returns a pod of the kind that admission has to think about, the same
// for the same r.
func randomPod(r *rand.Rand) *corev1.Pod {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	some := func(f func()) {
		for range r.IntN(4) {
			f()
		}
	}
	p := pod()
	p.Spec.Containers = nil
	if r.IntN(8) == 0 {
		mirror(p)
	}
	if r.IntN(4) == 0 {
		p.Annotations = map[string]string{"example.com/no-token": pick("", "a", "b,c", " a , c")}
	}
	p.Spec.ServiceAccountName = pick("", "", "default", "robot", "gone")
	p.Spec.DeprecatedServiceAccount = pick("", p.Spec.ServiceAccountName, "robot")
	p.Spec.AutomountServiceAccountToken = automount(pick("unset", "unset", "true", "false"))
	some(func() {
		p.Spec.ImagePullSecrets = append(p.Spec.ImagePullSecrets, corev1.LocalObjectReference{Name: pick("registry", "foo", "")})
	})
	some(func() {
		name := pick("data", "kube-api-access-", "kube-api-access-x", tokenVolumeName, "t1", "t1-abc12")
		v := secretVolume(name, pick("foo", "t1", "s"))
		switch r.IntN(5) {
		case 0:
			v = tokenVolume(name)
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
			c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "data", MountPath: pick("/data", mountPath, mountPath+"/", mountPath+"/x")})
		})
		if r.IntN(6) == 0 {
			c.Env = secretEnv(pick("foo", "s"))
		}
		if r.IntN(6) == 0 {
			c.EnvFrom = secretEnvFrom(pick("foo", "t1", "s"))
		}
		return c
	}
	some(func() { p.Spec.InitContainers = append(p.Spec.InitContainers, container()) })
	some(func() { p.Spec.Containers = append(p.Spec.Containers, container()) })
	if r.IntN(4) == 0 {
		debug(container())(p)
	}
	return p
}

// randomPlugin returns a Plugin, its accounts and its configuration.
func randomPlugin(t testing.TB, r *rand.Rand) (*admission.Plugin, *objects, admission.Config) {
	t.Helper()
	enforce := func(a *corev1.ServiceAccount) {
		if r.IntN(2) == 0 {
			enforces("true")(a)
		}
		a.AutomountServiceAccountToken = automount([]string{"unset", "unset", "true", "false"}[r.IntN(4)])
	}
	o := have(
		account("default", lists("foo", "t1"), pulls("registry"), enforce), account("robot", enforce),
		tokenSecret("t1", "default", "uid-1"),
	)
	cfg := admission.Config{
		ServiceAccounts: o, NewName: fixedName, WaitTimeout: -1,
		Strict: r.IntN(2) == 0, LimitSecretReferences: r.IntN(4) == 0,
	}
	if r.IntN(3) == 0 {
		cfg.TokenVolume, cfg.Secrets, cfg.AllowMissingToken = admission.SecretBacked, o, r.IntN(2) == 0
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

// checkProperties admits a random pod and checks what always holds. It returns
// whether the pod was admitted.
func checkProperties(t *testing.T, seed uint64) bool {
	r := rand.New(rand.NewPCG(seed, 1))
	p, o, cfg := randomPlugin(t, r)
	in := randomPod(r)
	before := in.DeepCopy()
	accounts := fmt.Sprint(o.accounts["shop/default"], o.accounts["shop/robot"])

	plan, refusal := p.Plan(t.Context(), create(in))
	if diff := cmp.Diff(before, in); diff != "" {
		t.Fatalf("seed %d: Plan changed the pod (-before +after):\n%s", seed, diff)
	}
	err := p.Admit(t.Context(), create(in))
	if diff := cmp.Diff(err, refusal); diff != "" {
		t.Fatalf("seed %d: Plan refuses otherwise than Admit (-Admit +Plan):\n%s", seed, diff)
	}
	if got := fmt.Sprint(o.accounts["shop/default"], o.accounts["shop/robot"]); got != accounts {
		t.Fatalf("seed %d: the accounts became %s, were %s", seed, got, accounts)
	}
	if err != nil {
		if diff := cmp.Diff(before, in); diff != "" {
			t.Fatalf("seed %d: a refused pod changed (-before +after):\n%s", seed, diff)
		}
		return false
	}
	if diff := cmp.Diff(in, carryOut(t, plan, before), cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("seed %d: Admit does something else than the plan (-Admit +Plan):\n%s\n%s", seed, diff, plan)
	}
	once := in.DeepCopy()
	if err := p.Admit(t.Context(), create(in)); err != nil {
		t.Fatalf("seed %d: the second Admit = %v", seed, err)
	}
	if diff := cmp.Diff(once, in); diff != "" {
		t.Fatalf("seed %d: the second Admit changed the pod (-once +twice):\n%s", seed, diff)
	}
	if plan, err := p.Plan(t.Context(), create(in)); err != nil || plan.Changes() {
		t.Fatalf("seed %d: the plan after Admit is %s (%v), want no changes", seed, plan, err)
	}
	if err := p.Validate(t.Context(), create(in)); err != nil {
		t.Fatalf("seed %d: Validate after Admit = %v", seed, err)
	}
	if _, isMirror := before.Annotations[corev1.MirrorPodAnnotationKey]; isMirror {
		if diff := cmp.Diff(before, in); diff != "" {
			t.Fatalf("seed %d: a mirror pod changed (-before +after):\n%s", seed, diff)
		}
		return true
	}
	if diff := cmp.Diff(before, withoutAdditions(before, once, cfg)); diff != "" {
		t.Fatalf("seed %d: more than was to be added (-before +after, without the additions):\n%s", seed, diff)
	}
	return true
}

// withoutAdditions takes from after what admission may add to before: the account,
// one volume, one mount per container and the pull secrets.
func withoutAdditions(before, after *corev1.Pod, cfg admission.Config) *corev1.Pod {
	p := after.DeepCopy()
	p.Spec.ServiceAccountName, p.Spec.DeprecatedServiceAccount = before.Spec.ServiceAccountName, before.Spec.DeprecatedServiceAccount
	if len(before.Spec.ImagePullSecrets) == 0 {
		p.Spec.ImagePullSecrets = before.Spec.ImagePullSecrets
	}
	if n := len(before.Spec.Volumes); len(p.Spec.Volumes) == n+1 {
		p.Spec.Volumes = append([]corev1.Volume(nil), p.Spec.Volumes[:n]...)
	}
	for i, list := range [][]corev1.Container{before.Spec.InitContainers, before.Spec.Containers} {
		got := [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers}[i]
		for j := range list {
			n := len(list[j].VolumeMounts)
			if len(got[j].VolumeMounts) == n+1 && got[j].VolumeMounts[n].MountPath == mountPath {
				got[j].VolumeMounts = append([]corev1.VolumeMount(nil), got[j].VolumeMounts[:n]...)
			}
		}
	}
	return p
}

func TestPropertiesOfAdmit(t *testing.T) {
	// ADM-7, A13, A14; invariants P1 and P2 of the admission model.
	admitted := 0
	for seed := range uint64(1500) {
		if checkProperties(t, seed) {
			admitted++
		}
	}
	if admitted < 250 || admitted > 1450 {
		t.Errorf("%d of 1500 pods were admitted: the pods do not test much", admitted)
	}
}

func FuzzAdmit(f *testing.F) {
	f.Add([]byte("12345678"))
	f.Fuzz(func(t *testing.T, seed []byte) {
		checkProperties(t, binary.LittleEndian.Uint64(append(seed, make([]byte, 8)...)))
	})
}
