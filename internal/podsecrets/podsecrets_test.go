package podsecrets_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/internal/podsecrets"
	"github.com/kubesa/serviceaccount/internal/podsecrets/podsecretstest"
)

func local(name string) corev1.LocalObjectReference { return corev1.LocalObjectReference{Name: name} }

func pointer(name string) *corev1.LocalObjectReference {
	return &corev1.LocalObjectReference{Name: name}
}

func envFrom(name string) []corev1.EnvFromSource {
	return []corev1.EnvFromSource{{}, {SecretRef: &corev1.SecretEnvSource{LocalObjectReference: local(name)}}}
}

func env(name string) []corev1.EnvVar {
	return []corev1.EnvVar{{}, {ValueFrom: &corev1.EnvVarSource{}}, {ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: local(name)}}}}
}

func pod() *corev1.PodSpec {
	projected := []corev1.VolumeProjection{{}, {Secret: &corev1.SecretProjection{LocalObjectReference: local("projected")}}, {Secret: &corev1.SecretProjection{}}}
	spec := &corev1.PodSpec{
		ImagePullSecrets: []corev1.LocalObjectReference{local("pull"), local("")},
		InitContainers:   []corev1.Container{{EnvFrom: envFrom("init-from"), Env: env("init-env")}},
		Containers:       []corev1.Container{{EnvFrom: envFrom("from"), Env: env("env")}},
		EphemeralContainers: []corev1.EphemeralContainer{
			{EphemeralContainerCommon: corev1.EphemeralContainerCommon{EnvFrom: envFrom("debug-from"), Env: env("debug-env")}},
		},
	}
	for _, source := range []corev1.VolumeSource{
		{AzureFile: &corev1.AzureFileVolumeSource{SecretName: "azure"}},
		{CephFS: &corev1.CephFSVolumeSource{SecretRef: pointer("ceph"), SecretFile: "not-a-secret"}},
		{Cinder: &corev1.CinderVolumeSource{SecretRef: pointer("cinder")}},
		{FlexVolume: &corev1.FlexVolumeSource{SecretRef: pointer("flex")}},
		{Projected: &corev1.ProjectedVolumeSource{Sources: projected}},
		{RBD: &corev1.RBDVolumeSource{SecretRef: pointer("rbd")}},
		{Secret: &corev1.SecretVolumeSource{SecretName: "secret"}},
		{ScaleIO: &corev1.ScaleIOVolumeSource{SecretRef: pointer("scaleio")}},
		{ISCSI: &corev1.ISCSIVolumeSource{SecretRef: pointer("iscsi")}},
		{StorageOS: &corev1.StorageOSVolumeSource{SecretRef: pointer("storageos")}},
		{CSI: &corev1.CSIVolumeSource{NodePublishSecretRef: pointer("csi")}},
		{CSI: &corev1.CSIVolumeSource{}},
		{EmptyDir: &corev1.EmptyDirVolumeSource{}},
		{Secret: &corev1.SecretVolumeSource{}},
	} {
		spec.Volumes = append(spec.Volumes, corev1.Volume{VolumeSource: source})
	}
	return spec
}

// ADM-70, ADM-71, CLN-26
func TestVisit(t *testing.T) {
	want := []podsecrets.Reference{
		{"pull", "imagePullSecrets", 0}, {"", "imagePullSecrets", 1},
		{"init-from", "envFrom", 1}, {"init-env", "env", 2}, {"from", "envFrom", 1}, {"env", "env", 2}, {"debug-from", "envFrom", 1}, {"debug-env", "env", 2},
		{"azure", "azureFile.secretName", 0}, {"ceph", "cephfs.secretRef", 0}, {"cinder", "cinder.secretRef", 0}, {"flex", "flexVolume.secretRef", 0},
		{"projected", "projected", 1}, {"", "projected", 2}, {"rbd", "rbd.secretRef", 0}, {"secret", "secret", 0}, {"scaleio", "scaleIO.secretRef", 0},
		{"iscsi", "iscsi.secretRef", 0}, {"storageos", "storageos.secretRef", 0}, {"csi", "csi.nodePublishSecretRef", 0}, {"", "secret", 0},
	}
	for _, sources := range []podsecrets.Sources{podsecrets.AllSources, podsecrets.FirstSource} {
		var got []podsecrets.Reference
		all := podsecrets.Visit(pod(), sources, func(r podsecrets.Reference) bool {
			got = append(got, r)
			return true
		})
		if diff := cmp.Diff(want, got); diff != "" || !all {
			t.Errorf("Visit() = %t, references (-want +got):\n%s", all, diff)
		}
	}
	// It stops wherever it is told to.
	for i := range want {
		n := 0
		if podsecrets.Visit(pod(), podsecrets.AllSources, func(podsecrets.Reference) bool { n++; return n <= i }) || n != i+1 {
			t.Errorf("Visit() goes on after %d references, want it to stop", i+1)
		}
	}
	if !podsecrets.Visit(&corev1.PodSpec{}, podsecrets.AllSources, func(podsecrets.Reference) bool { return false }) {
		t.Error("Visit() of an empty pod found a reference")
	}
}

