// Package podsecrets visits every reference of a pod to a Secret.
//
// Secrets that a pod gets to through other objects are not visited: those of
// persistent volumes, claims and claim templates.
package podsecrets

import corev1 "k8s.io/api/core/v1"

// A Reference is one reference to a Secret.
type Reference struct {
	Name string // of the Secret, as it is written: it may be empty

	// Field is where it is written: "imagePullSecrets"; "envFrom" or "env" of a
	// container; or the source of a volume, such as "secret", "projected" or
	// "cephfs.secretRef".
	Field string
	// Index is the index in imagePullSecrets, envFrom, env or the sources of a
	// projected volume.
	Index int
}

// Sources says which sources of a volume are visited. A valid volume has one.
type Sources int

const (
	// AllSources visits them all.
	AllSources Sources = iota
	// FirstSource visits the first one that there is, which may have no name, as
	// Kubernetes does (ADM-72).
	FirstSource
)

// Visit calls visit with each reference: image pull secrets, containers, volumes
// (ADM-70). It stops when visit returns false, and reports whether it never did.
func Visit(spec *corev1.PodSpec, sources Sources, visit func(Reference) bool) bool {
	return ImagePullSecrets(spec, visit) && Containers(spec, visit) && Volumes(spec, sources, visit)
}

// ImagePullSecrets is [Visit] for the image pull secrets.
func ImagePullSecrets(spec *corev1.PodSpec, visit func(Reference) bool) bool {
	for i := range spec.ImagePullSecrets {
		if !visit(Reference{spec.ImagePullSecrets[i].Name, "imagePullSecrets", i}) {
			return false
		}
	}
	return true
}

// Containers is [Visit] for the init, regular and ephemeral containers, of each
// first [EnvFrom] and then [Env].
func Containers(spec *corev1.PodSpec, visit func(Reference) bool) bool {
	for _, list := range [...][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			if !EnvFrom(list[i].EnvFrom, visit) || !Env(list[i].Env, visit) {
				return false
			}
		}
	}
	for i := range spec.EphemeralContainers {
		c := &spec.EphemeralContainers[i]
		if !EnvFrom(c.EnvFrom, visit) || !Env(c.Env, visit) {
			return false
		}
	}
	return true
}

// EnvFrom is [Visit] for the envFrom of one container.
func EnvFrom(envFrom []corev1.EnvFromSource, visit func(Reference) bool) bool {
	for i := range envFrom {
		if ref := envFrom[i].SecretRef; ref != nil && !visit(Reference{ref.Name, "envFrom", i}) {
			return false
		}
	}
	return true
}

// Env is [Visit] for the env of one container.
func Env(env []corev1.EnvVar, visit func(Reference) bool) bool {
	for i := range env {
		if from := env[i].ValueFrom; from != nil && from.SecretKeyRef != nil && !visit(Reference{from.SecretKeyRef.Name, "env", i}) {
			return false
		}
	}
	return true
}

// Volumes is [Visit] for the volumes.
func Volumes(spec *corev1.PodSpec, sources Sources, visit func(Reference) bool) bool {
	for i := range spec.Volumes {
		if !Volume(&spec.Volumes[i], sources, visit) {
			return false
		}
	}
	return true
}

// Volume is [Visit] for one volume, its sources in the order of ADM-70.
func Volume(volume *corev1.Volume, sources Sources, visit func(Reference) bool) bool {
	v := volumeVisit{visit: visit, all: sources == AllSources}
	if s := volume.AzureFile; s != nil {
		v.source("azureFile.secretName", s.SecretName)
	}
	if s := volume.CephFS; s != nil {
		v.local("cephfs.secretRef", s.SecretRef)
	}
	if s := volume.Cinder; s != nil {
		v.local("cinder.secretRef", s.SecretRef)
	}
	if s := volume.FlexVolume; s != nil {
		v.local("flexVolume.secretRef", s.SecretRef)
	}
	if s := volume.Projected; s != nil {
		v.projected(s)
	}
	if s := volume.RBD; s != nil {
		v.local("rbd.secretRef", s.SecretRef)
	}
	if s := volume.Secret; s != nil {
		v.source("secret", s.SecretName)
	}
	if s := volume.ScaleIO; s != nil {
		v.local("scaleIO.secretRef", s.SecretRef)
	}
	if s := volume.ISCSI; s != nil {
		v.local("iscsi.secretRef", s.SecretRef)
	}
	if s := volume.StorageOS; s != nil {
		v.local("storageos.secretRef", s.SecretRef)
	}
	if s := volume.CSI; s != nil {
		v.local("csi.nodePublishSecretRef", s.NodePublishSecretRef)
	}
	return !v.stopped
}

// volumeVisit is the visit of one volume.
type volumeVisit struct {
	visit         func(Reference) bool
	all           bool
	done, stopped bool // nothing more is to be visited; visit returned false
}

// source visits a source that has one name.
func (v *volumeVisit) source(field, name string) {
	if v.done {
		return
	}
	v.stopped = !v.visit(Reference{Name: name, Field: field})
	v.done = v.stopped || !v.all
}

// local is source for a reference that may be missing.
func (v *volumeVisit) local(field string, ref *corev1.LocalObjectReference) {
	if ref != nil {
		v.source(field, ref.Name)
	}
	v.done = v.done || !v.all
}

// projected visits a source that may have several names.
func (v *volumeVisit) projected(source *corev1.ProjectedVolumeSource) {
	for i := range source.Sources {
		if s := source.Sources[i].Secret; s != nil && !v.done {
			v.stopped = !v.visit(Reference{s.Name, "projected", i})
			v.done = v.stopped
		}
	}
	v.done = v.done || !v.all
}
