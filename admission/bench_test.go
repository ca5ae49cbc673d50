package admission_test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/admission"
)

// maxAllocations is the goal for one call of Admit.
const maxAllocations = 5

func podOf(containers int) *corev1.Pod {
	p := pod()
	p.Spec.Containers = make([]corev1.Container, containers)
	for i := range p.Spec.Containers {
		p.Spec.Containers[i] = corev1.Container{Name: fmt.Sprintf("c%d", i), VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}}
	}
	return p
}

// restore undoes what Admit does, without allocating.
func restore(p *corev1.Pod, mounts [][]corev1.VolumeMount) {
	p.Spec.ServiceAccountName, p.Spec.DeprecatedServiceAccount = "", ""
	p.Spec.Volumes, p.Spec.ImagePullSecrets = nil, nil
	for i := range p.Spec.Containers {
		p.Spec.Containers[i].VolumeMounts = mounts[i]
	}
}

func mountsOf(p *corev1.Pod) (mounts [][]corev1.VolumeMount) {
	for i := range p.Spec.Containers {
		mounts = append(mounts, p.Spec.Containers[i].VolumeMounts)
	}
	return mounts
}

func BenchmarkAdmit(b *testing.B) {
	for _, containers := range []int{1, 10} {
		b.Run(fmt.Sprintf("containers=%d", containers), func(b *testing.B) {
			p := plugin(b, have(account("default", pulls("registry"))), func(c *admission.Config) { c.NewName = nil })
			in := podOf(containers)
			mounts, ctx := mountsOf(in), b.Context()
			b.ReportAllocs()
			for b.Loop() {
				restore(in, mounts)
				if err := p.Admit(ctx, create(in)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestAllocationsOfAdmit(t *testing.T) {
	for _, containers := range []int{1, 10} {
		p := plugin(t, have(account("default", pulls("registry"))), func(c *admission.Config) { c.NewName = nil })
		in := podOf(containers)
		mounts, ctx := mountsOf(in), t.Context()
		n := testing.AllocsPerRun(100, func() {
			restore(in, mounts)
			if err := p.Admit(ctx, create(in)); err != nil {
				t.Fatal(err)
			}
		})
		if n > maxAllocations {
			t.Errorf("Admit of %d containers allocates %v times, want at most %d", containers, n, maxAllocations)
		}
	}
}