// ADM-72: a volume of several sources is invalid, but may be seen before it is rejected.
func TestVolumeSources(t *testing.T) {
	var volume corev1.Volume
	var all []string
	for _, v := range pod().Volumes[:11] {
		for i := range reflect.TypeFor[corev1.VolumeSource]().NumField() {
			if source := reflect.ValueOf(v.VolumeSource).Field(i); !source.IsZero() {
				reflect.ValueOf(&volume.VolumeSource).Elem().Field(i).Set(source)
			}
		}
		all = append(all, names(&v, podsecrets.AllSources)...)
	}
	if diff := cmp.Diff(all, names(&volume, podsecrets.AllSources)); diff != "" {
		t.Errorf("all sources (-want +got):\n%s", diff)
	}
	for i := range all { // it stops wherever it is told to
		n := 0
		if podsecrets.Volume(&volume, podsecrets.AllSources, func(podsecrets.Reference) bool { n++; return n <= i }) || n != i+1 {
			t.Errorf("Volume() goes on to %d references after %d, want it to stop", n, i+1)
		}
	}
	for _, field := range []string{"AzureFile", "CephFS", "Cinder", "FlexVolume", "Projected", "RBD", "Secret", "ScaleIO", "ISCSI", "StorageOS", "CSI"} {
		source := reflect.ValueOf(&volume.VolumeSource).Elem().FieldByName(field)
		only := corev1.Volume{}
		reflect.ValueOf(&only.VolumeSource).Elem().FieldByName(field).Set(source)
		if diff := cmp.Diff(names(&only, podsecrets.AllSources), names(&volume, podsecrets.FirstSource)); diff != "" {
			t.Errorf("the first source isn't %s (-want +got):\n%s", field, diff)
		}
		if field != "Secret" && field != "AzureFile" { // one without a name is the first all the same
			empty := *volume.DeepCopy()
			e := reflect.ValueOf(&empty.VolumeSource).Elem().FieldByName(field)
			e.Set(reflect.New(e.Type().Elem()))
			if got := names(&empty, podsecrets.FirstSource); got != nil {
				t.Errorf("the first source, %s, has no name, but %q is visited", field, got)
			}
		}
		source.SetZero()
	}
}

func names(volume *corev1.Volume, sources podsecrets.Sources) []string {
	var names []string
	podsecrets.Volume(volume, sources, func(r podsecrets.Reference) bool {
		names = append(names, r.Name)
		return true
	})
	return names
}

// notNames are the texts of a pod that have "secret" in their paths and are not
// names of Secrets. Any Key is one, too.
var notNames = []string{
	"Volumes.CephFS.SecretFile", // a path on the node
	"Volumes.Secret.Items.Path",
	"Volumes.Projected.Sources.Secret.Items.Path",
}

// A new reference in k8s.io/api fails here until it is visited or listed above,
// so that no limit and no clean-up overlooks it (ADM-70).
func TestEveryFieldThatNamesASecretIsVisited(t *testing.T) {
	n := 0
	for field, spec := range podsecretstest.Fields() {
		n++
		visited := !podsecrets.Visit(spec, podsecrets.AllSources, func(r podsecrets.Reference) bool { return r.Name != podsecretstest.Found })
		isName := field.Text && !slices.Contains(notNames, field.Path) && !strings.HasSuffix(field.Path, ".Key")
		if visited != isName {
			t.Errorf("%s: visited is %v, want %v", field.Path, visited, isName)
		}
	}
	if n < 20 {
		t.Fatalf("the walk found only %d fields", n)
	}
}
