package furthervolume

import (
	"context"

	corev1 "k8s.io/api/core/v1"
)

// Steps returns how many steps Decide takes.
func Steps(volumes []Volume, pod *corev1.Pod, account *corev1.ServiceAccount) (int, error) {
	d := newDecider(context.Background(), pod, account)
	err := d.decideAll(volumes)
	return d.budget.Steps(), err
}
