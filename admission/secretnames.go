package admission

import corev1 "k8s.io/api/core/v1"

// VisitSecretNames calls visit with the name of each Secret that a pod with spec refers
// to, once per reference: image pull secrets, then init, regular and ephemeral
// containers, then volumes, of each volume only the first source that there is.
// Empty names are left out.
//
// When visit returns false, the image pull secrets, the containers or the volumes
// end there, and VisitSecretNames returns false; but volumes are visited even if
// the visit of containers was ended. It returns true if every name was visited,
// or only the visit of containers was ended.
//
// Secrets that a pod gets to through other objects are not visited: those of
// persistent volumes, claims and claim templates.
func VisitSecretNames(spec *corev1.PodSpec, visit func(name string) bool) bool {
	for _, ref := range spec.ImagePullSecrets {
		if ref.Name != "" && !visit(ref.Name) {
			return false
		}
	}
	visitContainers(spec, visit)
	for i := range spec.Volumes {
		if !visitVolume(&spec.Volumes[i], false, func(_, name string) bool { return name == "" || visit(name) }) {
			return false
		}
	}
	return true
}

func visitContainers(spec *corev1.PodSpec, visit func(name string) bool) bool {
	for _, list := range [...][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			if !visitEnv(list[i].Env, list[i].EnvFrom, visit) {
				return false
			}
		}
	}
	for i := range spec.EphemeralContainers {
		c := &spec.EphemeralContainers[i]
		if !visitEnv(c.Env, c.EnvFrom, visit) {
			return false
		}
	}
	return true
}

func visitEnv(env []corev1.EnvVar, envFrom []corev1.EnvFromSource, visit func(name string) bool) bool {
	for i := range envFrom {
		if ref := envFrom[i].SecretRef; ref != nil && ref.Name != "" && !visit(ref.Name) {
			return false
		}
	}
	for i := range env {
		if from := env[i].ValueFrom; from != nil && from.SecretKeyRef != nil && from.SecretKeyRef.Name != "" && !visit(from.SecretKeyRef.Name) {
			return false
		}
	}
	return true
}

// visitVolume calls visit with the names, which may be empty, of the Secrets that the
// first source of v refers to, or those of all its sources. A valid volume has
// one; one that is not valid yet must not get past a limit.
func visitVolume(v *corev1.Volume, all bool, visit func(source, name string) bool) bool {
	if p := v.Projected; p != nil && (all || v.AzureFile == nil && v.CephFS == nil && v.Cinder == nil && v.FlexVolume == nil) {
		for i := range p.Sources {
			if s := p.Sources[i].Secret; s != nil && !visit("projected", s.Name) {
				return false
			}
		}
		if !all {
			return true
		}
	}
	for _, s := range volumeSources(v) {
		if !s.present {
			continue
		}
		if !visit(s.field, s.name) {
			return false
		}
		if !all {
			break
		}
	}
	return true
}

type volumeSource struct {
	field   string // in the API
	present bool
	name    string
}

// volumeSources returns the sources that may name one Secret, in the order of ADM-70.
func volumeSources(v *corev1.Volume) [10]volumeSource {
	var s [10]volumeSource
	if v.AzureFile != nil {
		s[0] = volumeSource{"azureFile.secretName", true, v.AzureFile.SecretName}
	}
	if v.CephFS != nil {
		s[1] = volumeSource{"cephfs.secretRef", true, nameOf(v.CephFS.SecretRef)}
	}
	if v.Cinder != nil {
		s[2] = volumeSource{"cinder.secretRef", true, nameOf(v.Cinder.SecretRef)}
	}
	if v.FlexVolume != nil {
		s[3] = volumeSource{"flexVolume.secretRef", true, nameOf(v.FlexVolume.SecretRef)}
	}
	if v.RBD != nil {
		s[4] = volumeSource{"rbd.secretRef", true, nameOf(v.RBD.SecretRef)}
	}
	if v.Secret != nil {
		s[5] = volumeSource{"secret", true, v.Secret.SecretName}
	}
	if v.ScaleIO != nil {
		s[6] = volumeSource{"scaleIO.secretRef", true, nameOf(v.ScaleIO.SecretRef)}
	}
	if v.ISCSI != nil {
		s[7] = volumeSource{"iscsi.secretRef", true, nameOf(v.ISCSI.SecretRef)}
	}
	if v.StorageOS != nil {
		s[8] = volumeSource{"storageos.secretRef", true, nameOf(v.StorageOS.SecretRef)}
	}
	if v.CSI != nil {
		s[9] = volumeSource{"csi.nodePublishSecretRef", true, nameOf(v.CSI.NodePublishSecretRef)}
	}
	return s
}

func nameOf(ref *corev1.LocalObjectReference) string {
	if ref == nil {
		return ""
	}
	return ref.Name
}
