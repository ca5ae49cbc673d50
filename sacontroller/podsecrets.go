package sacontroller

import (
	corev1 "k8s.io/api/core/v1"
)

// visitPodSecrets calls visit with the name of every Secret that pod refers to, in
// its own namespace (ADM-70). Empty names are skipped (ADM-71). A volume has one
// source; if it has several, all of them count, which only keeps more Secrets.
func visitPodSecrets(pod *corev1.Pod, visit func(name string)) {
	name := func(n string) {
		if n != "" {
			visit(n)
		}
	}
	for _, r := range pod.Spec.ImagePullSecrets {
		name(r.Name)
	}
	for i := range pod.Spec.InitContainers {
		visitEnvSecrets(pod.Spec.InitContainers[i].EnvFrom, pod.Spec.InitContainers[i].Env, name)
	}
	for i := range pod.Spec.Containers {
		visitEnvSecrets(pod.Spec.Containers[i].EnvFrom, pod.Spec.Containers[i].Env, name)
	}
	for i := range pod.Spec.EphemeralContainers {
		visitEnvSecrets(pod.Spec.EphemeralContainers[i].EnvFrom, pod.Spec.EphemeralContainers[i].Env, name)
	}
	for i := range pod.Spec.Volumes {
		visitVolumeSecrets(&pod.Spec.Volumes[i].VolumeSource, name)
	}
}

func visitEnvSecrets(from []corev1.EnvFromSource, env []corev1.EnvVar, name func(string)) {
	for _, f := range from {
		if f.SecretRef != nil {
			name(f.SecretRef.Name)
		}
	}
	for _, e := range env {
		if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
			name(e.ValueFrom.SecretKeyRef.Name)
		}
	}
}

func visitVolumeSecrets(v *corev1.VolumeSource, name func(string)) {
	local := func(r *corev1.LocalObjectReference) {
		if r != nil {
			name(r.Name)
		}
	}
	if v.AzureFile != nil {
		name(v.AzureFile.SecretName)
	}
	if v.CephFS != nil {
		local(v.CephFS.SecretRef)
	}
	if v.Cinder != nil {
		local(v.Cinder.SecretRef)
	}
	if v.FlexVolume != nil {
		local(v.FlexVolume.SecretRef)
	}
	if v.Projected != nil {
		for _, s := range v.Projected.Sources {
			if s.Secret != nil {
				name(s.Secret.Name)
			}
		}
	}
	if v.RBD != nil {
		local(v.RBD.SecretRef)
	}
	if v.Secret != nil {
		name(v.Secret.SecretName)
	}
	if v.ScaleIO != nil {
		local(v.ScaleIO.SecretRef)
	}
	if v.ISCSI != nil {
		local(v.ISCSI.SecretRef)
	}
	if v.StorageOS != nil {
		local(v.StorageOS.SecretRef)
	}
	if v.CSI != nil {
		local(v.CSI.NodePublishSecretRef)
	}
}
