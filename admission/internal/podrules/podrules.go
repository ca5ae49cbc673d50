// Package podrules has the rules that hold for the token volume of a pod and for its
// further token volumes.
package podrules

import (
	"path"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/admission/internal/budget"
)

// How long projected tokens may live (ADM-230).
const (
	MinLifetime = 600 * time.Second
	MaxLifetime = (1 << 32) * time.Second
)

// IsLifetime reports whether a projected token may live for d.
func IsLifetime(d time.Duration) bool {
	return d >= MinLifetime && d <= MaxLifetime && d%time.Second == 0
}

// IsMountPath reports whether something may be mounted at p, and p is clean.
func IsMountPath(p string) bool {
	return path.IsAbs(p) && path.Clean(p) == p && p != "/" && !strings.Contains(p, ":")
}

// The fields of a pod's spec that have its volumes and the containers that get mounts.
const (
	Volumes        = "volumes"
	InitContainers = "initContainers"
	Containers     = "containers"
)

// A List is one of the lists of containers that get mounts.
type List struct {
	Field      string
	Containers []corev1.Container
}

// Lists returns both, in the order in which they get mounts (ADM-34).
func Lists(spec *corev1.PodSpec) [2]List {
	return [2]List{{InitContainers, spec.InitContainers}, {Containers, spec.Containers}}
}

// Annotation returns the annotation called key, empty if there is none or key is empty.
func Annotation(annotations map[string]string, key string) string {
	if key == "" {
		return ""
	}
	return annotations[key]
}

// Listed says of each container of spec, by its name, whether it is in list. It is nil
// if list is empty: what is listed is looked for in the containers, not the other way
// round, so that a long list takes no memory.
func Listed(b *budget.Budget, spec *corev1.PodSpec, list, separator string) (map[string]bool, error) {
	if list == "" {
		return nil, nil
	}
	listed := make(map[string]bool, len(spec.InitContainers)+len(spec.Containers))
	for _, l := range Lists(spec) {
		for i := range l.Containers {
			listed[l.Containers[i].Name] = false
		}
	}
	for name := range strings.SplitSeq(list, separator) {
		if err := b.Spend(1 + len(name)); err != nil {
			return nil, err
		}
		name = strings.TrimSpace(name)
		if _, ok := listed[name]; ok {
			listed[name] = true
		}
	}
	return listed, nil
}

// MountAt returns what c has mounted at p, or if clean is set, at a path that means p:
// nil if there is nothing.
func MountAt(b *budget.Budget, c *corev1.Container, p string, clean bool) (*corev1.VolumeMount, error) {
	if err := b.Spend(1 + len(c.VolumeMounts)); err != nil {
		return nil, err
	}
	for i := range c.VolumeMounts {
		m := &c.VolumeMounts[i]
		if m.MountPath == p {
			return m, nil
		}
		if clean {
			if err := b.Spend(len(m.MountPath)); err != nil {
				return nil, err
			}
			if path.Clean(m.MountPath) == p {
				return m, nil
			}
		}
	}
	return nil, nil
}
