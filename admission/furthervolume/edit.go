package furthervolume

import (
	"github.com/kubesa/serviceaccount/admission/internal/podrules"
	"github.com/kubesa/serviceaccount/internal/names"
)

// An Edit is one addition to a pod, or one that could be expected and is not made.
// It is safe for concurrent use while nobody changes it.
type Edit struct {
	// Field is the field of the pod's spec that gets one more: volumes; or initContainers
	// or containers, of which one gets one more of its volumeMounts or env.
	Field string
	// Container is the index of the container that gets a mount or a variable.
	Container int
	// Env says that it is about a variable of the container.
	Env bool
	// Add is what is added: a [corev1.Volume], a [corev1.VolumeMount] or a
	// [corev1.EnvVar]. It is nil if nothing is. Edits may share it: copy it.
	Add any

	volume, container, why string
}

// Why says why something is added or not. It is for people, and may change from release
// to release.
func (e *Edit) Why() string {
	why := e.why
	if e.Field != podrules.Volumes {
		why = "container " + names.Printable(e.container) + why
	}
	if e.Add == nil {
		why = e.volume + ": " + why
	}
	return why
}
