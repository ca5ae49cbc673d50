package admission

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// A Decision is what [Plugin.Decide] decides about a pod that is admitted.
type Decision struct {
	// Edits are the changes to the pod, in order, and those that could be
	// expected and are not made. A volume comes before its mounts.
	Edits []Edit
	// Warnings are for the user who sent the request.
	Warnings []string
}

// Changes reports whether the pod is changed at all.
func (d Decision) Changes() bool {
	return slices.ContainsFunc(d.Edits, func(e Edit) bool { return !e.Keep })
}

// String explains the decision, one line an edit. It is deterministic.
func (d Decision) String() string {
	lines := make([]string, len(d.Edits))
	for i := range d.Edits {
		lines[i] = d.Edits[i].String()
	}
	return strings.Join(lines, "\n")
}

// Apply makes the edits to pod, which must be the pod that was decided about,
// unchanged since.
//
// It changes only what it adds to: slices of pod are replaced, never appended to
// in place, and nothing of the account is shared with the pod.
func (d Decision) Apply(pod *corev1.Pod) {
	spec := &pod.Spec
	mounts := d.newMounts(spec)
	for i := range d.Edits {
		e := &d.Edits[i]
		if e.Keep {
			if e.why == accountHasNoPullSecrets && e.further == nil {
				spec.ImagePullSecrets = []corev1.LocalObjectReference{} // a copy of the account's, as in Kubernetes
			}
			continue
		}
		switch e.Field {
		case fieldAccount:
			spec.ServiceAccountName = e.name
		case fieldOldAccount:
			spec.DeprecatedServiceAccount = e.name
		case fieldVolumes:
			n := len(spec.Volumes)
			volumes := make([]corev1.Volume, n+1)
			copy(volumes, spec.Volumes)
			e.setVolume(&volumes[n])
			spec.Volumes = volumes
		case fieldPullSecrets:
			spec.ImagePullSecrets = slices.Clone(e.account.ImagePullSecrets)
		default:
			c := e.containerOf(spec)
			if e.Env {
				c.Env = append(slices.Clip(c.Env), *e.further.env)
				continue
			}
			// All mounts share one array, cut so that appending to those of one
			// container does not write into the next.
			if len(mounts) <= len(c.VolumeMounts) { // it has got another one
				mounts = make([]corev1.VolumeMount, len(c.VolumeMounts)+1)
			}
			n := copy(mounts, c.VolumeMounts)
			e.setMount(&mounts[n])
			c.VolumeMounts, mounts = mounts[:n+1:n+1], mounts[n+1:]
		}
	}
}

// newMounts returns an array with room for the mounts of all containers that get
// one more.
func (d Decision) newMounts(spec *corev1.PodSpec) []corev1.VolumeMount {
	n := 0
	for i := range d.Edits {
		if e := &d.Edits[i]; !e.Keep && !e.Env {
			if c := e.containerOf(spec); c != nil {
				n += len(c.VolumeMounts) + 1
			}
		}
	}
	if n == 0 {
		return nil
	}
	return make([]corev1.VolumeMount, n)
}
