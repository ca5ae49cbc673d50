package sacontroller

import (
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

func podWithSecrets() *corev1.Pod {
	local := func(name string) *corev1.LocalObjectReference { return &corev1.LocalObjectReference{Name: name} }
	from := func(name string) []corev1.EnvFromSource {
		return []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: *local(name)}}, {}}
	}
	env := func(name string) []corev1.EnvVar {
		return []corev1.EnvVar{{}, {ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: *local(name)}}}}
	}
	sources := []corev1.VolumeSource{
		{AzureFile: &corev1.AzureFileVolumeSource{SecretName: "azure"}},
		{CephFS: &corev1.CephFSVolumeSource{SecretRef: local("ceph"), SecretFile: "not-a-secret"}},
		{Cinder: &corev1.CinderVolumeSource{SecretRef: local("cinder")}},
		{FlexVolume: &corev1.FlexVolumeSource{SecretRef: local("flex")}},
		{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{}, {Secret: &corev1.SecretProjection{LocalObjectReference: *local("projected")}}}}},
		{RBD: &corev1.RBDVolumeSource{SecretRef: local("rbd")}},
		{Secret: &corev1.SecretVolumeSource{SecretName: "secret"}},
		{ScaleIO: &corev1.ScaleIOVolumeSource{SecretRef: local("scaleio")}},
		{ISCSI: &corev1.ISCSIVolumeSource{SecretRef: local("iscsi")}},
		{StorageOS: &corev1.StorageOSVolumeSource{SecretRef: local("storageos")}},
		{CSI: &corev1.CSIVolumeSource{NodePublishSecretRef: local("csi")}},
		{CSI: &corev1.CSIVolumeSource{}},
		{Secret: &corev1.SecretVolumeSource{}},
	}
	pod := &corev1.Pod{Spec: corev1.PodSpec{
		ImagePullSecrets: []corev1.LocalObjectReference{{Name: "pull"}, {Name: ""}},
		InitContainers:   []corev1.Container{{EnvFrom: from("init-from"), Env: env("init-env")}},
		Containers:       []corev1.Container{{EnvFrom: from("from"), Env: env("env")}},
		EphemeralContainers: []corev1.EphemeralContainer{
			{EphemeralContainerCommon: corev1.EphemeralContainerCommon{EnvFrom: from("ephemeral-from"), Env: env("ephemeral-env")}},
		},
	}}
	for _, s := range sources {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{VolumeSource: s})
	}
	return pod
}

// ADM-70, ADM-71, CLN-26
func TestVisitPodSecrets(t *testing.T) {
	var got []string
	visitPodSecrets(podWithSecrets(), func(name string) { got = append(got, name) })
	want := []string{
		"pull", "init-from", "init-env", "from", "env", "ephemeral-from", "ephemeral-env",
		"azure", "ceph", "cinder", "flex", "projected", "rbd", "secret", "scaleio", "iscsi", "storageos", "csi",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("visitPodSecrets() (-want +got):\n%s", diff)
	}
	visitPodSecrets(&corev1.Pod{}, func(name string) { t.Errorf("an empty pod refers to Secret %q", name) })
}

// A new kind of reference to a Secret in k8s.io/api fails here, so that a Secret
// that is used that way is not cleaned up unnoticed (ADM-70).
func TestPodSecretFieldsAreKnown(t *testing.T) {
	known := []string{
		"ImagePullSecrets", "EnvFrom.SecretRef", "Env.ValueFrom.SecretKeyRef",
		"VolumeSource.Secret", "VolumeSource.Secret.SecretName", "VolumeSource.ISCSI.SecretRef", "VolumeSource.RBD.SecretRef",
		"VolumeSource.FlexVolume.SecretRef", "VolumeSource.Cinder.SecretRef", "VolumeSource.CephFS.SecretFile",
		"VolumeSource.CephFS.SecretRef", "VolumeSource.AzureFile.SecretName", "VolumeSource.Projected.Sources.Secret",
		"VolumeSource.ScaleIO.SecretRef", "VolumeSource.StorageOS.SecretRef", "VolumeSource.CSI.NodePublishSecretRef",
	}
	found := map[string]bool{}
	var walk func(path []string, typ reflect.Type)
	walk = func(path []string, typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice || typ.Kind() == reflect.Map {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || !strings.HasSuffix(typ.PkgPath(), "core/v1") || len(path) > 8 {
			return
		}
		for i := range typ.NumField() {
			f := typ.Field(i)
			at := append(path[:len(path):len(path)], f.Name)
			if strings.Contains(f.Name, "Secret") {
				s := strings.Join(at, ".")
				for _, prefix := range []string{"Volumes.", "InitContainers.", "Containers.", "EphemeralContainers.EphemeralContainerCommon."} {
					s = strings.TrimPrefix(s, prefix)
				}
				found[s] = true
			}
			walk(at, f.Type)
		}
	}
	walk(nil, reflect.TypeFor[corev1.PodSpec]())
	for _, k := range known {
		if !found[k] {
			t.Errorf("PodSpec has no field %s, want it there: the walk of this test is broken", k)
		}
		delete(found, k)
	}
	for f := range found {
		t.Errorf("PodSpec has the field %s, want visitPodSecrets to visit it or this test to know why not", f)
	}
}
