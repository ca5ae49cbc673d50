package furthervolume

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/admission/internal/budget"
)

// Steps returns how many steps Decide takes.
func Steps(v *Volume, pod *corev1.Pod, account *corev1.ServiceAccount) (int, error) {
	var b budget.Budget
	_, err := v.decide(&b, pod, account)
	return b.Steps(), err
}
