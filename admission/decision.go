package admission

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/admission/internal/podrules"
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
	d.makeRoom(spec)
	for i := range d.Edits {
		e := &d.Edits[i]
		if e.Keep {
			if e.why == accountHasNoPullSecrets {
				spec.ImagePullSecrets = []corev1.LocalObjectReference{} // a copy of the account's, as in Kubernetes
			}
			continue
		}
		switch e.Field {
		case fieldAccount:
			spec.ServiceAccountName = e.name
		case fieldOldAccount:
			spec.DeprecatedServiceAccount = e.name
		case fieldPullSecrets:
			spec.ImagePullSecrets = slices.Clone(e.account.ImagePullSecrets)
		case podrules.Volumes:
			spec.Volumes = append(spec.Volumes, corev1.Volume{})
			e.setVolume(&spec.Volumes[len(spec.Volumes)-1])
		default:
			c := containerAt(spec, e.containerIndex(spec))
			if e.Env {
				c.Env = append(c.Env, e.further.Add.(corev1.EnvVar))
				continue
			}
			c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{})
			e.setMount(&c.VolumeMounts[len(c.VolumeMounts)-1])
		}
	}
}

// A growth is how many elements the lists of a container get.
type growth struct{ mounts, env int32 }

// makeRoom replaces the lists of spec that get more by copies with room for it. All
// mounts share one array, cut so that appending to those of one container does not write
// into the next.
func (d Decision) makeRoom(spec *corev1.PodSpec) {
	var few [24]growth // enough for most pods, so that it is not allocated
	growths, n := few[:], len(spec.InitContainers)+len(spec.Containers)
	if n > len(few) {
		growths = make([]growth, n)
	}
	volumes, mounts := 0, 0
	for i := range d.Edits {
		e := &d.Edits[i]
		if e.Keep {
			continue
		}
		if e.Field == podrules.Volumes {
			volumes++
		}
		at := e.containerIndex(spec)
		if at < 0 {
			continue
		}
		g := &growths[at]
		if e.Env {
			g.env++
			continue
		}
		if g.mounts == 0 {
			mounts += len(containerAt(spec, at).VolumeMounts)
		}
		g.mounts++
		mounts++
	}
	if volumes > 0 {
		spec.Volumes = append(make([]corev1.Volume, 0, len(spec.Volumes)+volumes), spec.Volumes...)
	}
	room := make([]corev1.VolumeMount, mounts)
	for at, g := range growths[:n] {
		c := containerAt(spec, at)
		if g.mounts > 0 {
			kept := copy(room, c.VolumeMounts)
			end := kept + int(g.mounts)
			c.VolumeMounts, room = room[:kept:end], room[end:]
		}
		if g.env > 0 {
			c.Env = slices.Grow(slices.Clip(c.Env), int(g.env))
		}
	}
}
