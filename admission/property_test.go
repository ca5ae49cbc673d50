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

// checkProperties admits a random pod and checks what always holds. It returns
// whether the pod was admitted.
func checkProperties(t *testing.T, seed uint64) bool {
	r := rand.New(rand.NewPCG(seed, 1))
	p, o, cfg := randomPlugin(t, r)
	in := randomPod(r)
	before := in.DeepCopy()
	accounts := fmt.Sprint(o.Accounts["shop/default"], o.Accounts["shop/robot"])

	decision, refusal := p.Decide(t.Context(), create(in))
	if diff := cmp.Diff(before, in); diff != "" {
		t.Fatalf("seed %d: Decide changed the pod (-before +after):\n%s", seed, diff)
	}
	err := p.Admit(t.Context(), create(in))
	if diff := cmp.Diff(err, refusal); diff != "" {
		t.Fatalf("seed %d: Decide denies otherwise than Admit (-Admit +Decide):\n%s", seed, diff)
	}
	if got := fmt.Sprint(o.Accounts["shop/default"], o.Accounts["shop/robot"]); got != accounts {
		t.Fatalf("seed %d: the accounts became %s, were %s", seed, got, accounts)
	}
	if err != nil {
		if diff := cmp.Diff(before, in); diff != "" {
			t.Fatalf("seed %d: a refused pod changed (-before +after):\n%s", seed, diff)
		}
		return false
	}
	if diff := cmp.Diff(in, carryOut(t, decision, before), cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("seed %d: Admit does something else than was decided (-Admit +Decide):\n%s\n%s", seed, diff, decision)
	}
	once := in.DeepCopy()
	if err := p.Admit(t.Context(), create(in)); err != nil {
		t.Fatalf("seed %d: the second Admit = %v", seed, err)
	}
	if diff := cmp.Diff(once, in); diff != "" {
		t.Fatalf("seed %d: the second Admit changed the pod (-once +twice):\n%s", seed, diff)
	}
	if d, err := p.Decide(t.Context(), create(in)); err != nil || d.Changes() {
		t.Fatalf("seed %d: the decision after Admit is %s (%v), want no changes", seed, d, err)
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
	for seed := range uint64(750) {
		if checkProperties(t, seed) {
			admitted++
		}
	}
	if admitted < 125 || admitted > 725 {
		t.Errorf("%d of 750 pods were admitted: the pods do not test much", admitted)
	}
}

func FuzzAdmit(f *testing.F) {
	f.Add([]byte("12345678"))
	f.Fuzz(func(t *testing.T, seed []byte) {
		checkProperties(t, binary.LittleEndian.Uint64(append(seed, make([]byte, 8)...)))
	})
}
